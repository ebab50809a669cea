import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { decodeFixed, encodeFixed, expectInput } from '../../src/ring/codec.js'

const caught = (run: () => unknown): RingfenceError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  return expect.fail('no error was thrown')
}

describe('fixed point', () => {
  it('is off by half a unit at most', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ min: -100, max: 100, noNaN: true, maxLength: 50 }),
        fc.integer({ min: -2, max: 14 }),
        (values, scale) => {
          const back = decodeFixed(encodeFixed(values, scale, 32), scale)
          back.forEach((x, i) => void expect(Math.abs(x - values[i])).toBeLessThanOrEqual(2 ** -scale / 2 + 1e-4))
        },
      ),
    )
  })

  it('takes values up to its range and none beyond', () => {
    expect([...encodeFixed(Float32Array.of(127, -127), 8, 16)]).toEqual([32512, -32512])
    expect([...encodeFixed(Float32Array.of(32767, -32767), 0, 16)]).toEqual([32767, -32767])
    for (const x of [32768, -32768]) {
      expect(caught(() => encodeFixed(Float32Array.of(x), 0, 16))).toMatchObject({ code: 'BAD_INPUT' })
    }
  })

  it('counts what does not fit and shows no value', () => {
    const values = Float32Array.of(1, Number.NaN, 4711, Number.POSITIVE_INFINITY, -4711, 0)
    const error = caught(() => encodeFixed(values, 8, 16))
    expect(error).toMatchObject({
      code: 'BAD_INPUT',
      problems: ['2 values are NaN or infinite', expect.stringContaining('2 values are outside ±128')],
    })
    expect(error.message).toContain('first at element 1')
    expect(error.message).not.toContain('4711')
  })

  it('an input is a Float32Array of the right length', () => {
    expect(caught(() => expectInput([1, 2], 2))).toMatchObject({ code: 'BAD_INPUT' })
    expect(caught(() => expectInput(new Float32Array(3), 2)).message).toContain('2 values, got 3')
    expect(expectInput(new Float32Array(2), 2)).toHaveLength(2)
  })
})
