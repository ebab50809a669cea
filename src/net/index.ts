// Messages between parties: channels, framing, meters. The WebSocket server is Node only: ./websocket-server.node.js
export type { Allowance, Peer, PeerRole, Principal } from './access/peer.js'
export { giveBuffer, HEADER_BYTES } from './bulk/kept-buffers.js'
export { type Channel, type ChannelOptions, type ReceiveOptions, withFirst } from './channel.js'
export { type Clock, systemClock, turn, wait } from './clock.js'
export { type ConnectOptions, checkUrl, connect, DEFAULT_MAX_PAYLOAD, hasWebSocket } from './connect.js'
export { busy } from './failure.js'
export {
  ALIVE_KIND,
  FAILURE_KIND,
  type Frame,
  Link,
  type LinkOptions,
  type NextOptions,
} from './framing.js'
export { memoryPair } from './memory.js'
export { messagePortChannel, type PortLike } from './message-port.js'
export { Meter, type MeterReport, type PhaseTime, type PhaseTraffic, type Traffic } from './meter.js'
export { PHASE_NAMES, Phase, type PhaseCode, type PhaseName } from './phase.js'
export { type NetworkProfile, networkProfiles, shape } from './shaper.js'
export { type WebSocketLike, webSocketChannel } from './websocket.js'
