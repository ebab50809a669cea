// ringfence for Node: listen for parties over WebSockets, read model folders.

export { loadModelDirectory, type ModelDirectory, type Sample } from './cli/model-directory.js'
export { findModel, packagedModels } from './cli/prepared-model.js'
export { RingfenceError } from './errors.js'
export { type ConnectionInfo, type Listener, type ListenOptions, listen } from './net/websocket-server.node.js'
export { hireThreads } from './planner/crew.node.js'
