import { describe, expect, it } from 'vitest'
import {
  gather32,
  gatherBits,
  patchSums32,
  scatter32,
  uploadIndexMap,
  uploadPatchMap,
} from '../../src/kernels/index-maps.js'
import { type Kernels, loadKernels, type Region, upload } from '../../src/kernels/instance.js'
import {
  addTruncated,
  type Chain,
  dealerBytes,
  dealRho,
  dealSelect,
  dealTables,
  dealWrap,
  extend,
  groupsOf,
  join64,
  maskTruncated,
  readRows,
  rowBytes,
  select,
  shareAddend,
  split64,
  tableBits,
  tableBytes,
  walkChain,
} from '../../src/kernels/mcc.js'
import { chooseChunks } from '../../src/plan/compile/chunks.js'
import { dealerBits, tablePosition, twinAddend, twinSelect, twinSign, twinTables, twinWords } from './mcc-twin.js'

const CHUNKS: number[][] = [
  [4],
  [2, 2],
  [1],
  [1, 1],
  [6],
  [3, 3],
  [4, 2],
  [8],
  [4, 4],
  [3, 3, 2],
  [5, 3],
  [6, 6],
  [4, 4, 4],
  [8, 8],
  [6, 5, 5],
  [4, 4, 4, 4],
  [7, 7, 6],
  [5, 5, 5, 5],
  [4, 4, 4, 4, 4],
  [8, 8, 8, 8],
  [6, 6, 5, 5, 5, 5],
  [4, 4, 4, 4, 4, 4, 4, 4],
  [3, 3, 3, 3, 2, 2],
]
const bit = (bytes: Uint8Array, i: number) => (bytes[i >> 3] >> (i & 7)) & 1
const random = (n: number) => {
  const bytes = new Uint8Array(n)
  for (let i = 0; i < n; i += 65536) crypto.getRandomValues(bytes.subarray(i, Math.min(n, i + 65536)))
  return bytes
}
const words = (n: number, bits = 32) =>
  new Uint32Array(random(4 * n).buffer).map((x) => (bits < 32 ? x % 2 ** bits : x))

function dealt(k: Kernels, chain: Chain, count: number) {
  const r = words(groupsOf(count) * 8, chain.bits)
  const rho = random(groupsOf(count))
  const bits = random(dealerBytes(chain.chunks, count) || 1)
  const pads = random(tableBytes(chain.chunks, count))
  const regions = { r: upload(k.memory, r), rho: upload(k.memory, rho), bits: upload(k.memory, bits) }
  const tables = upload(k.memory, pads)
  dealTables(k, chain, count, { ...regions, tables })
  return { r, rho, bits, pads, tables }
}

