// Fixed point: a real x becomes the integer round(x·2^scale), in two's complement.
import { RingfenceError, throwIfAny } from '../errors.js'

/**
 * @param bits results lie in (-2^(bits-1), 2^(bits-1))
 * @throws RingfenceError BAD_INPUT when a value is not finite or does not fit; the message counts them and names the
 *   first position, never a value
 */
export function encodeFixed(values: Float32Array, scale: number, bits: number): Int32Array {
  const limit = 2 ** (bits - 1)
  const factor = 2 ** scale
  const out = new Int32Array(values.length)
  let notFinite = 0
  let tooLarge = 0
  let first = -1
  for (let i = 0; i < values.length; i++) {
    const x = Math.round(values[i] * factor)
    const fine = x > -limit && x < limit
    if (fine) out[i] = x
    else {
      if (first < 0) first = i
      if (Number.isFinite(x)) tooLarge++
      else notFinite++
    }
  }
  const problems: string[] = []
  if (notFinite > 0) problems.push(`${notFinite} values are NaN or infinite`)
  if (tooLarge > 0)
    problems.push(`${tooLarge} values are outside ±${limit / factor}, the range this plan was calibrated for`)
  throwIfAny('BAD_INPUT', `the input does not fit fixed point (first at element ${first})`, problems)
  return out
}

/** The reals that fixed-point words stand for. */
export function decodeFixed(words: Int32Array, scale: number): Float32Array {
  const unit = 2 ** -scale
  const out = new Float32Array(words.length)
  for (let i = 0; i < words.length; i++) out[i] = words[i] * unit
  return out
}

/** A finite Float32Array of exactly `length` values. @throws RingfenceError BAD_INPUT */
export function expectInput(values: unknown, length: number): Float32Array {
  if (!(values instanceof Float32Array)) {
    throw new RingfenceError(
      'BAD_INPUT',
      'an input is a Float32Array in CHW order; make one from a picture with pictureToInput',
    )
  }
  if (values.length !== length) {
    throw new RingfenceError('BAD_INPUT', `this network takes ${length} values, got ${values.length}`)
  }
  return values
}
