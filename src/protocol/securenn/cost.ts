// The messages of a whole `securenn` plan over all three links, and what they cost, to the byte.
import { elementCount, tensorShape } from '../../plan/plan.js'
import { INFERENCE_BYTES } from '../control.js'
import type { ReluNumbers } from '../layout.js'
import { chained, type LinkBytes, lastStage, linkBytes, type Message, partFlights, wireBytes } from '../transcript.js'
import type { Window } from './drelu.js'
import { linearMessages, outputMessages, tensorMessages } from './linear.js'
import { reluMessages } from './relu.js'
import type { SecurennLayout } from './step.js'

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
function startMessages(inputSize: number): Message[] {
  const start = { kind: 'start', bytes: INFERENCE_BYTES } as const
  return [
    { ...start, from: 'client', to: 'server', stage: 1 },
    { ...start, from: 'client', to: 'helper', stage: 1 },
    { ...start, from: 'server', to: 'helper', stage: 2 },
    ...tensorMessages(inputSize, 2),
  ]
}

/** What a step's messages follow from. */
export interface StepSizes {
  readonly size: number
  readonly activation: Window | null
  readonly relu: Pick<ReluNumbers, 'comparisons' | 'switched' | 'results'> | null
}

/** The tensor goes out with the client's last opening, or with what came before: no flight of its own. */
function stepMessages({ size, activation, relu }: StepSizes): Message[] {
  if (!activation || !relu) return [...linearMessages(size), ...outputMessages(size)]
  const signs = reluMessages({ activation, relu })
  return [
    ...linearMessages(size),
    ...signs,
    ...tensorMessages(relu.results, signs.length === 0 ? 0 : lastStage(signs) + 1),
  ]
}

/** The start, then the messages of each step. Steps follow one another. */
const inTurn = (inputSize: number, steps: readonly StepSizes[]): Message[][] =>
  chained([startMessages(inputSize), ...steps.map(stepMessages)].map((messages) => [messages]))

/** One inference. */
export const onlineMessages = ({ plan, steps }: SecurennLayout): Message[][] =>
  inTurn(elementCount(tensorShape(plan, 0)), steps)

/**
 * One-way waves per step of which each waits for the one before, over all links; the start's are the first step's. Sizes
 * do not change them, but for whether anything is compared.
 */
export function securennFlights(steps: readonly StepSizes[]): number[] {
  const [start, first, ...others] = partFlights(inTurn(1, steps))
  return [start + first, ...others]
}

/** @param parts those of `onlineMessages`, where they are at hand */
export function securennCost(layout: SecurennLayout, parts = onlineMessages(layout)): SecurennPlanCost {
  const flights = partFlights(parts)
  const steps = layout.steps.map(({ step: { id }, relu }, i) => ({
    ...{ id, comparisons: relu?.comparisons ?? 0, flights: flights[i + 1] },
    payload: linkBytes(parts[i + 1]),
  }))
  return { steps, flights: flights.reduce((a, b) => a + b), total: linkBytes(parts.flat(), wireBytes) }
}
