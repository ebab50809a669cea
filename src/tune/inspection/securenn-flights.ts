// How long an inference's chain of messages is: on a slow network every flight costs half a round trip.
import { type Plan, stepCounts } from '../../plan/plan.js'
import { EXACT } from '../../protocol/securenn/drelu.js'
import { reluMessages } from '../../protocol/securenn/relu.js'
import { flights } from '../../protocol/transcript.js'

/** A DReLU and a product; the tensor goes out with the client's opening of it (docs/protocol.md, section 18). */
const COMPARISON = flights(reluMessages({ activation: EXACT, relu: { comparisons: 1, switched: 1 } }))
/** The start, and what the helper sends for the first step; the input arrives meanwhile. */
const START = 2

/**
 * One-way waves over all links of which each waits for the one before, per step of a `securenn` plan. Links carry messages
 * of both directions at once there, so that no meter of a single party can count them.
 */
export function securennFlights(plan: Plan): number[] {
  return plan.steps.map((step, i) => {
    const counts = stepCounts(step)
    const compares = counts !== null && counts.singles + counts.patches > 0
    return securennStepFlights(compares, { isFirst: i === 0, isOutput: step.activation === null })
  })
}

export function securennStepFlights(
  compares: boolean,
  { isFirst, isOutput }: { readonly isFirst: boolean; readonly isOutput: boolean },
): number {
  return (isFirst ? START : 0) + (compares ? COMPARISON : isOutput ? 1 : 0)
}
