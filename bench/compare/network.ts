// The network between three parties: what a batch's messages cost, and how long they take under a profile. All parties
// are apart. Every link has the profile's latency; each of the client's links has its bandwidth, up and down, for itself;
// server and helper stand in data centres and have 1 Gbit/s each way.
import { HEADER_BYTES, type NetworkProfile } from '../../src/net/index.js'
import { piecesOf } from '../../src/protocol/pieces.js'

export type Role = 'client' | 'server' | 'helper'
export const ROLES: readonly Role[] = ['helper', 'server', 'client']

/** Between server and helper. */
const BACKBONE = 1e9

/** As reports explain it. */
export const NETWORK =
  'Network: client, server and helper are apart. Every link has the latency of the profile; each of the client’s links ' +
  'has the bandwidth of the profile, up and down, for itself; server–helper has 1 Gbit/s. Declared is the longest ' +
  'chain of messages and work: a message waits for what its sender receives and does before, for the messages ahead on ' +
  'its line, for its own bytes and for half a round trip. mcc’s work is its time on loopback, since nobody works at ' +
  'the same time; securenn’s is what each party does alone between its messages. Emulated is a batch on shaped links.'

/** A message of one batch on line. */
export interface Message {
  readonly from: Role
  readonly to: Role
  /** It leaves when its sender has received all of earlier stages that goes to it. */
  readonly stage: number
  /** On the wire, headers included. */
  readonly bytes: number
  readonly frames: number
}

/** Bytes of one batch on line, frame headers included. */
export interface OnlineCost {
  /** Client to server, server to client, and both ways on both links of the helper. */
  readonly up: number
  readonly down: number
  readonly helper: number
  /** Waves over all links. */
  readonly flights: number
}

/** What a payload that travels in pieces is on the wire. */
export function inPieces(payload: number): Pick<Message, 'bytes' | 'frames'> {
  const frames = piecesOf(payload)
  return { bytes: payload + HEADER_BYTES * frames, frames }
}

/** Milliseconds of a party's work before each of its messages in the order of `messagesOf`, and after the last. */
export type Work = Readonly<Partial<Record<Role, readonly number[]>>>

/** What a party sends and receives, in the order in which it does. */
export function messagesOf(role: Role, messages: readonly Message[]): Message[] {
  const place = ({ stage, from }: Message) => 2 * stage + (from === role ? 0 : 1)
  return messages.filter(({ from, to }) => from === role || to === role).sort((a, b) => place(a) - place(b))
}

/** What `role` has to emulate on its link to `peer`: one end shapes both ways. */
export function emulated(profile: NetworkProfile, role: Role, peer: Role): NetworkProfile | undefined {
  if (role === 'client') return profile
  const backbone = { rttMs: profile.rttMs, upBitsPerSecond: BACKBONE, downBitsPerSecond: BACKBONE }
  return role === 'server' && peer === 'helper' ? backbone : undefined
}

/**
 * When the last party is done.
 * @param arrival of a message whose sender may send it at `ready`
 * @param work in the unit of `arrival`; without it parties work no time
 */
function end(
  messages: readonly Message[],
  arrival: (message: Message, ready: number) => number,
  work: Work = {},
): number {
  const now: Record<Role, number> = { client: 0, server: 0, helper: 0 }
  const steps: Record<Role, number> = { client: 0, server: 0, helper: 0 }
  const works = (role: Role) => {
    now[role] += work[role]?.[steps[role]++] ?? 0
    return now[role]
  }
  const stages = [...new Set(messages.map(({ stage }) => stage))].sort((a, b) => a - b)
  for (const stage of stages) {
    const sent = messages.filter((message) => message.stage === stage)
    const arrivals = sent.map((message) => [message.to, arrival(message, works(message.from))] as const)
    for (const [to, at] of arrivals) now[to] = Math.max(works(to), at)
  }
  return Math.max(...(['client', 'server', 'helper'] as const).map(works))
}

export function onlineCost(messages: readonly Message[]): OnlineCost {
  const bytes = (which: (message: Message) => boolean) =>
    messages.filter(which).reduce((sum, message) => sum + message.bytes, 0)
  return {
    up: bytes(({ from, to }) => from === 'client' && to === 'server'),
    down: bytes(({ from, to }) => from === 'server' && to === 'client'),
    helper: bytes(({ from, to }) => from === 'helper' || to === 'helper'),
    flights: end(messages, (_, ready) => ready + 1),
  }
}

/** Seconds of one batch under a profile: the longest chain of its messages and the work between them. */
export function secondsUnder(profile: NetworkProfile, messages: readonly Message[], work: Work): number {
  const { rttMs, upBitsPerSecond, downBitsPerSecond } = profile
  const free = new Map<string, number>()
  const carried = ({ from, to, bytes }: Message, ready: number) => {
    const rate = from === 'client' ? upBitsPerSecond : to === 'client' ? downBitsPerSecond : BACKBONE
    const line = `${from} ${to}`
    const left = Math.max(ready, free.get(line) ?? 0) + (bytes * 8000) / rate
    free.set(line, left)
    return left + rttMs / 2
  }
  return end(messages, carried, work) / 1000
}
