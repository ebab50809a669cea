// The integer reference of maxima of three on `mcc` (docs/protocol.md, "Maxima of three"): exact where every bit is compared.
import { windowTaps } from '../max-pools.js'
import type { MccActivation, Step } from '../plan.js'
import { elementCount } from '../plan.js'

/**
 * The maxima of a step's windows. Differences outside of [-2^(bits-2), 2^(bits-2)) are counted: they do not fit.
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
  for (let w = 0; w < out.length; w++) {
    const y0 = values[first[w]]
    const relus = [second[w], third[w]].map((i) => {
      const difference = values[i] - y0
      if (difference >= limit || difference < -limit) overflows++
      return sign(i, first[w]) ? difference : 0
    })
    out[w] = y0 + relus[sign(third[w], second[w]) ? 1 : 0]
  }
  return { out, overflows }
}
