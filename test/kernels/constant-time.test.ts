// Kernels touch the same addresses in the same order, and go round their loops as often, whatever the secrets are: every
// access of an instrumented build is logged for several sets of secrets. What is public stays the same in all of them.
import { describe, expect, it } from 'vitest'
import type { Kernels, Region } from '../../src/kernels/instance.js'
import * as mac from '../../src/kernels/mac.js'
import * as mcc from '../../src/kernels/mcc.js'
import { curve, curveWords, dealCurve } from '../../src/kernels/polynomial/curve.js'
import { dealProduct, product, productWords } from '../../src/kernels/polynomial/product.js'
import {
  answerQuadratic,
  dealQuadratic,
  finishQuadratic,
  quadraticWords,
} from '../../src/kernels/polynomial/quadratic.js'
import { fillStream } from '../../src/kernels/prg.js'
import * as compare from '../../src/kernels/securenn/digits.js'
import * as shares from '../../src/kernels/securenn/shares.js'
import { type Instrumented, instrumented, watched } from './instrumented.js'

const TAIL = 37 // two vectors and a rest
const RUNS = 6

/** A hash of all accesses, and how many there were. */
class Trace {
  hash = 0
  count = 0

  note(...values: number[]): void {
    for (const value of values) this.hash = (Math.imul(this.hash ^ value, 0x01000193) + 0x9e3779b9) | 0
    this.count++
  }
}

function traced(build: Instrumented): { k: Kernels; take: () => Trace } {
  let trace = new Trace()
  const k = watched(build, { access: (...place) => trace.note(...place), step: (id) => trace.note(id) })
  const take = () => {
    const done = trace
    trace = new Trace()
    return done
  }
  return { k, take }
}

interface Secrets {
  readonly k: Kernels
  /** A region of random bytes, cut by `shape`. */
  random(bytes: number, shape?: (byte: number, i: number) => number): Region
  /** u64 words below 2^bits - 1, with extreme ones among them. */
  odd(bits: number): Region
  digits(count: number, least?: number): Region
}

/** Draws the secrets of one run, and calls the kernel. The call's own accesses are compared. */
type Case = (secrets: Secrets) => () => void

const bit = (byte: number) => byte & 1

function securennCases(bits: number): Record<string, Case> {
  const n = TAIL
  return {
    windowOf: ({ k, random }) => {
      const [v, out] = [random(8 * n), random(8 * n)]
      return () => shares.windowOf(k, v, n, 3, bits, 5n, out)
    },
    addWrap: ({ k, random }) => {
      const [a, b, sum, wrap] = [random(8 * n), random(8 * n), random(8 * n), random(n)]
      return () => shares.addWrap(k, a, b, n, bits, sum, wrap)
    },
    reduceOdd: ({ k, random }) => {
      const x = random(8 * n)
      return () => shares.reduceOdd(k, x, n, bits)
    },
    addOdd: ({ k, odd }) => {
      const [a, b, out] = [odd(bits), odd(bits), odd(bits)]
      return () => {
        shares.addOdd(k, a, b, n, bits, out)
        shares.subOdd(k, a, b, n, bits, out)
      }
    },
    shareFlag: ({ k, random, odd }) => {
      const [flag, share, out] = [random(n, bit), odd(bits), odd(bits)]
      return () => {
        shares.shareFlag(k, flag, share, n, { odd: bits }, out)
        shares.shareFlag(k, flag, share, n, 'z64', out)
      }
    },
    threshold: ({ k, random, odd }) => {
      const [t, flip, out, less, always] = [odd(bits), random(n, bit), odd(bits), random(n), random(n)]
      return () => {
        shares.threshold(k, t, flip, n, bits, true, { out, less, always })
        shares.threshold(k, t, flip, n, bits, false, { out, less, always })
      }
    },
    convertShare: ({ k, random, odd }) => {
      const input = { a: odd(bits), wrap: random(n, bit), delta: odd(bits), eta: odd(bits), flip: random(n, bit) }
      const [alpha, x, z] = [random(n, bit), odd(bits), odd(bits)]
      return () => {
        for (const party of [0, 1] as const) shares.convertShare(k, { ...input, alpha, x }, n, bits, party, z)
      }
    },
    'openXor, product, sign': ({ k, random }) => {
      const words = () => random(8 * n)
      const [answer, low, z, flip] = [words(), words(), words(), random(n, bit)]
      const triple = { a: words(), b: words(), c: words() }
      const [mine, theirs, out] = [random(16 * n), random(16 * n), words()]
      return () => {
        for (const party of [0, 1] as const) {
          shares.openXor(k, { answer, flip, low, z }, triple, n, party, mine)
          shares.product(k, mine, theirs, triple, n, party, out)
          shares.signShare(k, { gamma: answer, delta: low, gammaDelta: out }, n, true, party, out)
        }
      }
    },
    truncateShare: ({ k, random }) => {
      const y = random(8 * n)
      return () => {
        for (const party of [0, 1] as const) shares.truncateShare(k, y, n, 12, party, y)
      }
    },
    'shareBits, lowBit': ({ k, random, digits }) => {
      const [x, share, out, flag] = [random(8 * n), digits(n * bits), digits(n * bits), random(n)]
      return () => {
        compare.shareBits(k, x, n, bits, share, out)
        shares.lowBit(k, x, n, flag)
      }
    },
    compareDigits: ({ k, random, odd, digits }) => {
      const input = { x: digits(n * bits), t: odd(bits), less: random(n, bit), always: random(n, bit) }
      const [zero, s, out] = [digits(n * bits), digits(n * bits, 1), digits(n * bits)]
      return () => {
        for (const party of [0, 1] as const) compare.compareDigits(k, { ...input, zero, s }, n, bits, party, out)
      }
    },
    rotateDigits: ({ k, random, digits }) => {
      const [rows, turn] = [digits(n * bits), random(n, (byte) => byte % bits)]
      return () => compare.rotateDigits(k, rows, turn, n, bits)
    },
    anyZero: ({ k, digits, random }) => {
      const [a, b, out] = [digits(n * bits), digits(n * bits), random(n)]
      return () => compare.anyZero(k, a, b, n, bits, out)
    },
  }
}

