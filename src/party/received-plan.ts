// A plan as it comes from a peer: well-formed, the one its digest names, and no more work than an honest one.
import { RingfenceError } from '../errors.js'
import { paddedSize } from '../kernels/geometry.js'
import { COPY_WORDS, OWN_WORDS } from '../kernels/polynomial/quadratic.js'
import { type Link, Phase, type ReceiveOptions } from '../net/index.js'
import { checkPlan } from '../plan/check.js'
import { groupedWindows, meetingsOf } from '../plan/max-pools.js'
import {
  elementCount,
  hasWins,
  type LinearOp,
  maxPoolOf,
  type Plan,
  planDigest,
  reluShape,
  type Step,
} from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { equal } from './messages.js'

/**
 * What a party can hold and do: 32 bytes for every value of a step and 16 for every weight fill the 4 GiB of a WebAssembly
 * memory, and so much work takes minutes. checkPlan bounds the parts of a plan; VGG-16 at 224 x 224 needs 2^23, 2^28 and 2^34.
 */
const MAX_ELEMENTS = 2 ** 27
const MAX_WEIGHTS = 2 ** 28
const MAX_WORK = 2 ** 38

/** Longest plan a party accepts: plans are public but come from a peer. */
const MAX_PLAN_BYTES = 4 * 2 ** 20

/**
 * Receives a plan whose length and digest a peer announced.
 * @throws RingfenceError FRAME for an absurd length, PLAN_MISMATCH as `readPlan`, and as `Link.receive`
 */
export async function receivePlan(
  link: Link,
  announced: { planBytes: number; digest: Uint8Array },
  options?: ReceiveOptions,
): Promise<Plan> {
  if (announced.planBytes > MAX_PLAN_BYTES) {
    throw new RingfenceError('FRAME', `the ${link.name} announced a plan of more than ${MAX_PLAN_BYTES} bytes`)
  }
  const payload = await link.receive(Kind.plan, Phase.setup, 0, announced.planBytes, options)
  return readPlan(payload, announced.digest)
}

/**
 * @param payload the plan's JSON
 * @param digest SHA-256 that the peer announced
 * @throws RingfenceError PLAN_MISMATCH when the bytes are no plan this version can walk, or not the announced one
 */
export function readPlan(payload: Uint8Array, digest: Uint8Array): Plan {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch (cause) {
    throw new RingfenceError('PLAN_MISMATCH', 'the plan is not JSON', [], { cause })
  }
  const plan = checkPlan(json)
  const problems = excesses(plan)
  if (problems.length > 0) throw new RingfenceError('PLAN_MISMATCH', 'this plan does not fit a party', problems)
  if (!equal(planDigest(plan), digest)) {
    throw new RingfenceError('PLAN_MISMATCH', 'the plan that arrived is not the one its digest names')
  }
  return plan
}

/** Bytes of JavaScript memory that a plan of so many bytes of JSON takes, roughly and not less. */
export const parsedBytes = (json: number): number => 8 * json

/** What of a plan is more than a party can hold or do: how much that is, and how much there may be. */
function excesses({ steps }: Plan): string[] {
  const sum = (of: (step: Step) => number) => steps.reduce((total, step) => total + of(step), 0)
  const largest = steps.reduce((most, step) => Math.max(most, elements(step)), 0)
  const weights = sum(({ linear }) => linear.reduce((all, op) => all + filterWords(op), 0))
  const bounds: [string, number, number][] = [
    ['values in one step', largest, MAX_ELEMENTS],
    ['weights', weights, MAX_WEIGHTS],
    ['multiplications and additions', sum(work), MAX_WORK],
  ]
  return bounds
    .filter(([, have, most]) => have > most)
    .map(([what, have, most]) => `${have.toPrecision(3)} ${what}, at most 2^${Math.log2(most)} fit`)
}

/** Values of all operations, of the images they pad, and what is dealt of the step beside them. */
function elements(step: Step): number {
  return step.linear.reduce((all, op) => all + elementCount(op.out) + padding(op), dealt(step))
}

/** Words of a step beside its maps: of a product, a curve, quadratic selects, wins or maxima, or copies that ReLUs read. */
function dealt(step: Step): number {
  const { activation, product } = step
  if (product) return 16 * elementCount(step.out)
  if (!activation) return 0
  if ('curve' in activation && activation.curve)
    return 2 * elementCount(step.out) * activation.curve.polynomials.flat().length
  if ('quadratic' in activation && activation.quadratic)
    return 2 * elementCount(step.out) * (OWN_WORDS + COPY_WORDS * activation.quadratic.polynomials.length)
  if (hasWins(step)) return 8 * meetingsOf(step)
  // Three words of indices among them.
  if (maxPoolOf(step)) return 48 * groupedWindows(step)
  return activation.bends ? elementCount(reluShape(step)) : 0
}

const padding = (op: LinearOp): number =>
  op.op === 'conv' && op.geometry.pad.some(Boolean) ? paddedSize(op.geometry) : 0

function filterWords(op: LinearOp): number {
  if (op.op !== 'conv') return 0
  const { cin, cout, groups, kernel } = op.geometry
  return cout * (cin / groups) * kernel[0] * kernel[1]
}

/** Additions and multiplications of a step. An operation that several others read is computed for each of them. */
function work({ linear }: Step): number {
  const totals: number[] = []
  for (const op of linear) {
    const size = elementCount(op.out)
    let own = size
    if (op.op === 'conv') own = (size / op.geometry.cout) * filterWords(op) + padding(op)
    if (op.op === 'poolSum') own = size * op.kernel[0] * op.kernel[1]
    const inputs = 'of' in op ? (typeof op.of === 'number' ? [op.of] : op.of) : []
    totals.push(inputs.reduce((all, of) => all + totals[of], own))
  }
  return totals[totals.length - 1]
}
