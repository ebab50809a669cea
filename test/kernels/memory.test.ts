// How the memory grows: seldom, not far ahead of need, and as little as possible where the host has no more to give.
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { uploadRepeated } from '../../src/kernels/instance.js'
import { Memory, type Region } from '../../src/kernels/memory.js'

const PAGE = 65536
const MiB = 2 ** 20

/** A memory of 1 MiB, and the pages of every growth that was asked for and granted. */
function grown(maximum = 65536) {
  const wasm = new WebAssembly.Memory({ initial: 16, maximum })
  const granted: number[] = []
  const grow = wasm.grow.bind(wasm)
  wasm.grow = (pages) => {
    const before = grow(pages)
    granted.push(pages)
    return before
  }
  return { wasm, granted, memory: new Memory(wasm, 0) }
}

describe('memory', () => {
  it('grows a number of times that is logarithmic in its size, then once in 64 MiB', () => {
    const { wasm, granted, memory } = grown()
    const allocateUntil = (bytes: number) => {
      while (memory.inUse < bytes) memory.alloc(PAGE)
    }
    allocateUntil(256 * MiB)
    // log(256) / log(1.25) = 24.8
    expect(granted.length).toBeLessThanOrEqual(26)
    const early = granted.length
    allocateUntil(640 * MiB)
    expect(granted.length - early).toBeLessThanOrEqual(384 / 64 + 1)
    expect(wasm.buffer.byteLength).toBeGreaterThanOrEqual(640 * MiB)
  })

  it('is never more than a quarter, or 64 MiB, ahead of need', () => {
    const { wasm, memory } = grown()
    for (let i = 1; memory.inUse < 320 * MiB; i++) {
      memory.alloc((i % 7) * 300_001)
      const [need, size] = [Math.max(memory.inUse, MiB), wasm.buffer.byteLength]
      expect(size - need).toBeLessThanOrEqual(Math.min(need / 4, 64 * MiB) + PAGE)
    }
  })

  it('grows by what is missing, and no more, when that is more than a quarter', () => {
    const { granted, memory } = grown()
    memory.alloc(MiB)
    memory.alloc(100 * MiB + 1)
    expect(granted).toEqual([1601])
  })

  it('takes exactly what is missing where the host refuses more, up to the last page', () => {
    const { wasm, granted, memory } = grown(18)
    for (let page = 0; page < 18; page++) memory.alloc(PAGE)
    expect(granted).toEqual([1, 1]) // a quarter would have been four pages
    expect(wasm.buffer.byteLength).toBe(18 * PAGE)
  })

  it('says what the host refused, and keeps what there is', () => {
    const { wasm, memory } = grown(18)
    const kept: Region = memory.alloc(PAGE)
    kept.u8().fill(7)
    const failure = (() => {
      try {
        memory.alloc(18 * PAGE)
      } catch (error) {
        return error
      }
    })()
    expect(failure).toBeInstanceOf(RingfenceError)
    expect(failure).toMatchObject({ code: 'HOST', cause: expect.any(RangeError) })
    expect((failure as Error).message).toContain(`${3 * PAGE} more bytes`)
    expect(wasm.buffer.byteLength).toBe(16 * PAGE)
    expect(kept.u8().every((byte) => byte === 7)).toBe(true)
    expect(memory.inUse).toBe(PAGE)
    memory.alloc(17 * PAGE) // the address of what failed is free
  })
})

describe('words for several elements each', () => {
  it('are written as often as they stand for', () => {
    const { memory } = grown()
    const words = Int32Array.of(1, -2, 3)
    expect([...uploadRepeated(memory, words, 6).i32()]).toEqual([1, 1, -2, -2, 3, 3])
    expect([...uploadRepeated(memory, words, 3).i32()]).toEqual([1, -2, 3])
    expect(uploadRepeated(memory, new Int32Array(0), 4).byteLength).toBe(0)
    const long = uploadRepeated(memory, BigInt64Array.of(5n, -1n), 4)
    expect([...long.u64()]).toEqual([5n, 5n, 2n ** 64n - 1n, 2n ** 64n - 1n])
  })
})
