// The messages between a delegate and its server, as lists: the delegate plays the client, but for the input and the output,
// which are an owner's (docs/protocol.md, "delegated").
import { ID_BYTES } from '../control.js'
import { stepsOnline } from '../mcc/cost.js'
import { type DelegatedSizes, delegatedSizes } from '../mcc/delegated.js'
import type { MccLayout } from '../mcc/step.js'
import { chained, type Message } from '../transcript.js'

/** On the connection that tells which seeds have come. */
export const announcedMessages: readonly Message[] = [
  { kind: 'offer', from: 'client', to: 'server', bytes: ID_BYTES, stage: 1 },
  { kind: 'wanted', from: 'server', to: 'client', bytes: ID_BYTES, stage: 2 },
]

/** In front of the steps of an inference. */
export const joinMessages = ({ joinBytes }: Pick<DelegatedSizes, 'joinBytes'>): Message[] => [
  { kind: 'join', from: 'client', to: 'server', bytes: joinBytes, stage: 1 },
  { kind: 'joined', from: 'server', to: 'client', bytes: 1, stage: 2 },
]

/** One inference on line on the connection that lends it: both halves, then the messages of each step but for the output. */
export function delegatedMessages(layout: MccLayout): Message[][] {
  const [first, ...groups] = stepsOnline(layout).map((wave) =>
    wave.map((messages) => messages.filter(({ kind }) => kind !== 'output')),
  )
  // The first opening leaves with `joined`.
  const [join, joined] = joinMessages(delegatedSizes(layout.plan)!)
  return chained([[[join]], [[{ ...joined, stage: 1 }], ...first], ...groups])
}
