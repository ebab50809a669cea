/**
 * ringfence for clients: connect, prepare, run.
 * @module ringfence
 */

export { type ErrorCode, RingfenceError } from './errors.js'
export { decodeImage } from './model/pictures/decode.js'
export { type PictureInputOptions, pictureToInput } from './model/pictures/input.js'
export type { Closable, DrawablePicture, PictureSource, PixelData } from './model/pictures/page.js'
export type { Picture } from './model/pictures/picture.js'
export { type Resize, resizePicture } from './model/pictures/resize.js'
export type { NamedOutput, NamedOutputs } from './model/tail/split.js'
export {
  type Channel,
  type ChannelOptions,
  type ConnectOptions,
  connect,
  Meter,
  type MeterReport,
  messagePortChannel,
  Phase,
  type PhaseCode,
  type PhaseName,
  type PhaseTime,
  type PhaseTraffic,
  type PortLike,
  type ReceiveOptions,
  type Traffic,
  type WebSocketLike,
  webSocketChannel,
} from './net/index.js'
export {
  type CallOptions,
  Client,
  type ClientOptions,
  type InferenceResult,
  type ManyOptions,
  type ManyProgress,
  type MaterialLoss,
  type OpenChannel,
  type Outcome,
  type Progress,
} from './party/client/client.js'
export type { MaterialStore, StoredMaterial } from './party/client/client-store.js'
export { type Connection, ReconnectingClient, type ReconnectOptions } from './party/client/reconnecting-client.js'
export { type DiagnoseOptions, diagnose, type Finding } from './party/diagnose.js'
export type { PartyOptions } from './party/options.js'
export type { Plan } from './plan/plan.js'
