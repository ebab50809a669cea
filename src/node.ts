// ringfence for Node: listen for parties over WebSockets, read model folders.

export { RingfenceError } from './errors.js'
export { loadModelDirectory, type ModelDirectory, type Sample } from './files/model-directory.js'
export { findModel, packagedModels } from './files/prepared-model.js'
export type { RefusalReason } from './net/access/credentials.js'
export type { AccessDecision, AccessRequest, Authorize } from './net/access/gate.node.js'
export type { Allowance, Peer, PeerRole, Principal } from './net/index.js'
export {
  type ConnectionInfo,
  type Listener,
  type ListenOptions,
  listen,
  type Refused,
  type TlsIdentity,
} from './net/websocket-server.node.js'
export { startThreads } from './tune/workers/pool.node.js'
