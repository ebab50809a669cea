// A step of an `mcc` plan.
import type { Chain } from '../../kernels/mcc.js'
import type { MccActivation, MccPlan } from '../../plan/plan.js'
import type { ActiveStep, PlannedStep, PlannedSteps } from '../step.js'

export type MccStep = PlannedStep<MccActivation>
export type MccSteps = PlannedSteps<MccPlan>
/** A step that has an activation. */
export type ReluStep = ActiveStep<MccActivation>

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: MccActivation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
