// ringfence for helpers: deals randomness, sees nothing.
export { RingfenceError } from './errors.js'
export { type Channel, connect, Meter } from './net/index.js'
export { Helper, type HelperOptions } from './party/helper.js'
export type { Allowance, HelperStatus, PartyEvent, Peer, PeerRole, Principal } from './party/peer.js'
export { type KeyPair, keyPair, type Seed } from './random/seed.js'
