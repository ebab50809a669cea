/**
 * ringfence for helpers: deals randomness, sees nothing.
 * @module ringfence/helper
 */

export { RingfenceError } from './errors.js'
export { type Allowance, type Channel, connect, Meter, type Peer, type PeerRole, type Principal } from './net/index.js'
export type { HelperStatus, PartyEvent } from './party/events.js'
export { Helper, type HelperOptions } from './party/helper/helper.js'
export { type KeyPair, keyPair, type Seed } from './random/seed.js'
