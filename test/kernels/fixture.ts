// Tensors at chosen addresses, with guard bytes around outputs: a kernel that writes one byte too many is caught.
import { expect } from 'vitest'
import type { Kernels } from '../../src/kernels/instance.js'
import type { Region } from '../../src/kernels/memory.js'
import type { Width } from '../../src/ring/reference.js'

export const VARIANTS = ['simd', 'scalar'] as const
const GUARD = 64
const FILL = 0xa5

/** Words from a fixed sequence, with the values at the ends of the range among them. */
export function words(count: number, bits: Width, seed = 1): bigint[] {
  let state = BigInt(seed) * 0x9e3779b97f4a7c15n
  return Array.from({ length: count }, (_, i) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    if (i % 11 === 10) return BigInt.asUintN(bits, -1n)
    return BigInt.asUintN(bits, (state >> (bits === 32 ? 32n : 0n)) ^ (state << 17n))
  })
}

export class Bay {
  readonly #owned: Region[] = []

  constructor(readonly k: Kernels) {}

  /** A region of `byteLength` bytes, `offset` bytes past a 64-byte boundary, between guards, all bytes 0xa5. */
  room(byteLength: number, offset = 0): Region {
    const whole = this.k.memory.alloc(byteLength + offset + 2 * GUARD)
    whole.u8().fill(FILL)
    this.#owned.push(whole)
    return whole.part(GUARD + offset, byteLength)
  }

  place(values: readonly bigint[], bits: Width, offset = 0): Region {
    const region = this.room((values.length * bits) / 8, offset)
    if (bits === 32) region.u32().set(values.map(Number))
    else region.u64().set(values)
    return region
  }

  bytes(values: Uint8Array, offset = 0): Region {
    const region = this.room(values.byteLength, offset)
    region.u8().set(values)
    return region
  }

  /** Fails when a byte beside `region` changed, then gives everything back. */
  close(...outputs: Region[]): void {
    for (const out of outputs) {
      const memory = new Uint8Array(this.k.memory.buffer)
      const before = memory.subarray(out.ptr - GUARD, out.ptr)
      const end = out.ptr + out.byteLength
      const after = memory.subarray(end, end + GUARD)
      if (!before.every((byte) => byte === FILL)) expect.fail('bytes before the output were written')
      if (!after.every((byte) => byte === FILL)) expect.fail('bytes after the output were written')
    }
    for (const region of this.#owned.splice(0)) region.release()
  }
}

export function read(region: Region, bits: Width): bigint[] {
  return bits === 32 ? Array.from(region.u32(), BigInt) : Array.from(region.u64())
}

/** One comparison per tensor: deep equality over bigint arrays is what takes the time in such tests. */
export function same(actual: readonly bigint[], expected: readonly bigint[], what: string): void {
  if (actual.length !== expected.length) expect.fail(`${what}: ${actual.length} words, expected ${expected.length}`)
  const at = actual.findIndex((value, i) => value !== expected[i])
  if (at >= 0) expect.fail(`${what}: word ${at} is ${actual[at]}, expected ${expected[at]}`)
}
