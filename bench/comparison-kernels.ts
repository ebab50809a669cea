// The comparison kernels of both protocols, as variants of the kernel bench: work of one party on 16,384 values.
import { type Kernels, type Region, upload } from '../src/kernels/instance.js'
import {
  type Chain,
  dealerBytes,
  dealSelect,
  dealTables,
  groupsOf,
  readRows,
  rowBytes,
  select,
  tableBytes,
  walkChain,
} from '../src/kernels/mcc.js'
import { anyZero, compareDigits, rotateDigits, shareBits } from '../src/kernels/securenn/digits.js'
import { chooseChunks } from '../src/plan/compile/chunks.js'

export interface ComparisonVariant {
  name: string
  shape: string
  values: number
  run: () => void
}

const VALUES = 16_384

/** Bytes below `limit`, the same at every run. */
function bytes(k: Kernels, count: number, limit = 256): Region {
  let state = 1
  return upload(
    k.memory,
    Uint8Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit),
  )
}

function words(k: Kernels, count: number, bits: number): Region {
  const region = bytes(k, count * 4)
  const view = region.u32()
  for (let i = 0; i < count; i++) view[i] &= 2 ** bits - 1
  return region
}

function carryChain(k: Kernels, bits: number): ComparisonVariant[] {
  const chunks = chooseChunks(bits)
  const chain: Chain = { bits, lo: 0, chunks, add: 0 }
  const shape = `k = ${bits}, chunks ${chunks.join('-')}`
  const [r, e] = [words(k, VALUES, bits), words(k, VALUES, bits)]
  const rho = bytes(k, groupsOf(VALUES))
  const random = bytes(k, dealerBytes(chunks, VALUES))
  const tables = bytes(k, tableBytes(chunks, VALUES))
  const [rows, opened] = [bytes(k, rowBytes(chunks, VALUES)), bytes(k, rowBytes(chunks, VALUES))]
  const beta = bytes(k, groupsOf(VALUES))
  return [
    {
      name: 'mcc deal',
      shape,
      values: VALUES,
      run: () => dealTables(k, chain, VALUES, { r, rho, bits: random, tables }),
    },
    { name: 'mcc read rows', shape, values: VALUES, run: () => readRows(k, chain, VALUES, e, tables, rows) },
    { name: 'mcc walk', shape, values: VALUES, run: () => walkChain(k, chunks, VALUES, rows, opened, beta) },
  ]
}

function selection(k: Kernels): ComparisonVariant[] {
  const [e, other, rho] = [words(k, VALUES, 16), words(k, VALUES, 32), words(k, VALUES, 32)]
  const [p, q, a1, mu, out] = [32, 16, 32, 16, 32].map((bits) => words(k, VALUES, bits))
  const bits = bytes(k, VALUES / 8)
  const run = () => select(k, 'client', VALUES, 16, { e, beta: bits, rho, p, q, a1, mu, other, out })
  return [
    { name: 'mcc select', shape: "n' = 16", values: VALUES, run },
    {
      name: 'mcc deal select',
      shape: "n' = 16",
      values: VALUES,
      run: () => dealSelect(k, VALUES, 16, { r: e, rho: bits, p, q }),
    },
  ]
}

function privateCompare(k: Kernels, bits: number): ComparisonVariant[] {
  const digits = VALUES * bits
  const [x, s, out] = [bytes(k, digits, 67), bytes(k, digits, 66), bytes(k, digits, 67)]
  const [t, less, always] = [bytes(k, VALUES * 8), bytes(k, VALUES, 2), bytes(k, VALUES, 1)]
  const [zero, turn, found] = [bytes(k, digits, 67), bytes(k, VALUES, bits), bytes(k, VALUES, 2)]
  const shape = `${bits} bits`
  const variant = (name: string, run: () => void) => ({ name: `securenn ${name}`, shape, values: VALUES, run })
  return [
    variant('share bits', () => shareBits(k, t, VALUES, bits, x, out)),
    variant('compare', () => compareDigits(k, { x, t, less, always, zero, s }, VALUES, bits, 1, out)),
    variant('rotate', () => rotateDigits(k, out, turn, VALUES, bits)),
    variant('zero test', () => anyZero(k, x, out, VALUES, bits, found)),
  ]
}

export function comparisonVariants(k: Kernels): ComparisonVariant[] {
  return [
    ...carryChain(k, 8),
    ...carryChain(k, 16),
    ...selection(k),
    ...privateCompare(k, 16),
    ...privateCompare(k, 64),
  ]
}
