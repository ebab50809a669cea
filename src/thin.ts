/**
 * ringfence for owners of inputs behind a delegate: fetch and a few kilobytes, no WebAssembly, no worker.
 * @module ringfence/thin
 */

export { type ErrorCode, RingfenceError } from './errors.js'
export { type PictureInputOptions, pictureToInput } from './model/pictures/input.js'
export type { Closable, DrawablePicture, PictureSource, PixelData } from './model/pictures/page.js'
export type { Picture } from './model/pictures/picture.js'
export type { Resize } from './model/pictures/resize.js'
export type { CallOptions, InferenceResult, Progress } from './party/client/client-options.js'
export type { OwnerTerms } from './protocol/delegated/terms.js'
export { meteredFetch, type OwnerTraffic } from './thin/metered.js'
export type { Fetch } from './thin/requests.js'
export { ThinClient, type ThinOptions } from './thin/thin-client.js'
