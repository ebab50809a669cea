// A step of an `mcc` plan.
import type { Chain } from '../../kernels/mcc.js'
import type { Bends, Curve, MccActivation, MccPlan, PoolWindows, Quadratic } from '../../plan/plan.js'
import type { ActiveLayout, PlanLayout, ProductLayout, ReluNumbers, StepLayout } from '../layout.js'
import { isActive, isProduct, type PlannedRelu, type PlannedSteps } from '../step.js'

/** Where only sizes matter, a step needs no maps: `MccStep<ReluNumbers>`. */
export type MccStep<R extends ReluNumbers = PlannedRelu> = StepLayout<MccActivation, R>
export type MccLayout = PlanLayout<MccPlan>
export type MccSteps = PlannedSteps<MccPlan>
/** A step that has an activation. */
export type ReluStep<R extends ReluNumbers = PlannedRelu> = ActiveLayout<MccActivation, R>

/** A step that multiplies two tensors. */
export type ProductStep<R extends ReluNumbers = PlannedRelu> = ProductLayout<MccActivation, R>

/** A step that looks a function of every value up. */
export type CurveStep<R extends ReluNumbers = PlannedRelu> = ReluStep<R> & {
  readonly activation: MccActivation & { readonly curve: Curve }
}

/** A step whose copies are summed as second-degree polynomials. */
export type QuadraticStep<R extends ReluNumbers = PlannedRelu> = ReluStep<R> & {
  readonly activation: MccActivation & { readonly bends: Bends; readonly quadratic: Quadratic }
}

export function isQuadratic<R extends ReluNumbers>(step: MccStep<R>): step is QuadraticStep<R> {
  return step.activation?.quadratic !== undefined
}

/** A step whose results are maxima of its values. */
export type MaxPoolStep<R extends ReluNumbers = PlannedRelu> = ReluStep<R> & {
  readonly activation: MccActivation & { readonly maxPool: PoolWindows }
}

/** A step whose results are wins of its values. */
export type WinsStep<R extends ReluNumbers = PlannedRelu> = ReluStep<R> & {
  readonly activation: MccActivation & { readonly wins: true }
}

export function isWins<R extends ReluNumbers>(step: MccStep<R>): step is WinsStep<R> {
  return step.activation?.wins === true
}

export function isMaxPool<R extends ReluNumbers>(step: MccStep<R>): step is MaxPoolStep<R> {
  return step.activation?.maxPool !== undefined
}

export function isCurve<R extends ReluNumbers>(step: MccStep<R>): step is CurveStep<R> {
  return step.activation?.curve !== undefined
}

/** A step that is opened, and answered by the client: all are but the last. */
export type AnsweredStep<R extends ReluNumbers = PlannedRelu> = ReluStep<R> | ProductStep<R>

export function opens<R extends ReluNumbers>(step: MccStep<R>): step is AnsweredStep<R> {
  return isActive(step) || isProduct(step)
}

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: MccActivation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
