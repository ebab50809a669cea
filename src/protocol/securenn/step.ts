// A step of a `securenn` plan.
import type { Region } from '../../kernels/instance.js'
import type { SecurennActivation, SecurennPlan } from '../../plan/plan.js'
import type { ActiveLayout, PlanLayout, StepLayout } from '../layout.js'
import type { PlannedSteps } from '../step.js'

/** Where only sizes matter, a step's maps may be anything: `SecurennStep<unknown>`. */
export type SecurennStep<M = Region> = StepLayout<SecurennActivation, M>
export type SecurennLayout = PlanLayout<SecurennPlan, unknown>
export type SecurennSteps = PlannedSteps<SecurennPlan>
/** A step that has an activation. */
export type SecurennReluStep<M = Region> = ActiveLayout<SecurennActivation, M>
