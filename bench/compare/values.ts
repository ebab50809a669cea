// What is compared: signed integers, the same for every back end.
import type { Activations, Values, Variant } from './backend.js'

/** Bits of a value unless told otherwise: narrower windows ignore low bits of it, wider ones need wider values. */
const VALUE_BITS = 16

/** @param ignored low bits that comparisons leave out; without it those of a 16-bit value beyond the compared ones */
export const openedBits = (bits: number, ignored?: number): number =>
  ignored === undefined ? Math.max(VALUE_BITS, bits) : bits + ignored

/** Uniform over the range that calibration guarantees; mulberry32, nothing secret. */
export function uniform({ opened }: Variant, elements: number): Values {
  let state = 1
  const word = () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return (x ^ (x >>> 14)) >>> 0
  }
  const half = 2 ** (opened - 2)
  if (opened <= 32) return Int32Array.from({ length: elements }, () => Math.floor((word() / 2 ** 32) * 2 * half) - half)
  return BigInt64Array.from({ length: elements }, () =>
    BigInt.asIntN(opened - 1, (BigInt(word()) << 32n) | BigInt(word())),
  )
}

/** A layer's activations as a plan would present them, repeated to `elements` values. */
export function quantise({ opened }: Variant, { values, scale, bits }: Activations, elements: number): Values {
  const factor = 2 ** (scale + opened - bits)
  const most = 2 ** (opened - 2)
  const value = (i: number) => Math.floor(values[i % values.length] * factor)
  if (opened > 32) return BigInt64Array.from({ length: elements }, (_, i) => BigInt(value(i)))
  return Int32Array.from({ length: elements }, (_, i) => Math.max(-most, Math.min(most - 1, value(i))))
}

/** Mean of every value's probability to come out with the wrong sign. */
export function expectedWrong(values: Values, probability: (v: number) => number): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += probability(Number(values[i]))
  return sum / values.length
}
