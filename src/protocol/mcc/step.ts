// A step of an `mcc` plan.
import type { Region } from '../../kernels/instance.js'
import type { Chain } from '../../kernels/mcc.js'
import type { MccActivation, MccPlan } from '../../plan/plan.js'
import type { ActiveLayout, PlanLayout, StepLayout } from '../layout.js'
import type { PlannedSteps } from '../step.js'

/** Where only sizes matter, a step's maps may be anything: `MccStep<unknown>`. */
export type MccStep<M = Region> = StepLayout<MccActivation, M>
export type MccLayout = PlanLayout<MccPlan, unknown>
export type MccSteps = PlannedSteps<MccPlan>
/** A step that has an activation. */
export type ReluStep<M = Region> = ActiveLayout<MccActivation, M>

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: MccActivation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
