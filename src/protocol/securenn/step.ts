// A step of a `securenn` plan.
import type { SecurennActivation, SecurennPlan } from '../../plan/plan.js'
import type { ActiveLayout, Forms, PlanLayout, StepLayout } from '../layout.js'
import type { InMemory, PlannedSteps } from '../step.js'

/** Where only sizes matter, a step's maps may be anything: `SecurennStep<Forms>`. */
export type SecurennStep<F extends Forms = InMemory> = StepLayout<SecurennActivation, F>
export type SecurennLayout = PlanLayout<SecurennPlan, Forms>
export type SecurennSteps = PlannedSteps<SecurennPlan>
/** A step that has an activation. */
export type SecurennReluStep<F extends Forms = InMemory> = ActiveLayout<SecurennActivation, F>
