// How far a private result may lie from the network over real numbers when every comparison is right: what roundings add,
// carried through the steps. A truncation, local or by truncate-reduce, is off by less than one unit and by nothing on
// average; integer weights, factors, biases and inputs are off by at most half a unit. ReLU and max add nothing: they
// move no farther than what goes in.
import { type Compiled, weightKey } from '../../../src/plan/compile/compile.js'
import { bentResult } from '../../../src/plan/openings.js'
import {
  type LinearOp,
  outputFraction,
  type Plan,
  type SecurennPlan,
  type Step,
  stepLayout,
} from '../../../src/plan/plan.js'
import { exact, linearReference } from '../../../src/plan/reference/linear.js'

/** How errors add up. */
export interface Law {
  /** What a factor does to an error. */
  through(factor: number): number
  /** Of rounding to the nearest integer, and of a truncation. */
  readonly rounding: number
  readonly truncation: number
  /** The size of a value that meets a rounded weight. */
  size(value: number, error: number): number
}

/** The worst case. */
export const WORST: Law = {
  through: Math.abs,
  rounding: 0.5,
  truncation: 1,
  size: (value, error) => Math.abs(value) + error,
}

/**
 * Variances of what truncations add, a coin of one unit each. Those of a step are independent; that its values meet again
 * later is left out, as signs of weights are as good as random.
 */
export const VARIANCE: Law = { through: (factor) => factor ** 2, rounding: 0, truncation: 1 / 4, size: () => 0 }

export interface Outputs {
  /** What the integer network computes when nothing is truncated. */
  readonly values: Float64Array
  /** The error of every output by the law (variances are squares). */
  readonly errors: Float64Array
}

/**
 * The outputs of a plan over real numbers, and how far a private run may be from them (`VARIANCE`) or from the network
 * the plan was made of (`WORST`).
 * @param words fixed-point input
 */
export function outputErrors(compiled: Compiled, words: Int32Array, law: Law): Outputs {
  const { plan, model } = compiled
  const values = [Float64Array.from(words)]
  const errors = [new Float64Array(words.length).fill(law.rounding)]
  for (const [index, step] of plan.steps.entries()) {
    const weights = (i: number) => model.weights.get(weightKey(index, i))!
    const y = linearReference(exact, step, values, weights)
    const carried = linearReference(exact, replaced(step, law.through), errors, (i) =>
      Float64Array.from(weights(i), law.through),
    )
    const sizes = () => values.map((tensor, t) => tensor.map((value, i) => law.size(value, errors[t][i])))
    const rounded = law.rounding && roundings(step, sizes(), weights, law)
    const bias = model.bias[index]
    const total = y.map((_, i) => carried[i] + (rounded ? rounded[i] : 0) + law.rounding)
    const share = y.length / bias.length
    const sum = y.map((value, i) => value + Number(bias[Math.floor(i / share)]))
    if (!step.activation) {
      return { values: sum.map((value) => value * 2 ** -step.scale), errors: atOutput(plan, step.scale, total, law) }
    }
    const unit = 2 ** step.activation.truncate
    // On mcc the bias holds what truncate-reduce loses on average.
    const lost = plan.backend === 'mcc' ? unit - 1 : 0
    values.push(activated(step, sum, lost, unit))
    const truncated = total.map((error) => error * law.through(1 / unit) + law.truncation)
    errors.push(bent(step, truncated, law))
  }
  throw new Error('a plan ends in a step without an activation')
}

/** What rounded weights and factors add to y. */
function roundings(
  step: Step,
  sizes: readonly Float64Array<ArrayBuffer>[],
  weights: (operation: number) => ArrayLike<number>,
  { through, rounding }: Law,
) {
  const filter = (i: number) => new Float64Array(weights(i).length).fill(rounding)
  return linearReference(exact, replaced(step, through, rounding), sizes, filter)
}

/** The client of a `securenn` plan drops the bits below its input's. */
function atOutput(plan: Plan, scale: number, errors: Float64Array, law: Law): Float64Array {
  const fraction = plan.backend === 'securenn' ? outputFraction(plan as SecurennPlan) : scale
  const dropped = plan.backend === 'securenn' ? law.truncation * law.through(2 ** (scale - fraction)) : 0
  return errors.map((error) => (error + dropped) * law.through(2 ** -scale))
}

/** The step over errors: what public factors make of them, or, with `rounding`, what rounding the factors adds. */
function replaced(step: Step, through: (factor: number) => number, rounding?: number) {
  const linear = step.linear.map((op): LinearOp => {
    if (op.op === 'scale') return { ...op, factor: through(op.factor) }
    if (op.op !== 'lift') return op
    const factor = (value: number) => rounding ?? through(value)
    return { ...op, factor: typeof op.factor === 'number' ? factor(op.factor) : op.factor.map(factor) }
  })
  return { ...step, linear }
}

/** A clip moves no farther than its value; its bends are rounded. Copies that all come out have their value's error. */
function bent({ activation }: Step, errors: Float64Array<ArrayBuffer>, law: Law): Float64Array<ArrayBuffer> {
  const bends = activation?.bends
  if (!bends) return errors
  const rounded = errors.map((error) => error + 2 * law.rounding)
  return bends.sum ? rounded : Float64Array.from(bends.shifts.flatMap(() => [...rounded]))
}

/** Exact signs; a value that nobody keeps is zero. */
function activated(step: Step, y: Float64Array, lost: number, unit: number): Float64Array<ArrayBuffer> {
  const layout = stepLayout(step)!
  const shifts = step.activation?.bends?.shifts ?? [0]
  const out = new Float64Array(y.length * shifts.length)
  const copy = (i: number) => (y[i % y.length] - lost) / unit + shifts[Math.floor(i / y.length)]
  for (const i of layout.switched) out[i] = Math.max(0, copy(i))
  for (const i of layout.identity) out[i] = copy(i)
  return bentResult(step, out, layout)
}
