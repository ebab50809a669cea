// What a server takes beside its model.
import type { Channel, Meter, Peer } from '../net/index.js'
import type { KeyPair, Seed } from '../random/seed.js'
import type { HostOptions } from './options.js'

/** Opens a connection to the helper. */
export type ConnectHelper = () => Channel | Promise<Channel>

/**
 * A registration that several servers share, replicas of one: made once, and kept in a file of each (`ringfence register`). Whoever
 * has it and is a client of theirs, or their helper, has the weights.
 */
export interface SharedRegistration {
  readonly keys: KeyPair
  readonly modelSeed: Seed
  readonly helperKey: Uint8Array
  readonly planDigest: Uint8Array
  /** Names the weights: under one κ_B the helper would see what two networks differ in. */
  readonly weights: Uint8Array
}

/** What a server takes beside its model. */
export interface ServerOptions extends HostOptions {
  /** Memory for one-time material that was dealt ahead. Default 512 MiB; room for one inference at least. */
  storeBytes?: number
  /**
   * Part of that memory which one client, or all clients of one principal, may hold. Default 0.25. Where little is left it is
   * less: nobody may hold more than is free for the others.
   */
  storeShare?: number
  /**
   * How long unused material outlives the connection of a client that asks for that (`keepMaterial`), in milliseconds; 0:
   * not at all. Where the store is full it goes first. Default ten minutes.
   */
  keepMs?: number
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  /**
   * The public key of the delegate that plays the client for strangers. No other client is served then: whoever is one and
   * works with the helper has the weights. Default: every client is served, and no owner of an input is.
   */
  delegateKey?: Uint8Array
  /**
   * A client of a guarded plan sent what no client that follows the protocol sends. Its session has ended and its material
   * is burnt; if it is a principal, this server serves it no more.
   */
  onCheat?: (peer: Peer) => void
  /**
   * A registration that this server shares with others of the same model (`ringfence register`): the helper holds the model
   * once for all of them. Default: one of its own. Not for guarded plans.
   */
  registration?: SharedRegistration
  /**
   * Where the helper's dealers reach `deliveries`, https://HOST:PORT, with a `registration` and a helper that allows it: bundles
   * then come past the helper's connection.
   */
  deliverAt?: string
  /**
   * Where clients reach this server and no other, wss://…, for one that shares an address with others: a client with
   * `keepMaterial` comes back there, as its material is here alone. Of the host that clients connect to, or below it. Default:
   * where they connect to.
   */
  keptAt?: string
  meter?: Meter
}
