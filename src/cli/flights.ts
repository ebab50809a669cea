// How long an inference's chain of messages is: on a slow network every flight costs half a round trip.
import type { Plan } from '../plan/plan.js'
import { describeStep } from './step-words.js'

/** DReLU 8, one product; the tensor goes out with the client's opening of it (docs/protocol.md, section 18). */
const COMPARISON = 9
/** The start, and what the helper sends for the first step; the input arrives meanwhile. */
const START = 2

/**
 * One-way waves over all links of which each waits for the one before, per step of a `securenn` plan. Links carry messages
 * of both directions at once there, so that no meter of a single party can count them.
 */
export function securennFlights({ steps }: Plan): number[] {
  return steps.map((step, i) => {
    const output = step.activation === null ? 1 : 0
    return (i === 0 ? START : 0) + (describeStep(step).comparisons > 0 ? COMPARISON : output)
  })
}