for (const variant of ['simd', 'scalar'] as const) {
  const k = loadKernels(variant)
  describe(`mcc kernels, ${variant}`, () => {
    for (const chunks of CHUNKS) {
      const width = chunks.reduce((a, b) => a + b, 0)
      for (const lo of new Set([0, Math.min(3, 32 - width)])) {
        const chain: Chain = { bits: width + lo, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
        it(`deals, reads and walks chunks [${chunks}] from bit ${lo}`, () => {
          const count = 27
          const t = chunks.length
          const { r, rho, bits, pads, tables } = dealt(k, chain, count)
          const stride = tableBytes(chunks, 8)
          const out = tables.u8()
          // The bit of DReLU d at position p: word p >> 4 of lane d & 7.
          const at = (bytes: Uint8Array, d: number, p: number) =>
            (bytes[(d >> 3) * stride + (p >> 4) * 16 + (d & 7) * 2 + ((p >> 3) & 1)] >> (p & 7)) & 1
          const dealer = (d: number) =>
            dealerBits(
              bit(rho, d),
              Array.from({ length: t * t - 1 }, (_, i) => (bits[(d >> 3) * (t * t - 1) + i] >> (d & 7)) & 1),
              t,
            )
          for (let d = 0; d < count; d++) {
            const twin = twinTables(r[d], lo, chunks, dealer(d))
            twin.forEach((stage, j) => {
              stage.forEach((entry, e) => {
                entry.forEach((value, column) => {
                  const p = tablePosition(chunks, j, column, e)
                  if ((at(out, d, p) ^ at(pads, d, p)) !== value) {
                    throw new Error(`table of DReLU ${d}, stage ${j}, entry ${e}, column ${column}`)
                  }
                })
              })
            })
          }
          expect(tablePosition(chunks, t - 1, t === 1 ? 0 : 1, 2 ** chunks[t - 1] - 1) + 1).toBe(tableBits(chunks))
          const e = words(groupsOf(count) * 8, chain.bits)
          const opening = upload(k.memory, e)
          const rows = k.memory.alloc(rowBytes(chunks, count))
          const opened = k.memory.alloc(rowBytes(chunks, count))
          const beta = k.memory.alloc(groupsOf(count))
          readRows(k, chain, count, opening, tables, rows)
          readRows(k, chain, count, opening, upload(k.memory, pads), opened)
          walkChain(k, chunks, count, rows, opened, beta)
          for (let d = 0; d < count; d++) {
            expect(bit(beta.u8(), d) ^ bit(rho, d)).toBe(twinSign(e[d], r[d], chain.add, chain.bits, lo))
          }
        })
      }
    }

    for (const { bits, lo } of [
      { bits: 33, lo: 0 },
      { bits: 48, lo: 0 },
      { bits: 64, lo: 0 },
      { bits: 64, lo: 20 },
      { bits: 40, lo: 33 },
    ]) {
      it(`compares windows of u64 words: bits ${lo} to ${bits}`, () => {
        const chunks = chooseChunks(bits - lo)
        const chain: Chain = { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
        const count = 67
        const padded = groupsOf(count) * 8
        const wide = () => new BigUint64Array(random(8 * padded).buffer).map((x) => BigInt.asUintN(bits, x))
        const [r, e] = [wide(), wide()]
        for (let i = 0; i < count; i += 4) e[i] = BigInt.asUintN(bits, BigInt((i % 3) - 1) - r[i]) // values around zero
        const rho = random(groupsOf(count))
        const pads = random(tableBytes(chunks, count))
        const tables = upload(k.memory, pads)
        const bytes = upload(k.memory, random(dealerBytes(chunks, count)))
        dealTables(k, chain, count, { r: upload(k.memory, r), rho: upload(k.memory, rho), bits: bytes, tables })
        const opening = upload(k.memory, e)
        const [rows, opened] = [k.memory.alloc(rowBytes(chunks, count)), k.memory.alloc(rowBytes(chunks, count))]
        const beta = k.memory.alloc(groupsOf(count))
        readRows(k, chain, count, opening, tables, rows)
        readRows(k, chain, count, opening, upload(k.memory, pads), opened)
        walkChain(k, chunks, count, rows, opened, beta)
        for (let d = 0; d < count; d++) {
          const x = BigInt.asUintN(bits, e[d] + BigInt(chain.add)) >> BigInt(lo)
          const sum = BigInt.asIntN(bits - lo, x + (r[d] >> BigInt(lo)))
          expect(bit(beta.u8(), d) ^ bit(rho, d)).toBe(sum >= 0n ? 1 : 0)
        }
        const halves = [k.memory.alloc(padded * 4), k.memory.alloc(padded * 4)]
        const joined = k.memory.alloc(padded * 8)
        split64(k, opening, padded, halves[0], halves[1])
        join64(k, halves[0], halves[1], padded, joined)
        expect([...joined.u64()]).toEqual([...e])
      })
    }

    it('selects and extends exactly, as the twin does, at every length from 0 to 67', () => {
      for (let count = 0; count <= 67; count++) {
        const bits = 3 + (count % 30)
        const f = count % (33 - bits)
        const padded = groupsOf(count) * 8 || 8
        // Values inside the offset form's range |y| < 2^(bits-2), opened under uniform masks.
        const y = Array.from({ length: padded }, () => Math.floor((Math.random() * 2 - 1) * 2 ** (bits - 2)) || 0)
        const [m, a] = [words(padded), words(padded)]
        const cut = (x: number) => x % 2 ** bits
        const r = Uint32Array.from(m, (word, i) => cut(cut(word >>> f) + cut(a[i])))
        const e = Uint32Array.from(y, (v, i) => cut(cut(v - r[i]) + 2 ** bits))
        const [rho, beta] = [random(groupsOf(count) || 1), random(groupsOf(count) || 1)]
        const [rhoHalf, pHalf, qHalf, omegaHalf, muHalf, mask] = Array.from({ length: 6 }, () => words(padded))
        const region = (data: ArrayBufferView) => upload(k.memory, data)
        const client = Object.fromEntries(
          Object.entries({ rho: rhoHalf, p: pHalf, q: qHalf, omega: omegaHalf, mu: muHalf }).map(([name, half]) => [
            name,
            region(half),
          ]),
        ) as Record<'rho' | 'p' | 'q' | 'omega' | 'mu', Region>
        const server = {
          rho: region(rhoHalf),
          p: region(pHalf),
          q: region(qHalf),
          omega: region(omegaHalf),
          mu: region(muHalf),
        }
        dealRho(k, region(rho), count, server.rho)
        dealSelect(k, count, bits, { r: region(r), rho: region(rho), p: server.p, q: server.q })
        dealWrap(k, count, bits, { r: region(r), a: region(a), omega: server.omega, mu: server.mu })
        const [a1, own] = [k.memory.alloc(padded * 4), region(a)]
        shareAddend(k, 'client', count, f, bits, { x: region(m), omega: client.omega, out: a1 })
        shareAddend(k, 'server', count, 0, bits, { x: own, omega: server.omega, out: own })
        const out = k.memory.alloc(padded * 4)
        const base = { e: region(e), beta: region(beta) }
        for (const gadget of ['select', 'extend'] as const) {
          const run = (side: 'client' | 'server', addend: Region, shares: typeof client, other: Region) =>
            gadget === 'select'
              ? select(k, side, count, bits, { ...base, ...shares, a1: addend, other, out })
              : extend(k, side, count, bits, { ...base, ...shares, a1: addend, other, out })
          run('client', a1, client, region(mask))
          const sent = out.u32().slice()
          run('server', own, server, out)
          for (let i = 0; i < count; i++) {
            const dealt = twinWords(cut(m[i] >>> f), cut(a[i]), bit(rho, i), bits)
            const half = { rho: rhoHalf[i], p: pHalf[i], q: qHalf[i], omega: omegaHalf[i], mu: muHalf[i] }
            const left = {
              rho: server.rho.u32()[i],
              p: server.p.u32()[i],
              q: server.q.u32()[i],
              omega: server.omega.u32()[i],
              mu: server.mu.u32()[i],
            }
            for (const field of ['rho', 'p', 'q', 'omega', 'mu'] as const) {
              expect(left[field], `${field} of ${bits} bits`).toBe((dealt[field] - half[field]) >>> 0)
            }
            expect(a1.u32()[i]).toBe(twinAddend(cut(m[i] >>> f), half.omega, bits, 0))
            expect(own.u32()[i]).toBe(twinAddend(cut(a[i]), left.omega, bits, 1))
            const b = gadget === 'select' ? bit(beta, i) : null
            expect((sent[i] + mask[i]) >>> 0).toBe(twinSelect(e[i], b, half, a1.u32()[i], bits, 0))
            const sign = b === null ? 1 : b ^ bit(rho, i)
            expect((out.u32()[i] + mask[i]) >>> 0, `value ${y[i]} of ${bits} bits, b = ${sign}`).toBe(
              (sign * y[i]) >>> 0,
            )
          }
        }
      }
    })

    it('masks and adds truncated values, gathers, scatters and sums patches', () => {
      for (let count = 0; count <= 67; count++) {
        const size = count || 1
        const [y, a] = [words(size), words(size)]
        const index = Uint32Array.from({ length: size }, (_, i) => (i * 7) % size)
        const [f, bits] = [count % 13, 1 + (count % 32)]
        const out = k.memory.alloc(size * 4)
        const low = bits === 32 ? 0xffffffff : 2 ** bits - 1
        const region = (data: ArrayBufferView) => upload(k.memory, data)
        maskTruncated(k, region(y), region(a), count, f, bits, out)
        for (let i = 0; i < count; i++) expect(out.u32()[i]).toBe((((y[i] >>> f) - a[i]) & low) >>> 0)
        addTruncated(k, region(y), region(a), count, f, bits, out)
        for (let i = 0; i < count; i++) expect(out.u32()[i]).toBe((((y[i] >>> f) + a[i]) & low) >>> 0)
        const map = uploadIndexMap(k, index.subarray(0, count))
        gather32(k, region(y), map, out)
        for (let i = 0; i < count; i++) expect(out.u32()[i]).toBe(y[index[i]])
        const packed = random((size + 7) >> 3)
        const bitsOut = k.memory.alloc((size + 7) >> 3 || 1)
        gatherBits(k, region(packed), map, bitsOut)
        for (let i = 0; i < count; i++) expect(bit(bitsOut.u8(), i)).toBe(bit(packed, index[i]))
        const reversed = Uint32Array.from({ length: size }, (_, i) => size - 1 - i)
        scatter32(k, region(y), uploadIndexMap(k, reversed.subarray(0, count)), out)
        for (let i = 0; i < count; i++) expect(out.u32()[size - 1 - i]).toBe(y[i])
        if (count < 3) continue
        const start = Uint32Array.of(0, 2, count)
        const shifts = Uint8Array.of(1, 0)
        const patches = uploadPatchMap(k, { start, elements: reversed, shifts })
        patchSums32(k, region(y), patches, f, out)
        const sum = (from: number, to: number) => reversed.slice(from, to).reduce((s, at) => (s + y[at]) >>> 0, 0)
        expect([...out.u32().slice(0, 2)]).toEqual([sum(0, 2) >>> (f + 1), sum(2, count) >>> f])
      }
    })
  })
}
