// The network between three parties: what a batch's messages cost, and how long they take under a profile. All parties
// are apart. Every link has the profile's latency; each of the client's links has its bandwidth, up and down, for itself;
// server and helper stand in data centres and have 1 Gbit/s each way.
import type { NetworkProfile } from '../../src/net/index.js'
import {
  flights,
  framesOf,
  linkBytes,
  type Message,
  messagesOf,
  type Role,
  wireBytes,
} from '../../src/protocol/transcript.js'
import { Program, schedule } from '../../src/tune/cost/schedule.js'

/** Bytes of one batch on line, frame headers included. */
export interface OnlineCost {
  /** Client to server, server to client, and both ways on both links of the helper. */
  readonly up: number
  readonly down: number
  readonly helper: number
  /** Waves over all links. */
  readonly flights: number
}

/** Between server and helper. */
const BACKBONE = 1e9

/** As reports explain it. */
export const NETWORK =
  'Network: client, server and helper are apart. Every link has the latency of the profile; each of the client’s links ' +
  'has the bandwidth of the profile, up and down, for itself; server–helper has 1 Gbit/s. Declared is the longest ' +
  'chain of messages and work: a message waits for what its sender receives and does before, for the messages ahead on ' +
  'its line, for its own bytes and for half a round trip. mcc’s work is its time on loopback, since nobody works at ' +
  'the same time; securenn’s is what each party does alone between its messages. Emulated is a batch on shaped links.'

/** Milliseconds of a party's work before each of its messages in the order of `messagesOf` (src/protocol/transcript.ts), and after the last. */
export type Work = Readonly<Partial<Record<Role, readonly number[]>>>

/** What `role` has to emulate on its link to `peer`: one end shapes both ways. */
export function emulated(profile: NetworkProfile, role: Role, peer: Role): NetworkProfile | undefined {
  if (role === 'client') return profile
  const backbone = { rttMs: profile.rttMs, upBitsPerSecond: BACKBONE, downBitsPerSecond: BACKBONE }
  return role === 'server' && peer === 'helper' ? backbone : undefined
}

export function onlineCost(messages: readonly Message[]): OnlineCost {
  const { up, down } = linkBytes(messages, wireBytes)
  const all = messages.reduce((sum, message) => sum + wireBytes(message), 0)
  return { up, down, helper: all - up - down, flights: flights(messages) }
}

/** Seconds of one batch under a profile: the longest chain of its messages and the work between them. */
export function secondsUnder(profile: NetworkProfile, messages: readonly Message[], work: Work): number {
  const backbone = { rttMs: profile.rttMs, upBitsPerSecond: BACKBONE, downBitsPerSecond: BACKBONE }
  const network = { clientServer: profile, clientHelper: profile, serverHelper: backbone }
  const program = (role: Role) => {
    const program = new Program(FREE)
    const mine = messagesOf(role, messages)
    const works = (i: number) => program.work((work[role]?.[i] ?? 0) * 1e6)
    for (const [i, message] of mine.entries()) {
      works(i)
      if (message.from === role) program.send(message.to, message.bytes, framesOf(message))
      else program.receive(message.from, message.bytes, framesOf(message))
    }
    return works(mine.length)
  }
  const { end } = schedule({ client: program('client'), server: program('server'), helper: program('helper') }, network)
  return Math.max(...Object.values(end)) / 1000
}

/** What links cost is in the work that was measured. */
const FREE = { copy: 0, link: { send: 0, sendByte: 0, receive: 0, receiveByte: 0 } }
