// A step of a `securenn` plan.
import type { SecurennActivation, SecurennPlan } from '../../plan/plan.js'
import type { ActiveStep, PlannedStep, PlannedSteps } from '../step.js'

export type SecurennStep = PlannedStep<SecurennActivation>
export type SecurennSteps = PlannedSteps<SecurennPlan>
/** A step that has an activation. */
export type SecurennReluStep = ActiveStep<SecurennActivation>
