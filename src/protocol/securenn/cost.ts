// The messages of a whole `securenn` plan over all three links, and what they cost, to the byte.
import { elementCount, type SecurennPlan, tensorShape } from '../../plan/plan.js'
import { INFERENCE_BYTES } from '../control.js'
import { type Forms, isActive } from '../layout.js'
import { chained, type LinkBytes, lastStage, linkBytes, type Message, partFlights, wireBytes } from '../transcript.js'
import { toServer } from './parties.js'
import { reluMessages } from './relu.js'
import type { SecurennLayout, SecurennStep } from './step.js'

export interface SecurennStepCost {
  readonly id: string
  readonly comparisons: number
  /** One-way waves that wait for each other, over all links. */
  readonly flights: number
  /** Payload, without frame headers. */
  readonly payload: LinkBytes
}

export interface SecurennPlanCost {
  readonly steps: readonly SecurennStepCost[]
  readonly flights: number
  /** Frame headers included: what the meters show. */
  readonly total: LinkBytes
}

/** All say which inference it is; the input follows, and the helper, which waits for the client alone, deals at once. */
function startMessages(plan: SecurennPlan): Message[] {
  const start = { kind: 'start', bytes: INFERENCE_BYTES } as const
  return [
    { ...start, from: 'client', to: 'server', stage: 1 },
    { ...start, from: 'client', to: 'helper', stage: 1 },
    { ...start, from: 'server', to: 'helper', stage: 2 },
    tensorMessage(elementCount(tensorShape(plan, 0)), 2),
  ]
}

const tensorMessage = (elements: number, stage: number): Message => ({
  ...{ kind: 'tensor', from: 'client', to: 'server', bytes: 8 * elements, stage, inPieces: true },
})

/**
 * u leaves as soon as the helper's part of the step before is done. The tensor goes out with the client's last opening, or
 * with what came before: no flight of its own.
 */
function stepMessages(step: SecurennStep<Forms>): Message[] {
  const linear = toServer('linear', 8 * step.size, 0)
  if (!isActive(step)) {
    return [linear, { kind: 'output', from: 'server', to: 'client', bytes: 8 * step.size, stage: 1, inPieces: true }]
  }
  const relu = reluMessages(step)
  return [linear, ...relu, tensorMessage(step.relu.results, relu.length === 0 ? 0 : lastStage(relu) + 1)]
}

/** One inference: the start, then the messages of each step. Steps follow one another. */
export const onlineMessages = ({ plan, steps }: SecurennLayout): Message[][] =>
  chained([startMessages(plan), ...steps.map(stepMessages)].map((messages) => [messages]))

export function securennCost(layout: SecurennLayout): SecurennPlanCost {
  const parts = onlineMessages(layout)
  const flights = partFlights(parts)
  const steps = layout.steps.map(({ step: { id }, relu }, i) => ({
    ...{ id, comparisons: relu?.comparisons ?? 0, flights: flights[i + 1] },
    payload: linkBytes(parts[i + 1]),
  }))
  return { steps, flights: flights.reduce((a, b) => a + b), total: linkBytes(parts.flat(), wireBytes) }
}