function mccCases(chain: mcc.Chain): Record<string, Case> {
  const n = TAIL
  const { chunks, bits } = chain
  const groups = mcc.groupsOf(n)
  return {
    dealTables: ({ k, random }) => {
      const [r, rho, coins] = [random(64 * groups), random(groups), random(mcc.dealerBytes(chunks, n) + 1)]
      const tables = random(mcc.tableBytes(chunks, n))
      return () => mcc.dealTables(k, chain, n, { r, rho, bits: coins, tables })
    },
    // e is public to both who read: the same in every run.
    'readRows, walkChain': ({ k, random }) => {
      const e = random(64 * groups, (_, i) => i * 37)
      const [tables, rows] = [random(mcc.tableBytes(chunks, n)), random(mcc.rowBytes(chunks, n))]
      const [opened, beta] = [random(mcc.rowBytes(chunks, n)), random(groups)]
      return () => {
        mcc.readRows(k, chain, n, e, tables, opened)
        mcc.walkChain(k, chunks, n, rows, opened, beta)
      }
    },
    // So are e and β of the select.
    'select, extend': ({ k, random }) => {
      const [e, beta] = [random(4 * n, (_, i) => i * 91), random(groups, (_, i) => i * 53)]
      const [rho, p, q, a1, mu, other, out] = Array.from({ length: 7 }, () => random(4 * n))
      const value = Math.min(bits, 32)
      return () => {
        for (const side of ['client', 'server'] as const) {
          mcc.select(k, side, n, value, { e, beta, rho, p, q, a1, mu, other, out })
          mcc.extend(k, side, n, value, { e, a1, mu, other, out })
        }
      }
    },
    'dealSelect, dealWrap, dealRho, shareAddend': ({ k, random }) => {
      const rho = random(groups)
      const [r, a, p, q, omega, mu, words] = Array.from({ length: 7 }, () => random(4 * n))
      const value = Math.min(bits, 32)
      return () => {
        mcc.dealSelect(k, n, value, { r, rho, p, q })
        mcc.dealWrap(k, n, value, { r, a, omega, mu })
        for (const side of ['client', 'server'] as const) {
          mcc.shareAddend(k, side, n, 32 - value, value, { x: a, omega, out: a })
        }
        mcc.dealRho(k, rho, n, words)
      }
    },
    'macKeys, macPassedKeys': ({ k, random }) => {
      const long = () => random(8 * n)
      const [alpha, next, ...m] = Array.from({ length: 7 }, long)
      const out = Array.from({ length: 5 }, long)
      const bytes = { wide: 6, narrow: 4 }
      const [rho, p, q, known, omega, mu] = Array.from({ length: 6 }, () => random(4 * n))
      const dealt = { alpha, next, rho, p, q, known, omega, mu }
      const value = Math.min(bits, 32)
      return () => {
        const keys = { rho: out[0], w0: out[1], q: out[2], w2: out[3], muQ: out[4] }
        mac.macKeys(k, n, value, dealt, { rho: m[0], w0: m[1], q: m[2], w2: m[3], muQ: m[4] }, bytes, keys)
        mac.macPassedKeys(k, n, value, dealt, { w0: m[0], mu: m[1] }, bytes, { w0: out[0], mu: out[1] })
      }
    },
    'liftSelect, macSelect, liftPassed, macPassed, macDot': ({ k, random }) => {
      const [e, beta] = [random(4 * n, (_, i) => i * 91), random(groups, (_, i) => i * 53)]
      const [next, out, sum, ...m] = Array.from({ length: 8 }, () => random(8 * n))
      const [rho, p, q, known, omega, mu] = Array.from({ length: 6 }, () => random(4 * n))
      const dealt = { e, beta, next, out, rho, p, q, known, omega, mu }
      const value = Math.min(bits, 32)
      return () => {
        mac.liftSelect(k, n, value, dealt)
        mac.macSelect(
          k,
          n,
          value,
          dealt,
          { rho: m[0], w0: m[1], q: m[2], w2: m[3], muQ: m[4] },
          { wide: 6, narrow: 4 },
          1,
          sum,
        )
        mac.liftPassed(k, n, value, dealt)
        mac.macPassed(k, n, value, e, { w0: m[0], mu: m[1] }, { wide: 6, narrow: 4 }, -1, sum)
        mac.macDot(k, n, m[0], m[1], sum)
      }
    },
    'dot32, subsetSums': ({ k, random }) => {
      const [a, b, sums] = [random(4 * n), random(4 * n), random(4 * 17)]
      return () => {
        mac.dot32(k, n, a, b)
        mac.subsetSums(k, n, 17, a, b, sums)
      }
    },
    'maskTruncated, addTruncated': ({ k, random }) => {
      const [y, a] = [random(4 * n), random(4 * n)]
      return () => {
        mcc.maskTruncated(k, y, a, n, 3, 16, y)
        mcc.addTruncated(k, y, a, n, 3, 16, y)
      }
    },
    'dealProduct, product': ({ k, random }) => {
      const shape = { count: n, broad: 5, plane: 3 }
      const [r, a, known] = Array.from({ length: 3 }, () => random(4 * (n + 5)))
      const e = random(4 * (n + 5), (_, i) => i * 91)
      const [words, other, out] = [random(8 * productWords(shape)), random(4 * n), random(4 * n)]
      const value = Math.min(bits, 16)
      const numbers = { bits: value, truncate: 7, width: 39 }
      return () => {
        dealProduct(k, shape, value, { r, a, words })
        for (const side of ['client', 'server'] as const) {
          product(k, side, shape, numbers, { e, known, words, other, out })
        }
      }
    },
    // e and β are public.
    'dealQuadratic, answerQuadratic, finishQuadratic': ({ k, random }) => {
      const shape = { count: n, copies: 2 }
      const [r, a, m, next, fresh] = Array.from({ length: 5 }, () => random(4 * n))
      const flags = Math.ceil(n / 4)
      const [rho, beta] = [random(flags), random(flags, (_, i) => i * 53)]
      const e = random(4 * n, (_, i) => i * 91)
      const [words, reply, out] = [random(8 * quadraticWords(shape)), random(8 * n), random(4 * n)]
      const value = Math.min(bits, 16)
      const numbers = { bits: value, drop: 7, width: 39 }
      const pieces = [3, -3].map((c1, j) => ({ sign: j === 0 ? (1 as const) : (-1 as const), c0: 0, c1 }))
      return () => {
        dealQuadratic(k, shape, value, { r, a, rho, words })
        answerQuadratic(k, shape, pieces, { ...numbers, from: 3 }, { e, m, words, beta, next, fresh, out: reply })
        finishQuadratic(k, shape, pieces, numbers, { e, a, words, beta, reply, out })
      }
    },
    'dealCurve, curve': ({ k, random }) => {
      const shape = { count: n, bits: 16, segments: 3, degree: 2 }
      const r = random(4 * n, (byte, i) => (i % 4 < 2 ? byte : 0))
      const polynomials = random(8 * curveWords(shape))
      const e = random(4 * n, (_, i) => i * 91)
      const [tables, other, out] = [random(8 * n * curveWords(shape)), random(4 * n), random(4 * n)]
      return () => {
        dealCurve(k, shape, { r, polynomials, tables })
        for (const side of ['client', 'server'] as const) {
          curve(k, side, shape, { width: 50, drop: 18 }, { e, tables, other, out })
        }
      }
    },
    fillStream: ({ k, random }) => {
      const [key, out] = [random(32), random(1100)]
      return () => fillStream(k, key, [1, 2, 3], 0, 12, out)
    },
  }
}

