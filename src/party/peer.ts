// Who is at the other end, as whoever accepted the connection found out, and what a party tells its operator.
import type { ErrorCode, RingfenceError } from '../errors.js'
import type { Meter } from '../net/index.js'

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

/** What happened at a party. `peer` is the object that was given to `run`. Times in milliseconds. */
export type PartyEvent =
  /** A peer and this party agreed on plan and seeds. */
  | { readonly kind: 'session'; readonly peer: Peer; readonly milliseconds: number }
  /** An inference ended, answered or with an error. */
  | { readonly kind: 'inference'; readonly peer: Peer; readonly milliseconds: number; readonly error?: ErrorCode }
  /** The material of an inference was dealt (helper) or has come (server). */
  | { readonly kind: 'bundle'; readonly milliseconds: number }
  /** The server is registered with its helper, or has lost it. */
  | { readonly kind: 'helper'; readonly up: boolean; readonly error?: RingfenceError }

/** Where a server stands. */
export interface ServerStatus {
  /** Registered with its helper. */
  readonly registered: boolean
  readonly draining: boolean
  /** Clients that are connected. */
  readonly sessions: number
  /** One-time material dealt ahead, in bytes; 0 of 0 on `securenn`. */
  readonly store: { readonly usedBytes: number; readonly limitBytes: number }
  /** WASM memory in use. */
  readonly memoryBytes: number
}

/** Where a helper stands. */
export interface HelperStatus {
  readonly draining: boolean
  readonly connections: number
  /** Servers that are registered, one for each of their models. */
  readonly registrations: number
  /** WASM memory in use. */
  readonly memoryBytes: number
}
