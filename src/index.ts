// ringfence for clients: connect, prepare, run.
export { type ErrorCode, RingfenceError } from './errors.js'
export { decodeImage } from './model/images.js'
export { type Picture, pictureToInput } from './model/picture-input.js'
export { type Channel, connect, Meter, type MeterReport, messagePortChannel, webSocketChannel } from './net/index.js'
export { type CallOptions, Client, type ClientOptions, type InferenceResult, type Progress } from './party/client.js'
export { type DiagnoseOptions, diagnose, type Finding } from './party/diagnose.js'
