// What the three parties of the published protocol hold while they run it: all three are on line.
import type { Kernels, Region } from '../../kernels/instance.js'
import type { Party } from '../../kernels/securenn/shares.js'
import type { Link } from '../../net/index.js'
import type { Streams } from '../../random/streams.js'
import type { KindName } from '../kinds.js'
import { receiveRegions, sendRegions } from '../regions.js'
import type { Message } from '../transcript.js'

/** Client (party 0) or server (party 1). */
export interface Side {
  readonly k: Kernels
  readonly party: Party
  /** Shared by client and server. */
  readonly common: Streams
  /** Shared with the helper. */
  readonly dealt: Streams
  readonly peer: Link
  readonly helper: Link
  /** Calls the conversation off. */
  readonly signal?: AbortSignal
}

/** The helper. Halves that are pure randomness come from `ch` on the client's side; the server is sent its own. */
export interface HelperSide {
  readonly k: Kernels
  readonly ch: Streams
  readonly sh: Streams
  readonly own: Streams
  readonly client: Link
  readonly server: Link
}

/** A message of as many bytes from each of client and server to the helper. */
export const toHelper = (kind: KindName, bytes: number, stage: number): Message[] =>
  (['client', 'server'] as const).map((from) => ({ kind, from, to: 'helper', bytes, stage }))

export const toServer = (kind: KindName, bytes: number, stage: number): Message => ({
  ...{ kind, from: 'helper', to: 'server', bytes, stage },
})

/** As many bytes both ways between client and server. */
export const exchanged = (kind: KindName, bytes: number, stage: number): Message[] => [
  { kind, from: 'client', to: 'server', bytes, stage },
  { kind, from: 'server', to: 'client', bytes, stage },
]

/** Client and server: sends `mine` to the other and receives as much. The caller releases the result. */
export async function exchange({ k, peer, signal }: Side, kind: number, step: number, mine: Region): Promise<Region> {
  // At once: two long messages that wait for each other's receiver would wait for ever. And to the end, also when one of
  // them fails: `mine` is not given back while it is still read.
  const [received, sent] = await Promise.allSettled([
    receiveRegions(k, peer, kind, step, [mine.byteLength], { signal }),
    sendRegions(peer, kind, step, [mine], { signal }),
  ])
  if (received.status === 'rejected') throw received.reason
  if (sent.status === 'rejected') throw sent.reason
  return received.value[0]
}