const chains: mcc.Chain[] = [
  { bits: 16, lo: 0, chunks: [4, 4, 4, 4], add: 0 },
  { bits: 16, lo: 4, chunks: [6, 6], add: 8 },
  { bits: 9, lo: 0, chunks: [3, 3, 3], add: 0 },
]
const cases = [
  ...[64, 33, 12].map((bits) => [`securenn, ${bits} bits`, securennCases(bits)] as const),
  ...chains.map((chain) => [`mcc, chunks ${chain.chunks}`, mccCases(chain)] as const),
].flatMap(([what, each]) => Object.entries(each).map(([name, run]) => [what, name, run] as const))

/** Secrets of run number `run`: random ones, and in the first runs all zeros and all ones. */
function secretsOf(k: Kernels, run: number): Secrets {
  const byte = (): number => (run < 2 ? -run & 255 : Math.floor(Math.random() * 256))
  const random: Secrets['random'] = (bytes, shape = (value) => value) => {
    const region = k.memory.alloc(bytes + 16)
    region.u8().forEach((_, i, all) => {
      all[i] = shape(byte(), i)
    })
    return region
  }
  const odd: Secrets['odd'] = (bits) => {
    const region = random(8 * TAIL)
    const m = 2n ** BigInt(bits) - 1n
    region.u64().forEach((word, i, all) => {
      all[i] = run === 1 ? m - 1n : word % m
    })
    return region
  }
  return { k, random, odd, digits: (count, least = 0) => random(count, (value) => least + (value % (67 - least))) }
}

