/**
 * ringfence for servers: the network and its weights stay here.
 * @module ringfence/server
 */

export { RingfenceError } from './errors.js'
export { type Allowance, type Channel, connect, Meter, type Peer, type PeerRole, type Principal } from './net/index.js'
export type { PartyEvent, ServerStatus } from './party/events.js'
export type { Delivery } from './party/mcc/deliveries.js'
export type { PartyOptions } from './party/options.js'
export { newRegistration } from './party/registration.js'
export { Server } from './party/server.js'
export type { ConnectHelper, ServerOptions, SharedRegistration } from './party/server-options.js'
export { type Compiled, type CompileOptions, compile, type QuantizedModel } from './plan/compile/compile.js'
export type { LayerRounding } from './plan/compile/rounding.js'
