// The messages of a whole plan, on line and off, and what they cost, to the byte.
import { BATCH_BYTES, BUNDLE_BYTES, DEAL_BYTES, INFERENCE_BYTES, RESERVED_BYTES } from '../control.js'
import type { ProductNumbers, ReluNumbers } from '../layout.js'
import { chained, type LinkBytes, linkBytes, type Message, partFlights, wireBytes } from '../transcript.js'
import { gadgetMessages } from './gadgets.js'
import { type GuardTerms, guardSizes, guardTerms, lastActive, segmentAt, segmentSizes } from './guard/terms.js'
import { inputMessages } from './input.js'
import { linearMessages } from './linear.js'
import { outputMessages } from './output.js'
import { type MccLayout, type MccStep, opens } from './step.js'

/** Payload bytes of one inference, without frame headers; flights are one-way waves between client and server. */
export interface Cost {
  readonly flights: number
  readonly online: Pick<LinkBytes, 'up' | 'down'>
  readonly offline: { readonly clientUp: number; readonly helperToServer: number }
}

export interface StepCost extends Cost {
  readonly id: string
  /** Opened values, and comparisons. */
  readonly values: number
  readonly comparisons: number
}

export interface PlanCost {
  /** Payload and flights per step, without frame headers. The flights of a wave are those of its first step. */
  readonly steps: readonly StepCost[]
  /** One inference, frame headers included: what the meters show. */
  readonly total: Cost
}

/** All messages of a step; what its gadgets put into one message goes out as one. */
export function stepMessages(step: MccStep<ReluNumbers>, ring: number, terms: GuardTerms | null = null): Message[] {
  const rest = opens(step) ? gadgetMessages(step, ring, terms) : outputMessages(ring, step)
  const joined = new Map<Message['kind'], Message>()
  for (const message of [...linearMessages(ring, step), ...rest]) {
    const bytes = (joined.get(message.kind)?.bytes ?? 0) + message.bytes
    joined.set(message.kind, { ...message, bytes })
  }
  return [...joined.values()]
}

const online = (messages: readonly Message[]) => messages.filter(({ offline }) => !offline)
const offline = (messages: readonly Message[]) => messages.filter(({ offline }) => offline)

/** One inference on line: the input, then the messages of each step. Steps of a wave do not wait for each other. */
export function onlineMessages(layout: MccLayout): Message[][] {
  const terms = guardTerms(layout)
  const start = inputMessages(layout.plan, terms)
  const alone = lastActive(layout.steps) < 0 ? proofMessages(terms, 1) : []
  return chained([[[...start, ...alone]], ...stepsOnline(layout)])
}

/** What the steps of every wave send on line, each from its own stage 1 on. */
export function stepsOnline(layout: MccLayout): Message[][][] {
  const { plan, waves, steps } = layout
  const terms = guardTerms(layout)
  const last = lastActive(steps)
  return waves.map((wave) =>
    wave.map((step) => {
      const own = online(stepMessages(step, plan.ring, terms))
      return [...own, ...signMessages(terms, step.index), ...(step.index === last ? proofMessages(terms, 2) : [])]
    }),
  )
}

/** What a guard adds beside a step's opening. */
function signMessages(terms: GuardTerms | null, step: number): Message[] {
  const segment = terms && segmentAt(terms, step)
  if (!segment) return []
  return [{ kind: 'signs', from: 'server', to: 'client', bytes: segmentSizes(segment).opening, stage: 1 }]
}

/** What a guard adds behind the last reply, or behind the input where nothing is opened. */
function proofMessages(terms: GuardTerms | null, stage: number): Message[] {
  return terms ? [{ kind: 'proof', from: 'client', to: 'server', bytes: guardSizes(terms).proof, stage }] : []
}

/** The material of one inference: which one it is, then the messages of each step, then those of the guard. */
export function offlineMessages(layout: MccLayout): Message[][] {
  const { plan, steps } = layout
  const terms = guardTerms(layout)
  const start: Message[] = [
    { kind: 'upload', from: 'client', to: 'server', bytes: INFERENCE_BYTES, stage: 1, offline: true },
    { kind: 'bundle', from: 'helper', to: 'server', bytes: BUNDLE_BYTES, stage: 1, offline: true },
  ]
  const dealt = steps.map((step) => offline(stepMessages(step, plan.ring, terms)))
  if (!terms) return [start, ...dealt]
  const sizes = guardSizes(terms)
  const each = { to: 'server', stage: 0, offline: true } as const
  const guard: Message[] = [
    { kind: 'material', from: 'helper', bytes: sizes.dealt, ...each },
    { kind: 'delta', from: 'client', bytes: sizes.uploaded, ...each },
  ]
  return [start, ...dealt, guard]
}

/** Around the material of a batch of inferences: the client asks for it, and hears when each is on its way. */
export const batchMessages: readonly Message[] = [
  { kind: 'reserve', from: 'client', to: 'server', bytes: BATCH_BYTES, stage: 1, offline: true },
  { kind: 'reserved', from: 'server', to: 'client', bytes: RESERVED_BYTES, stage: 2, offline: true },
  { kind: 'deal', from: 'client', to: 'helper', bytes: DEAL_BYTES, stage: 3, offline: true },
  { kind: 'dealt', from: 'helper', to: 'client', bytes: 0, stage: 4, offline: true },
]

/** @param messages those of one inference, where they are at hand */
export function planCost(
  layout: MccLayout,
  messages = { online: onlineMessages(layout), offline: offlineMessages(layout) },
): PlanCost {
  const flights = partFlights(messages.online)
  const steps = layout.waves.flat().map(({ step: { id }, relu, product }, i) => ({
    ...{ id, values: relu?.opened.values ?? openedBy(product), comparisons: relu?.comparisons ?? 0 },
    ...costOf([...messages.online[i + 1], ...messages.offline[i + 1]], flights[i + 1]),
  }))
  const all = [...messages.online, ...messages.offline].flat()
  return {
    steps,
    total: costOf(
      all,
      flights.reduce((a, b) => a + b),
      wireBytes,
    ),
  }
}

const openedBy = (product: ProductNumbers | null): number => (product ? product.count + product.broad : 0)

function costOf(messages: readonly Message[], flights: number, bytes?: (message: Message) => number): Cost {
  const { up, down } = linkBytes(online(messages), bytes)
  const { up: clientUp, helperServer: helperToServer } = linkBytes(offline(messages), bytes)
  return { flights, online: { up, down }, offline: { clientUp, helperToServer } }
}
