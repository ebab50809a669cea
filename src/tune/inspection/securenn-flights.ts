// How long an inference's chain of messages is on `securenn`: on a slow network every flight costs half a round trip. Links
// carry messages of both directions at once there, so that no meter of a single party can count them.
import type { StepOutline } from '../../plan/compile/outline.js'
import type { SecurennPlan } from '../../plan/plan.js'
import { planLayout } from '../../protocol/layout.js'
import { securennFlights as flightsOf, type StepSizes } from '../../protocol/securenn/cost.js'
import { EXACT } from '../../protocol/securenn/drelu.js'

/** One-way waves per step of a plan, the start's with those of the first. */
export const securennFlights = (plan: SecurennPlan): number[] => flightsOf(planLayout(plan).steps)

/** Round trips of an outlined plan: two flights each. */
export function securennTrips(steps: readonly Pick<StepOutline, 'compares'>[]): number {
  const sizes = steps.map(({ compares }, i): StepSizes => {
    if (i === steps.length - 1) return { size: 1, activation: null, relu: null }
    const count = compares ? 1 : 0
    return { size: 1, activation: EXACT, relu: { comparisons: count, switched: count, results: 1 } }
  })
  return flightsOf(sizes).reduce((sum, flights) => sum + flights, 0) / 2
}
