/**
 * ringfence for delegates: plays the client for owners of inputs, sees neither input nor answer.
 * @module ringfence/delegate
 */

export type { Reachable } from './delegate/announcer.js'
export { Delegate, type DelegateOptions, type DelegateStatus } from './delegate/delegate.js'
export type { LentInference } from './delegate/pool.js'
export { RingfenceError } from './errors.js'
export type { Exchange, ExchangeCall } from './net/exchange/exchange.js'
export { type Allowance, type Channel, connect, type Peer, type PeerRole, type Principal } from './net/index.js'
export type { PartyOptions } from './party/options.js'
export { type KeyPair, keyPair } from './random/seed.js'
