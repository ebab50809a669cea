// What training makes small: cross entropy with smoothed labels, and the distance from a teacher's answer.
import { softmax } from './weighted.js'

/** Which loss, and how its parts weigh. */
export interface LossOptions {
  /** Share of every label that is spread evenly over all classes (Szegedy et al. 2016), 0 to 1. */
  readonly smoothing: number
  /** Weight of the teacher's answer; 0 needs no teacher. */
  readonly distill: number
  /** By which logits are divided before they are compared with the teacher's (Hinton et al. 2015). */
  readonly temperature: number
}

/** The loss of one picture. */
export interface Loss {
  readonly loss: number
  /** Its gradient by the logits. */
  readonly seed: Float32Array
  /** Whether the largest logit is the label's. */
  readonly hit: boolean
}

/**
 * CE(t, softmax(z)) + distill·T²·KL(softmax(z_t/T) ‖ softmax(z/T)) with t = (1 - smoothing)·onehot + smoothing/C, of which
 * the gradient is softmax(z) - t + distill·T·(softmax(z/T) - softmax(z_t/T)). In double precision.
 * @param teacher the teacher's logits; none are needed when `distill` is 0
 */
export function lossOf(
  logits: Float32Array,
  label: number,
  { smoothing, distill, temperature }: LossOptions,
  teacher?: Float32Array,
): Loss {
  const classes = logits.length
  const p = softmax(logits)
  const target = (i: number) => smoothing / classes + (i === label ? 1 - smoothing : 0)
  let loss = crossEntropy(logits, target)
  const seed = Float32Array.from(p, (p, i) => p - target(i))
  if (teacher && distill > 0) {
    const own = softmax(logits, temperature)
    const given = softmax(teacher, temperature)
    const scaled = Float64Array.from(logits, (z) => z / temperature)
    const entropy = given.reduce((sum, q) => sum + (q > 0 ? q * Math.log(q) : 0), 0)
    loss += distill * temperature ** 2 * (entropy + crossEntropy(scaled, (i) => given[i]))
    for (let i = 0; i < classes; i++) seed[i] += distill * temperature * (own[i] - given[i])
  }
  const hit = logits.every((z, i) => z < logits[label] || i === label || (z === logits[label] && i > label))
  return { loss, seed, hit }
}

/** -Σ t_i·log softmax(z)_i, from the logits, so that no logarithm of zero is taken. */
function crossEntropy(logits: ArrayLike<number>, target: (i: number) => number): number {
  const list = Array.from(logits)
  const most = Math.max(...list)
  const log = most + Math.log(list.reduce((sum, z) => sum + Math.exp(z - most), 0))
  return list.reduce((sum, z, i) => sum + target(i) * (log - z), 0)
}
