import { describe, expect, it } from 'vitest'
import { toFloat32 } from '../../../src/model/half-floats.js'

describe('bytes to float32', () => {
  const floats = Float32Array.of(1, -2.5, 3e-9)
  const bytes = new Uint8Array(floats.buffer)

  it('is a view of aligned bytes and a copy of others', () => {
    expect(toFloat32('F32', bytes).buffer).toBe(floats.buffer)
    const shifted = new Uint8Array(bytes.length + 1)
    shifted.set(bytes, 1)
    expect([...toFloat32('F32', shifted.subarray(1))]).toEqual([...floats])
  })

  it("reads Node's Buffers, whose slice shares memory, at every alignment", () => {
    for (let offset = 0; offset < 8; offset++) {
      const pool = Buffer.alloc(64, 0xaa)
      pool.set(bytes, offset)
      expect([...toFloat32('F32', pool.subarray(offset, offset + bytes.length))]).toEqual([...floats])
    }
  })
})
