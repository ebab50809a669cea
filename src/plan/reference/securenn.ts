// The integer reference of `securenn`: what comes out of local truncations and windows, given the client's shares.
import { type QuantizedModel, weightKey } from '../compile/compile.js'
import { bentResult } from '../openings.js'
import { outputFraction, type SecurennActivation, type SecurennPlan, type Step, stepLayout } from '../plan.js'
import { exact, int64, linearReference } from './linear.js'
import type { ReferenceRun } from './mcc.js'

/** What fixes the client's shares of a private inference on `securenn`. */
export interface SecurennMasks {
  /** r of tensor `index`: 0 is the input, i + 1 the result of step i. */
  tensor(index: number): BigInt64Array
  /** B of one filter. */
  filter(step: number, operation: number): BigInt64Array
  /** s of a step: what hides the client's part of its y from the helper. */
  blind(step: number): BigInt64Array
}

/**
 * @param input fixed-point input, signed, CHW
 * @param masks of one private run; without them the client's shares are zero: nothing is rounded up, no carry lost
 */
export function runSecurennReference(
  plan: SecurennPlan,
  model: QuantizedModel<SecurennPlan>,
  input: Int32Array,
  masks?: SecurennMasks,
): ReferenceRun {
  const tensors = [Float64Array.from(input)]
  const random = masks && [masks.tensor(0)]
  let overflows = 0
  let output: Int32Array = new Int32Array(0)
  plan.steps.forEach((step, index) => {
    const filter = (i: number) => model.weights.get(weightKey(index, i))!
    const y = linearReference(exact, step, tensors, filter)
    const bias = model.bias[index]
    const share = y.length / bias.length
    for (let i = 0; i < y.length; i++) y[i] += Number(bias[Math.floor(i / share)])
    if (!step.activation) {
      const drop = 2 ** (step.scale - outputFraction(plan))
      output = Int32Array.from(y, (value) => Math.floor(value / drop))
      return
    }
    const mine = masks ? clientShare(step, index, masks, random!) : new BigInt64Array(y.length)
    const run = activate(step, step.activation, y, mine)
    overflows += run.overflows
    tensors.push(run.out)
    random?.push(masks!.tensor(index + 1))
  })
  return { output, overflows }
}

function clientShare(step: Step, index: number, masks: SecurennMasks, random: readonly BigInt64Array[]): BigInt64Array {
  const y = linearReference(int64, step, random, (i) => masks.filter(index, i))
  const s = masks.blind(index)
  return y.map((word, i) => BigInt.asIntN(64, word + s[i]))
}

/** Shares of y >> f as both parties compute them alone (SecureML, section 4.1): sum and the client's part. */
function truncate(y: number, share: bigint, f: number): [sum: bigint, mine: bigint] {
  const drop = BigInt(f)
  const theirs = BigInt.asIntN(64, BigInt(y) - share)
  const mine = share >> drop
  return [BigInt.asIntN(64, mine - (BigInt.asIntN(64, -theirs) >> drop)), mine]
}

/** Whether a comparison calls the sum of two shares non-negative. */
function sign(value: bigint, mine: bigint, { ignoredMsb, ignoredLsb }: SecurennActivation, shift: number): boolean {
  if (ignoredMsb === 0) return value >= 0n && value !== 2n ** 63n - 1n
  const bits = 64 - ignoredMsb
  const drop = BigInt(ignoredLsb + Math.min(shift, ignoredMsb - ignoredLsb))
  const part = (share: bigint) => BigInt.asUintN(64, share) >> drop
  const window = BigInt.asUintN(bits, part(mine) + part(value - mine))
  // The odd ring 2^bits - 1 cannot tell its last word from 0.
  return window < 2n ** BigInt(bits - 1) || window === 2n ** BigInt(bits) - 1n
}

function activate(step: Step, a: SecurennActivation, y: Float64Array, share: BigInt64Array) {
  const layout = stepLayout(step)!
  const out = new Float64Array(layout.elements)
  const beyond = 2n ** BigInt(63 - a.ignoredMsb + a.ignoredLsb)
  const values = new BigInt64Array(layout.elements)
  const mine = new BigInt64Array(layout.elements)
  // A copy is the value, moved by the server alone.
  y.forEach((value, i) => {
    const [sum, client] = truncate(value, share[i], a.truncate)
    for (const [j, shift] of (a.bends?.shifts ?? [0]).entries()) {
      values[j * y.length + i] = sum + BigInt(shift)
      mine[j * y.length + i] = client
    }
  })
  let overflows = 0
  for (const i of layout.switched) if (values[i] >= beyond || values[i] < -beyond) overflows++
  const b = new Array<boolean>(layout.singles + layout.patches)
  layout.group.forEach((g, s) => {
    const i = layout.switched[s]
    if (g < layout.singles) b[g] = sign(values[i], mine[i], a, 0)
  })
  for (let p = 0; p < layout.patches; p++) {
    const members = layout.patchElements.subarray(layout.patchStart[p], layout.patchStart[p + 1])
    const sum = (of: BigInt64Array) =>
      BigInt.asIntN(
        64,
        members.reduce((total, i) => total + of[i], 0n),
      )
    b[layout.singles + p] = sign(sum(values), sum(mine), a, layout.patchShift[p])
  }
  layout.switched.forEach((i, s) => {
    out[i] = b[layout.group[s]] ? Number(values[i]) : 0
  })
  for (const i of layout.identity) out[i] = Number(values[i])
  return { out: bentResult(step, out, layout), overflows }
}
