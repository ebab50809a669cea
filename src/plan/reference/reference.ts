// The integer reference of either back end. Given the masks of a private run, its result equals the private one bit for
// bit.
import type { QuantizedModel } from '../compile/compile.js'
import type { MccPlan, Plan, SecurennPlan } from '../plan.js'
import { type MccMasks, type ReferenceRun, runMccReference } from './mcc.js'
import { runSecurennReference, type SecurennMasks } from './securenn.js'

export type { MccMasks, ReferenceRun } from './mcc.js'
export type { SecurennMasks } from './securenn.js'

/** The masks a private inference used, as the parties derive them. */
export type Masks<P extends Plan = Plan> = P extends MccPlan ? MccMasks : SecurennMasks

/**
 * Runs a plan in plain text, with none of the kernels.
 * @param input fixed-point input, signed, CHW
 * @param masks of one private run on the plan's back end; without them roundings are fixed and windows exact
 */
export function runReference<P extends Plan>(
  plan: P,
  model: QuantizedModel<P>,
  input: Int32Array,
  masks?: Masks<P>,
): ReferenceRun {
  return plan.backend === 'mcc'
    ? runMccReference(plan, model as QuantizedModel<MccPlan>, input, masks as MccMasks | undefined)
    : runSecurennReference(plan, model as QuantizedModel<SecurennPlan>, input, masks as SecurennMasks | undefined)
}
