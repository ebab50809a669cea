// A step of an `mcc` plan.
import type { Chain } from '../../kernels/mcc.js'
import type { MccActivation, MccPlan } from '../../plan/plan.js'
import type { ActiveLayout, PlanLayout, ReluNumbers, StepLayout } from '../layout.js'
import type { PlannedRelu, PlannedSteps } from '../step.js'

/** Where only sizes matter, a step needs no maps: `MccStep<ReluNumbers>`. */
export type MccStep<R extends ReluNumbers = PlannedRelu> = StepLayout<MccActivation, R>
export type MccLayout = PlanLayout<MccPlan>
export type MccSteps = PlannedSteps<MccPlan>
/** A step that has an activation. */
export type ReluStep<R extends ReluNumbers = PlannedRelu> = ActiveLayout<MccActivation, R>

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: MccActivation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
