// The typed calls of the masked carry chain with their operands.
import * as mac from '../../src/kernels/mac.js'
import * as mcc from '../../src/kernels/mcc.js'
import type { Region } from '../../src/kernels/memory.js'
import * as curve from '../../src/kernels/polynomial/curve.js'
import * as product from '../../src/kernels/polynomial/product.js'
import * as quadratic from '../../src/kernels/polynomial/quadratic.js'
import { b1, type Entry, N, type Operand, output, w4, w8 } from './operands.js'

type At = Readonly<Record<string, Region>>

const chain = { bits: 12, lo: 4, chunks: [4, 4], add: 0 }
const groups = mcc.groupsOf(N)
const [tables, rows, random] = [mcc.tableBytes([4, 4], N), mcc.rowBytes([4, 4], N), mcc.dealerBytes([4, 4], N)]
const B = 16

const known = { known: w4(), omega: w4(), mu: w4() }
const dealt = { rho: w4(), p: w4(), q: w4(), ...known }
const bytes = { wide: 6, narrow: 4 }
const [wide, narrow] = [b1(mac.tagBytes(N, 6)), b1(mac.tagBytes(N, 4))]
/** Tags and keys of a switched value. */
const tags = { tRho: wide, tW0: wide, tQ: narrow, tW2: wide, tMuQ: narrow }
const long = (): Operand => output(N, 8)
const keys = { kRho: long(), kW0: long(), kQ: long(), kW2: long(), kMuQ: long() }
const keysAt = ({ kRho, kW0, kQ, kW2, kMuQ }: At): mac.SelectTags => ({ rho: kRho, w0: kW0, q: kQ, w2: kW2, muQ: kMuQ })
const tagsAt = ({ tRho, tW0, tQ, tW2, tMuQ }: At): mac.SelectTags => ({ rho: tRho, w0: tW0, q: tQ, w2: tW2, muQ: tMuQ })
const dealtAt = ({ rho, p, q, known, omega, mu }: At) => ({ rho, p, q, known, omega, mu })
const sum = () => output(1, 8)

const macEntries = {
  macKeys: {
    operands: { alpha: w8(), next: w8(), ...dealt, ...tags, ...keys },
    call: (k, at) => {
      mac.macKeys(k, N, B, { alpha: at.alpha, next: at.next, ...dealtAt(at) }, tagsAt(at), bytes, keysAt(at))
    },
  },
  liftSelect: {
    operands: { e: w4(), beta: b1(groups), next: w8(), ...dealt, out: output(N, 8, 'next') },
    call: (k, at) => {
      const { e, beta, next, out } = at
      mac.liftSelect(k, N, B, { e, beta, next, out, ...dealtAt(at) })
    },
  },
  macSelect: {
    operands: { e: w4(), beta: b1(groups), ...tags, sum: sum() },
    call: (k, at) => mac.macSelect(k, N, B, { e: at.e, beta: at.beta }, tagsAt(at), bytes, 1, at.sum),
  },
  macPassedKeys: {
    operands: { alpha: w8(), next: w8(), ...known, tW0: wide, tMu: narrow, w0: long(), kMu: long() },
    call: (k, { alpha, next, known, omega, mu, tW0, tMu, w0, kMu }) =>
      mac.macPassedKeys(k, N, B, { alpha, next, known, omega, mu }, { w0: tW0, mu: tMu }, bytes, { w0, mu: kMu }),
  },
  liftPassed: {
    operands: { e: w4(), next: w8(), ...known, out: output(N, 8, 'next') },
    call: (k, { e, next, known, omega, mu, out }) => mac.liftPassed(k, N, B, { e, next, known, omega, mu, out }),
  },
  macPassed: {
    operands: { e: w4(), w0: wide, tMu: narrow, sum: sum() },
    call: (k, { e, w0, tMu, sum }) => mac.macPassed(k, N, B, e, { w0, mu: tMu }, bytes, -1, sum),
  },
  macDot: {
    operands: { alpha: w8(), words: w8(), sum: sum() },
    call: (k, { alpha, words, sum }) => mac.macDot(k, N, alpha, words, sum),
  },
  dot32: {
    operands: { a: w4(), b: w4() },
    call: (k, { a, b }) => void mac.dot32(k, N, a, b),
  },
  subsetSums: {
    operands: { flags: w4(), words: w4(), sums: output(17, 4) },
    call: (k, { flags, words, sums }) => mac.subsetSums(k, N, 17, flags, words, sums),
  },
} satisfies Record<string, Entry>

/** Elements that meet two right factors in turn. */
const shape = { count: N, broad: 2, plane: 10 }
const words = product.productWords(shape)

const productEntries = {
  dealProduct: {
    operands: { r: w4(N + 2), a: w4(N + 2), words: output(words, 8) },
    call: (k, { r, a, words }) => product.dealProduct(k, shape, B, { r, a, words }),
  },
  product: {
    operands: { e: w4(N + 2), known: w4(N + 2), words: w8(words), other: w4(), out: output(N, 4, 'other') },
    call: (k, { e, known, words, other, out }) =>
      product.product(k, 'server', shape, { bits: B, truncate: 8, width: 40 }, { e, known, words, other, out }),
  },
} satisfies Record<string, Entry>

const table = { count: N, bits: B, segments: 3, degree: 2 }
const tableWords = N * curve.curveWords(table)

