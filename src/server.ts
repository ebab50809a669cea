// ringfence for servers: the network and its weights stay here.
export { RingfenceError } from './errors.js'
export { type Channel, connect, Meter } from './net/index.js'
export type { PartyOptions } from './party/options.js'
export type { Allowance, PartyEvent, Peer, PeerRole, Principal, ServerStatus } from './party/peer.js'
export { type ConnectHelper, Server, type ServerOptions } from './party/server.js'
export { type Compiled, type CompileOptions, compile, type QuantizedModel } from './plan/compile/compile.js'
