// The frames that name inferences, on either back end: classes of bytes, no party takes a length from a peer here.
import { RingfenceError } from '../errors.js'

/** Of a session, of a server's registration. */
export const ID_BYTES = 16

/** Most inferences of one request. */
export const MAX_BATCH = 1024

/** A request for material: how many inferences, from which on. */
export const BATCH_BYTES = 12

/** HMAC-SHA256 cut to half, as RFC 2104 §5 allows: a forger has one try in 2^128 per grant it shows. */
export const MAC_BYTES = 16

/** What a server grants at the helper, opaque to the client: an end and a MAC. */
export const GRANT_BYTES = 8 + MAC_BYTES

/** A client's request to the helper: a batch and its grant. */
export const DEAL_BYTES = BATCH_BYTES + GRANT_BYTES

/** A server's answer to a reservation: how many, why not for all, when to ask again; and the grant. */
export const RESERVED_BYTES = 9 + GRANT_BYTES

/** `count` inferences from `first` on. */
export function encodeBatch(first: number, count: number): Uint8Array {
  const out = new Uint8Array(BATCH_BYTES)
  writeInference(out, first)
  new DataView(out.buffer).setUint32(8, count, true)
  return out
}

export function decodeBatch(payload: Uint8Array): { first: number; count: number } {
  const count = new DataView(payload.buffer, payload.byteOffset).getUint32(8, true)
  if (count < 1 || count > MAX_BATCH) {
    throw new RingfenceError('PROTOCOL', `a batch has 1 to ${MAX_BATCH} inferences; the peer asked for more or none`)
  }
  return { first: readInference(payload), count }
}

/** The number of an inference. */
export const INFERENCE_BYTES = 8

/** In front of an inference's material: session and number. */
export const BUNDLE_BYTES = ID_BYTES + INFERENCE_BYTES

export function writeInference(out: Uint8Array, inference: number): void {
  new DataView(out.buffer, out.byteOffset).setBigUint64(0, BigInt(inference), true)
}

/** @throws RingfenceError PROTOCOL beyond 2^53 */
export function readInference(payload: Uint8Array): number {
  const value = new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new RingfenceError('PROTOCOL', 'an inference number is out of range')
  return Number(value)
}
