// What a party tells whoever operates it.
import type { ErrorCode, RingfenceError } from '../errors.js'
import type { Peer } from '../net/index.js'

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
  /** Clients among them that wait for their turn. */
  readonly waiting: number
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
  /** Memory that their networks take together. */
  readonly registered: { readonly usedBytes: number; readonly limitBytes: number }
  /** WASM memory in use. */
  readonly memoryBytes: number
}
