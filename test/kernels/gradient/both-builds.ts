// A kernel's call on both builds of the float kernels, whose results must agree to the bit.
import { expect } from 'vitest'
import { type FloatKernels, loadFloatKernels } from '../../../src/kernels/float/instance.js'
import type { Region } from '../../../src/kernels/memory.js'
import { Bay } from '../fixture.js'
import type { Sums } from '../float/float-twin.js'

export const builds = { simd: loadFloatKernels('simd'), scalar: loadFloatKernels('scalar') }
export function numbers(count: number, seed = 1): Float32Array {
  let state = seed * 0x9e3779b1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 31 - 1) * 2 ** ((state & 7) - 3)
  })
}

export type Run = (
  k: FloatKernels,
  place: (values: ArrayLike<number>) => Region,
  room: (words: number) => Region,
) => Region

/** The same call on both builds, between guard bytes; their bytes must be equal. */
export function onBoth(what: string, run: Run): Float32Array {
  const results = Object.values(builds).map((k) => {
    const before = k.memory.inUse
    const bay = new Bay(k)
    const room = (words: number) => bay.room(4 * words, 4)
    const place = (values: ArrayLike<number>) => {
      const region = room(values.length)
      region.f32().set(values)
      return region
    }
    const out = run(k, place, room)
    const bytes = out.u8().slice()
    bay.close(out)
    if (k.memory.inUse !== before) expect.fail(`${what}: ${k.memory.inUse - before} bytes of memory were kept`)
    return bytes
  })
  if (Buffer.compare(results[0], results[1]) !== 0) expect.fail(`${what}: the builds differ`)
  return new Float32Array(results[0].buffer, 0, results[0].byteLength >> 2)
}

export function close(what: string, got: ArrayLike<number>, { values, sizes }: Sums): void {
  values.forEach((value, i) => {
    if (!(Math.abs(got[i] - value) <= 2 ** -20 * sizes[i] + 2 ** -140)) {
      expect.fail(`${what}: word ${i} is ${got[i]}, expected ${value}`)
    }
  })
}
