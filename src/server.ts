// ringfence for servers: the network and its weights stay here.
export { RingfenceError } from './errors.js'
export { type Channel, connect, Meter } from './net/index.js'
export { Server, type ServerOptions } from './party/server.js'
export { type Compiled, type CompileOptions, compile } from './plan/compile.js'
