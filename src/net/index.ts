// Messages between parties: channels, framing, meters. The WebSocket server is Node only: ./websocket-server.node.js
export type { Channel, ChannelOptions, ReceiveOptions } from './channel.js'
export { FAILURE_KIND, type Frame, HEADER_BYTES, Link, type LinkOptions } from './framing.js'
export { memoryPair } from './memory.js'
export { Meter, type MeterReport, type PhaseTime, type PhaseTraffic, type Traffic } from './meter.js'
export { PHASE_NAMES, Phase, type PhaseCode, type PhaseName } from './phase.js'
