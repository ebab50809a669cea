import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { rowBytes, tableBits, tableBytes } from '../../src/kernels/mcc.js'
import { aligned, chooseChunks, chunksOf, MAX_CHUNK } from '../../src/plan/compile/chunks.js'

describe('chunks of a window', () => {
  // docs/protocol.md, "what a chain costs": window, chunks, on-line bits, table bytes.
  it.each([
    [8, 1, 1, 32],
    [8, 2, 4, 8],
    [12, 2, 4, 32],
    [12, 3, 9, 18],
    [16, 3, 9, 44],
    [16, 4, 16, 30],
    [16, 5, 25, 28],
    [16, 6, 36, 26],
    [20, 3, 9, 112],
    [20, 4, 16, 60],
    [20, 5, 25, 46],
    [32, 4, 16, 512],
    [32, 6, 36, 164],
    [64, 11, 121, 728],
  ])('%i bits in %i chunks: %i bits on line, %i bytes of tables', (k, t, online, bytes) => {
    const chunks = chunksOf(k, t)!
    expect(chunks.reduce((a, b) => a + b)).toBe(k)
    expect(tableBits(chunks) / 8).toBe(bytes)
    expect(rowBytes(chunks, 8)).toBe(online)
  })

  it('cover the window, lie on word boundaries and are the cheapest of their number that do', () => {
    for (let k = 1; k <= 32; k++) {
      for (let t = 1; t <= k; t++) {
        const chunks = chunksOf(k, t)
        if (!chunks) {
          expect(Math.ceil(k / t)).toBeGreaterThan(MAX_CHUNK)
          continue
        }
        expect(chunks).toHaveLength(t)
        expect(chunks.reduce((a, b) => a + b)).toBe(k)
        expect(aligned(chunks), `[${chunks}]`).toBe(true)
        // A DReLU's tables fill whole u16 words, eight DReLUs a group.
        expect(tableBytes(chunks, 8)).toBe(16 * Math.ceil(tableBits(chunks) / 16))
      }
    }
  })

  it('none that can be laid out is cheaper', () => {
    const shapes = (k: number, t: number): number[][] =>
      t === 0
        ? k === 0
          ? [[]]
          : []
        : Array.from({ length: Math.max(0, Math.min(MAX_CHUNK, k - t + 1)) }, (_, i) => i + 1).flatMap((c) =>
            shapes(k - c, t - 1).map((rest) => [c, ...rest]),
          )
    for (const k of [3, 8, 12, 16]) {
      for (let t = 1; t <= Math.min(k, 5); t++) {
        const cheapest = Math.min(...shapes(k, t).filter(aligned).map(tableBits))
        expect(cheapest).toBe(chunksOf(k, t) ? tableBits(chunksOf(k, t)!) : Number.POSITIVE_INFINITY)
      }
    }
  })

  it('chosen by cost: dealt bits plus eight times the bits on line', () => {
    const cost = (chunks: readonly number[]) => tableBits(chunks) + 8 * chunks.length ** 2
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.integer({ min: 1, max: 12 }), (k, t) => {
        const other = chunksOf(k, t)
        if (other) expect(cost(chooseChunks(k))).toBeLessThanOrEqual(cost(other))
      }),
    )
    expect(chooseChunks(16)).toEqual([4, 3, 4, 5])
    expect(chooseChunks(8)).toEqual([4, 4])
  })

  it('none for chunks wider than eight bits or narrower than one', () => {
    expect(chunksOf(16, 1)).toBeNull()
    expect(chunksOf(3, 4)).toBeNull()
    expect(() => chooseChunks(16, 1)).toThrow(RingfenceError)
    expect(() => chooseChunks(0)).toThrow(/covers 0 bits/)
  })
})
