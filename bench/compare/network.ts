// The network between three parties: what a batch's messages cost, and how long they take under a profile. All parties
// are apart. Every link has the profile's latency; each of the client's links has its bandwidth, up and down, for itself;
// server and helper stand in data centres and have 1 Gbit/s each way.
import { HEADER_BYTES, type NetworkProfile } from '../../src/net/index.js'
import { piecesOf } from '../../src/protocol/pieces.js'
import type { CompareCost, Role } from './backend.js'

/** Between server and helper. */
const BACKBONE = 1e9

/** As reports explain it. */
export const NETWORK =
  'Network: client, server and helper are apart. Every link has the latency of the profile; each of the client’s links ' +
  'has the bandwidth of the profile, up and down, for itself; server–helper has 1 Gbit/s. Declared is the batch’s time ' +
  'on loopback and the longest chain of messages, each of which waits for what its sender receives before, for the ' +
  'messages ahead on its line, for its own bytes and for half a round trip; emulated is the same on shaped links.'

/** A message of one batch on line. */
export interface Message {
  readonly from: Role
  readonly to: Role
  /** It leaves when its sender has received all of earlier stages that goes to it. */
  readonly stage: number
  /** On the wire, frame headers included. */
  readonly bytes: number
}

/** Bytes on the wire of a payload that travels in pieces. */
export const inPieces = (payload: number): number => payload + HEADER_BYTES * piecesOf(payload)

/** What `role` has to emulate on its link to `peer`: one end shapes both ways. */
export function emulated(profile: NetworkProfile, role: Role, peer: Role): NetworkProfile | undefined {
  if (role === 'client') return profile
  const backbone = { rttMs: profile.rttMs, upBitsPerSecond: BACKBONE, downBitsPerSecond: BACKBONE }
  return role === 'server' && peer === 'helper' ? backbone : undefined
}

/**
 * When the last message of a batch is there.
 * @param arrival of a message whose sender may send it at `ready`
 */
function lastArrival(messages: readonly Message[], arrival: (message: Message, ready: number) => number): number {
  const ready: Record<Role, number> = { client: 0, server: 0, helper: 0 }
  const stages = [...new Set(messages.map(({ stage }) => stage))].sort((a, b) => a - b)
  for (const stage of stages) {
    const sent = messages.filter((message) => message.stage === stage)
    const arrivals = sent.map((message) => [message.to, arrival(message, ready[message.from])] as const)
    for (const [to, at] of arrivals) ready[to] = Math.max(ready[to], at)
  }
  return Math.max(...Object.values(ready))
}

export function onlineCost(messages: readonly Message[]): CompareCost['online'] {
  const bytes = (which: (message: Message) => boolean) =>
    messages.filter(which).reduce((sum, message) => sum + message.bytes, 0)
  return {
    up: bytes(({ from, to }) => from === 'client' && to === 'server'),
    down: bytes(({ from, to }) => from === 'server' && to === 'client'),
    helper: bytes(({ from, to }) => from === 'helper' || to === 'helper'),
    flights: lastArrival(messages, (_, ready) => ready + 1),
  }
}

/** Seconds of one batch under a profile: its work, and the longest chain of its messages. */
export function secondsUnder(profile: NetworkProfile, messages: readonly Message[], workMs: number): number {
  const { rttMs, upBitsPerSecond, downBitsPerSecond } = profile
  const free = new Map<string, number>()
  const last = lastArrival(messages, ({ from, to, bytes }, ready) => {
    const rate = from === 'client' ? upBitsPerSecond : to === 'client' ? downBitsPerSecond : BACKBONE
    const line = `${from} ${to}`
    const left = Math.max(ready, free.get(line) ?? 0) + (bytes * 8) / rate
    free.set(line, left)
    return left + rttMs / 2000
  })
  return workMs / 1000 + last
}