const curveEntries = {
  dealCurve: {
    operands: { r: w4(), polynomials: w8(curve.curveWords(table)), tables: output(tableWords, 8) },
    call: (k, { r, polynomials, tables }) => curve.dealCurve(k, table, { r, polynomials, tables }),
  },
  curve: {
    operands: { e: w4(), tables: w8(tableWords), other: w4(), out: output(N, 4, 'other') },
    call: (k, { e, tables, other, out }) =>
      curve.curve(k, 'server', table, { width: 50, drop: 18 }, { e, tables, other, out }),
  },
} satisfies Record<string, Entry>

const sums = { count: N, copies: 2 }
const sumWords = quadratic.quadraticWords(sums)
const pieces = [
  { sign: 1, c0: 0, c1: 3 },
  { sign: -1, c0: 1, c1: -3 },
] as const
const sumBits = { bits: B, drop: 8, width: 40 }
const flags = Math.ceil((2 * N) / 8)

const quadraticEntries = {
  dealQuadratic: {
    operands: { r: w4(), a: w4(), rho: b1(flags), words: output(sumWords, 8) },
    call: (k, { r, a, rho, words }) => quadratic.dealQuadratic(k, sums, B, { r, a, rho, words }),
  },
  answerQuadratic: {
    operands: {
      ...{ e: w4(), m: w4(), words: w8(sumWords), beta: b1(flags), next: w4(), fresh: w4() },
      out: output(N, 8),
    },
    call: (k, { e, m, words, beta, next, fresh, out }) =>
      quadratic.answerQuadratic(k, sums, pieces, { ...sumBits, from: 3 }, { e, m, words, beta, next, fresh, out }),
  },
  finishQuadratic: {
    operands: { e: w4(), a: w4(), words: w8(sumWords), beta: b1(flags), reply: w8(), out: output(N, 4) },
    call: (k, { e, a, words, beta, reply, out }) =>
      quadratic.finishQuadratic(k, sums, pieces, sumBits, { e, a, words, beta, reply, out }),
  },
} satisfies Record<string, Entry>

export const mccEntries = {
  ...macEntries,
  ...quadraticEntries,
  ...productEntries,
  ...curveEntries,
  dealTables: {
    operands: { r: w4(groups * 8), rho: b1(groups), bits: b1(random), tables: output(tables, 1) },
    call: (k, { r, rho, bits, tables }) => mcc.dealTables(k, chain, N, { r, rho, bits, tables }),
  },
  readRows: {
    operands: { e: w4(groups * 8), tables: b1(tables), rows: output(rows, 1) },
    call: (k, { e, tables, rows }) => mcc.readRows(k, chain, N, e, tables, rows),
  },
  walkChain: {
    operands: { rows: b1(rows), opened: output(rows, 1), beta: output(groups, 1) },
    call: (k, { rows, opened, beta }) => mcc.walkChain(k, [4, 4], N, rows, opened, beta),
  },
  maskTruncated: {
    operands: { x: w4(), a: w4(), out: output(N, 4, 'x', 'a') },
    call: (k, { x, a, out }) => mcc.maskTruncated(k, x, a, N, 3, 9, out),
  },
  addTruncated: {
    operands: { x: w4(), a: w4(), out: output(N, 4, 'x', 'a') },
    call: (k, { x, a, out }) => mcc.addTruncated(k, x, a, N, 3, 9, out),
  },
  dealRho: {
    operands: { rho: b1(groups), words: output(N, 4) },
    call: (k, { rho, words }) => mcc.dealRho(k, rho, N, words),
  },
  dealSelect: {
    operands: { r: w4(), rho: b1(groups), p: output(N, 4), q: output(N, 4) },
    call: (k, { r, rho, p, q }) => mcc.dealSelect(k, N, B, { r, rho, p, q }),
  },
  dealWrap: {
    operands: { r: w4(), a: w4(), omega: output(N, 4), mu: output(N, 4) },
    call: (k, { r, a, omega, mu }) => mcc.dealWrap(k, N, B, { r, a, omega, mu }),
  },
  shareAddend: {
    operands: { x: w4(), omega: w4(), out: output(N, 4, 'x', 'omega') },
    call: (k, { x, omega, out }) => mcc.shareAddend(k, 'server', N, 3, B, { x, omega, out }),
  },
  select: {
    operands: {
      e: w4(),
      beta: b1(groups),
      rho: w4(),
      p: w4(),
      q: w4(),
      a1: w4(),
      mu: w4(),
      other: w4(),
      out: output(N, 4, 'e', 'rho', 'p', 'q', 'a1', 'mu', 'other'),
    },
    call: (k, { e, beta, rho, p, q, a1, mu, other, out }) =>
      mcc.select(k, 'server', N, B, { e, beta, rho, p, q, a1, mu, other, out }),
  },
  extend: {
    operands: { e: w4(), a1: w4(), mu: w4(), other: w4(), out: output(N, 4, 'e', 'a1', 'mu', 'other') },
    call: (k, { e, a1, mu, other, out }) => mcc.extend(k, 'client', N, B, { e, a1, mu, other, out }),
  },
  split64: {
    operands: { words: w8(), low: output(N, 4), high: output(N, 4) },
    call: (k, { words, low, high }) => mcc.split64(k, words, N, low, high),
  },
  join64: {
    operands: { low: w4(), high: w4(), words: output(N, 8) },
    call: (k, { low, high, words }) => mcc.join64(k, low, high, N, words),
  },
} satisfies Record<string, Entry>