/** Text of the functions that are exported under names like this. */
function exported(text: string, names: RegExp): string[] {
  const named = [...text.matchAll(/\(export "([^"]+)" \(func (\$\S+?)\)\)/g)].filter(([, name]) => names.test(name))
  const functions = new Map(text.split(/\n \(func /).map((part) => [part.slice(0, part.search(/\s/)), part]))
  return named.map(([, name, id]) => `${name} ${functions.get(id)}`)
}

describe.each(instrumented)('$variant kernels', (build) => {
  it('divide no share, digit or mask: how long that takes depends on the numbers', () => {
    const functions = exported(build.text, /^(snn|mcc)/)
    expect(functions.length).toBeGreaterThan(25)
    const dividing = functions.filter((each) => /i(32|64)\.(rem|div)_[su]/.test(each))
    expect(dividing.map((each) => each.slice(0, each.indexOf(' ')))).toEqual([])
  })

  it.each(cases)('%s: %s', (_, __, draw) => {
    const traces = Array.from({ length: RUNS }, (_, run) => {
      const { k, take } = traced(build)
      const call = draw(secretsOf(k, run))
      take()
      call()
      return take()
    })
    expect(traces[0].count).toBeGreaterThan(TAIL / 4)
    expect(traces).toEqual(traces.map(() => traces[0]))
  })

  it('notice a table that is read at a secret place', () => {
    const { k, take } = traced(build)
    const chain = chains[1]
    const traces = [0, 1, 2].map((run) => {
      const { random } = secretsOf(k, run + 1)
      const [e, tables] = [random(64 * mcc.groupsOf(TAIL)), random(mcc.tableBytes(chain.chunks, TAIL))]
      const rows = random(mcc.rowBytes(chain.chunks, TAIL))
      take()
      mcc.readRows(k, chain, TAIL, e, tables, rows)
      const { hash } = take()
      for (const region of [e, tables, rows]) region.release()
      return hash
    })
    // SIMD sweeps the columns; the scalar build reads at e, which is public.
    expect(new Set(traces).size).toBe(build.variant === 'simd' ? 1 : 3)
  })
})
