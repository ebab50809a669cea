// A step of a `securenn` plan.
import type { SecurennActivation, SecurennPlan } from '../../plan/plan.js'
import type { ActiveLayout, PlanLayout, ReluNumbers, StepLayout } from '../layout.js'
import type { PlannedRelu, PlannedSteps } from '../step.js'

/** Where only sizes matter, a step needs no maps: `SecurennStep<ReluNumbers>`. */
export type SecurennStep<R extends ReluNumbers = PlannedRelu> = StepLayout<SecurennActivation, R>
export type SecurennLayout = PlanLayout<SecurennPlan>
export type SecurennSteps = PlannedSteps<SecurennPlan>
/** A step that has an activation. */
export type SecurennReluStep<R extends ReluNumbers = PlannedRelu> = ActiveLayout<SecurennActivation, R>
