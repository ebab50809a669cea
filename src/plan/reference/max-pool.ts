// The integer reference of maxima of three and of wins on `mcc` (docs/protocol.md): exact where every bit is compared.
import { windowTaps } from '../max-pools.js'
import type { MccActivation, Step } from '../plan.js'
import { elementCount, linearShape } from '../plan.js'

/**
 * The maxima of a step's windows. First values and differences outside of [-2^(bits-2), 2^(bits-2)) are counted: they do
 * not fit.
 * @param values y' of every element; @param sign whether element i is seen not to be below element j
 */
export function maximaOf(
  step: Step,
  a: MccActivation,
  values: ArrayLike<number>,
  sign: (i: number, j: number) => boolean,
): { out: Int32Array; overflows: number } {
  const limit = 2 ** (a.bits - 2)
  const out = new Int32Array(elementCount(step.out))
  const [first, second, third] = windowTaps(step, a.maxPool!)
  let overflows = 0
  const fits = (v: number) => v >= -limit && v < limit
  for (let w = 0; w < out.length; w++) {
    const y0 = values[first[w]]
    if (!fits(y0)) overflows++
    const relus = [second[w], third[w]].map((i) => {
      const difference = values[i] - y0
      if (!fits(difference)) overflows++
      return sign(i, first[w]) ? difference : 0
    })
    out[w] = y0 + relus[sign(third[w], second[w]) ? 1 : 0]
  }
  return { out, overflows }
}

/** How often each channel wins against another of its position: a lower one wins ties. @param values y' of every element */
export function winsOf(step: Step, { bits }: MccActivation, values: ArrayLike<number>): Int32Array {
  const [channels, h, w] = linearShape(step)
  const plane = h * w
  const out = new Int32Array(values.length)
  const least = -(2 ** (bits - 1))
  for (let by = 1; by <= channels >> 1; by++)
    for (let i = 0; i < values.length; i++) {
      const j = (i + by * plane) % values.length
      const difference = values[i] - values[j] - (j < i ? 1 : 0)
      // Mod 2^bits, as it is compared.
      const beyond = difference < least || difference >= -least
      out[difference >= 0 !== beyond ? i : j]++
    }
  return out
}
