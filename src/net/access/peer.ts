// Who is at the other end of a connection, as whoever accepted it found out.
import type { Meter } from '../meter.js'

/** What a peer says it is when it connects; a helper holds it to that. */
export type PeerRole = 'client' | 'server'

/** What is left of an allowance. */
export interface Allowance {
  /** How many of those asked for may be used. */
  readonly granted: number
  /** With nothing granted: when there will be more, in milliseconds. Absent: never. */
  readonly retryAfterMs?: number
}

/** Somebody who was let in, and what they may use. All connections of one principal share it. */
export interface Principal {
  /** As the operator calls them. It is told to logs, never to a peer. */
  readonly name: string
  /** Most connections at a time. */
  readonly connections?: number
  /** Most bytes of the server's store for all connections of this principal together. */
  readonly storeBytes?: number
  /** Takes up to `count` inferences off what the principal may still use. Absent: as many as it likes. */
  spend?(count: number): Allowance
}

/** What a party may know of a connection it is to serve. Part of what `listen` tells `onConnection`. */
export interface Peer {
  readonly role?: PeerRole
  readonly principal?: Principal
  /** Counts what crosses the connection. */
  readonly meter?: Meter
}
