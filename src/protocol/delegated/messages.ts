// What the owner of an input says in a delegated inference (docs/protocol.md, "delegated"), as bytes: one request to the server,
// one to the delegate. Every length follows from the terms; nobody takes one from a peer.
import { RingfenceError } from '../../errors.js'
import { ID_BYTES } from '../control.js'

/** Which requests these are. Rises with every change of what an owner sends or draws. */
const OWNER_VERSION = 1
const DIGEST_BYTES = 32
const KEY_BYTES = 32
/** A seed and the tag of its AEAD. */
const SEALED_BYTES = 32 + 16

/** In front of both requests: whose halves belong together, and which plan they are for. */
export interface OwnerHead {
  readonly id: Uint8Array
  readonly digest: Uint8Array
}

export const HEAD_BYTES = 1 + ID_BYTES + DIGEST_BYTES

/** The head as it travels; what a seed is sealed for, too. */
export function encodeHead({ id, digest }: OwnerHead): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(HEAD_BYTES)
  out[0] = OWNER_VERSION
  out.set(id, 1)
  out.set(digest, 1 + ID_BYTES)
  return out
}

function decodeHead(bytes: Uint8Array): OwnerHead {
  if (bytes[0] !== OWNER_VERSION) {
    const what = `the owner speaks version ${bytes[0]} of delegated inference, this is version ${OWNER_VERSION}`
    throw new RingfenceError('PROTOCOL', what)
  }
  return { id: bytes.slice(1, 1 + ID_BYTES), digest: bytes.slice(1 + ID_BYTES, HEAD_BYTES) }
}

/** The plan that bytes, which may be any, name where a request does. */
export const digestOf = (request: Uint8Array): Uint8Array => request.subarray(1 + ID_BYTES, HEAD_BYTES)

/** To the server: x - p, packed. */
export interface InputHalf extends OwnerHead {
  readonly words: Uint8Array
}

export function encodeInputHalf({ words, ...head }: InputHalf): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(HEAD_BYTES + words.byteLength)
  out.set(encodeHead(head))
  out.set(words, HEAD_BYTES)
  return out
}

/** @param wordBytes of x - p, from the plan @throws RingfenceError PROTOCOL for another version, FRAME for another length */
export function decodeInputHalf(bytes: Uint8Array, wordBytes: number): InputHalf {
  expectLength(bytes, HEAD_BYTES + wordBytes)
  return { ...decodeHead(bytes), words: bytes.subarray(HEAD_BYTES) }
}

/** To the delegate: the seed of p and p_out, sealed. */
export interface SealedSeed extends OwnerHead {
  /** The delegate's key of the hour, and the owner's of this request. */
  readonly epoch: Uint8Array
  readonly ephemeral: Uint8Array
  readonly sealed: Uint8Array
}

export const SEED_MESSAGE_BYTES = HEAD_BYTES + 2 * KEY_BYTES + SEALED_BYTES

export function encodeSealedSeed({ epoch, ephemeral, sealed, ...head }: SealedSeed): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(SEED_MESSAGE_BYTES)
  out.set(encodeHead(head))
  out.set(epoch, HEAD_BYTES)
  out.set(ephemeral, HEAD_BYTES + KEY_BYTES)
  out.set(sealed, HEAD_BYTES + 2 * KEY_BYTES)
  return out
}

/** @throws RingfenceError PROTOCOL for another version, FRAME for another length */
export function decodeSealedSeed(bytes: Uint8Array): SealedSeed {
  expectLength(bytes, SEED_MESSAGE_BYTES)
  const at = (offset: number, length: number) => bytes.slice(HEAD_BYTES + offset, HEAD_BYTES + offset + length)
  return {
    ...decodeHead(bytes),
    epoch: at(0, KEY_BYTES),
    ephemeral: at(KEY_BYTES, KEY_BYTES),
    sealed: at(2 * KEY_BYTES, SEALED_BYTES),
  }
}

function expectLength(bytes: Uint8Array, length: number): void {
  if (bytes.byteLength === length) return
  throw new RingfenceError('FRAME', `an owner's request has ${length} bytes, not ${bytes.byteLength}`)
}
