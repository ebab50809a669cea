// A step of an `mcc` plan.
import type { Chain } from '../../kernels/mcc.js'
import type { MccActivation, MccPlan } from '../../plan/plan.js'
import type { ActiveLayout, Forms, PlanLayout, StepLayout } from '../layout.js'
import type { InMemory, PlannedSteps } from '../step.js'

/** Where only sizes matter, a step's maps may be anything: `MccStep<Forms>`. */
export type MccStep<F extends Forms = InMemory> = StepLayout<MccActivation, F>
export type MccLayout = PlanLayout<MccPlan, Forms>
export type MccSteps = PlannedSteps<MccPlan>
/** A step that has an activation. */
export type ReluStep<F extends Forms = InMemory> = ActiveLayout<MccActivation, F>

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: MccActivation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
