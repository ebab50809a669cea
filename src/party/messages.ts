// The fixed-length messages of set-up and control, as classes of bytes: no party takes a length from a peer here.
import { MAX_RETRY_MS, RingfenceError } from '../errors.js'
import { PROTOCOL_VERSION } from '../plan/plan.js'
import { encodeBatch, ID_BYTES, INFERENCE_BYTES, RESERVED_BYTES } from '../protocol/control.js'
import { agreeSeed, deriveSeed, type KeyPair, SEED_BYTES, type Seed } from '../random/seed.js'

// The frames that name inferences are the protocol's; parties find all fixed-length messages here.
export {
  BATCH_BYTES,
  BUNDLE_BYTES,
  DEAL_BYTES,
  decodeBatch,
  GRANT_BYTES,
  MAC_BYTES,
  MAX_BATCH,
  readInference,
  writeInference,
} from '../protocol/control.js'
export { encodeBatch, ID_BYTES, INFERENCE_BYTES, RESERVED_BYTES }

export const KEY_BYTES = 32
export const DIGEST_BYTES = 32

/** Most inferences that a server grants at a time: clients that prepare many take turns. */
export const MAX_GRANT = 8

/** `session`: a server's connection for one of its clients, on `securenn`. `replica`: one of the servers that share a registration. */
export const Caller = { client: 1, server: 2, session: 3, replica: 4 } as const

export const HELLO_BYTES = 2 + 2 * ID_BYTES + DIGEST_BYTES + KEY_BYTES + 4

/** First message to the helper. A server leaves the identifiers zero; its connection for a session shows `sessionProof` in
 * place of a public key. A replica shows its registration's public key, and random bytes in place of a session. */
export interface HelperHello {
  role: number
  registration: Uint8Array
  session: Uint8Array
  digest: Uint8Array
  publicKey: Uint8Array
  /** Length of the plan that follows; 0 from a client. */
  planBytes: number
}

export function encodeHello(hello: HelperHello): Uint8Array {
  const out = new Uint8Array(HELLO_BYTES)
  out.set([PROTOCOL_VERSION, hello.role])
  out.set(hello.registration, 2)
  out.set(hello.session, 2 + ID_BYTES)
  out.set(hello.digest, 2 + 2 * ID_BYTES)
  out.set(hello.publicKey, 2 + 2 * ID_BYTES + DIGEST_BYTES)
  new DataView(out.buffer).setUint32(HELLO_BYTES - 4, hello.planBytes, true)
  return out
}

export function decodeHello(payload: Uint8Array): HelperHello {
  checkVersion(payload[0])
  const at = (offset: number, length: number) => payload.slice(offset, offset + length)
  return {
    role: payload[1],
    registration: at(2, ID_BYTES),
    session: at(2 + ID_BYTES, ID_BYTES),
    digest: at(2 + 2 * ID_BYTES, DIGEST_BYTES),
    publicKey: at(2 + 2 * ID_BYTES + DIGEST_BYTES, KEY_BYTES),
    planBytes: new DataView(payload.buffer, payload.byteOffset).getUint32(HELLO_BYTES - 4, true),
  }
}

export function checkVersion(version: number): void {
  if (version !== PROTOCOL_VERSION) {
    throw new RingfenceError(
      'PROTOCOL',
      `the peer speaks version ${version} of the protocol, this is version ${PROTOCOL_VERSION}`,
    )
  }
}

/** First message of a client to its server: which plan it wants, and whether it has that plan already. */
export interface ClientHello {
  /** Undefined: any. */
  digest: Uint8Array | undefined
  hasPlan: boolean
}

export const CLIENT_HELLO_BYTES = 2 + DIGEST_BYTES

export function encodeClientHello({ digest, hasPlan }: ClientHello): Uint8Array {
  const out = new Uint8Array(CLIENT_HELLO_BYTES)
  out.set([PROTOCOL_VERSION, Number(hasPlan)])
  if (digest) out.set(digest, 2)
  return out
}

/** @throws RingfenceError PROTOCOL for another version */
export function decodeClientHello(payload: Uint8Array): ClientHello {
  checkVersion(payload[0])
  const digest = payload.subarray(2)
  return { digest: digest.some((byte) => byte !== 0) ? digest : undefined, hasPlan: payload[1] === 1 }
}

/** The helper's answer to a server: registration, public key, `confirmation`. */
export const REGISTERED_BYTES = ID_BYTES + KEY_BYTES + SEED_BYTES

/** What a helper shows a replica before it is told anything: a key of this connection, its own, `confirmation`. */
export const CHALLENGE_BYTES = 2 * KEY_BYTES + SEED_BYTES

/** An address in ASCII, filled up with zeros; all zero: none. */
export const ADDRESS_BYTES = 256

/** @throws RingfenceError BAD_INPUT */
export function encodeAddress(address: string): Uint8Array {
  const bytes = new TextEncoder().encode(address)
  if (bytes.byteLength > ADDRESS_BYTES) {
    throw new RingfenceError(
      'BAD_INPUT',
      `an address of ${bytes.byteLength} bytes: give one of ${ADDRESS_BYTES} at most`,
    )
  }
  const out = new Uint8Array(ADDRESS_BYTES)
  out.set(bytes)
  return out
}

export function decodeAddress(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/**
 * A replica's answer: the seed that the connection's key and its registration's agree on, and where bundles can be brought to it,
 * if past its connection.
 */
export const IDENTIFIED_BYTES = SEED_BYTES + ADDRESS_BYTES

export const WELCOME_BYTES = 2 * ID_BYTES + KEY_BYTES + SEED_BYTES + DIGEST_BYTES + 4

/** The server's answer to a client. */
export interface ServerWelcome {
  registration: Uint8Array
  session: Uint8Array
  /** The helper's public key as the server sees it: both must talk to the same helper. */
  helperKey: Uint8Array
  modelSeed: Seed
  digest: Uint8Array
  planBytes: number
}

export function encodeWelcome(welcome: ServerWelcome): Uint8Array {
  const out = new Uint8Array(WELCOME_BYTES)
  let at = 0
  for (const part of [welcome.registration, welcome.session, welcome.helperKey, welcome.modelSeed, welcome.digest]) {
    out.set(part, at)
    at += part.byteLength
  }
  new DataView(out.buffer).setUint32(at, welcome.planBytes, true)
  return out
}

export function decodeWelcome(payload: Uint8Array): ServerWelcome {
  let at = 0
  const take = (length: number) => payload.slice(at, (at += length))
  return {
    registration: take(ID_BYTES),
    session: take(ID_BYTES),
    helperKey: take(KEY_BYTES),
    modelSeed: take(SEED_BYTES),
    digest: take(DIGEST_BYTES),
    planBytes: new DataView(payload.buffer, payload.byteOffset).getUint32(at, true),
  }
}

export function encodeDeal(first: number, count: number, grant: Uint8Array): Uint8Array {
  return new Uint8Array([...encodeBatch(first, count), ...grant])
}

/** A server's answer to a client's reservation. */
export interface Reserved {
  /** Inferences there is room for, from the first one asked for. */
  granted: number
  /**
   * Why not for all: full, the client's share of it too; too many clients wait, or the allowance of the minute is used up;
   * the allowance is used up for good.
   */
  lack: (typeof LACKS)[number]
  /** When to ask for more, in milliseconds. */
  retryAfterMs: number
  grant: Uint8Array
}

const LACKS = ['none', 'STORE_FULL', 'BUSY', 'UNAUTHORIZED'] as const

export function encodeReserved({ granted, lack, retryAfterMs, grant }: Reserved): Uint8Array {
  const out = new Uint8Array(RESERVED_BYTES)
  const view = new DataView(out.buffer)
  view.setUint32(0, granted, true)
  view.setUint32(4, Math.min(MAX_RETRY_MS, Math.ceil(retryAfterMs)), true)
  out[8] = LACKS.indexOf(lack)
  out.set(grant, 9)
  return out
}

/** @throws RingfenceError PROTOCOL for a reason that this version does not know */
export function decodeReserved(payload: Uint8Array): Reserved {
  const view = new DataView(payload.buffer, payload.byteOffset)
  const lack = LACKS[payload[8]]
  if (!lack) throw new RingfenceError('PROTOCOL', 'the server refuses a reservation for a reason unknown here')
  return {
    granted: view.getUint32(0, true),
    retryAfterMs: Math.min(MAX_RETRY_MS, view.getUint32(4, true)),
    lack,
    grant: payload.slice(9),
  }
}

/** What a client shows to use the material of an earlier session. */
export const TOKEN_BYTES = 32

/** A session's token, and where to come back with it, if not to where the client has come. */
export const KEPT_BYTES = TOKEN_BYTES + ADDRESS_BYTES

/** A session and its token. */
export const RESUME_BYTES = ID_BYTES + TOKEN_BYTES

/** A session and an inference of it. */
export const CLAIM_BYTES = ID_BYTES + INFERENCE_BYTES

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

/** @param text pairs of digits */
export const fromHex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16))

/** In the same time wherever they differ: some of what is compared proves who a peer is. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  return a.reduce((difference, byte, i) => difference | (byte ^ b[i]), 0) === 0
}

/** The seed of one client session under a longer-lived seed. */
export const sessionSeed = (seed: Seed, session: Uint8Array): Seed => deriveSeed(seed, session, 'session')

/** Shows the helper that a connection for a session comes from the server the session belongs to. */
export const sessionProof = (seed: Seed, session: Uint8Array): Uint8Array =>
  deriveSeed(seed, session, 'server-helper session')

/**
 * Shows a server that the helper holds the secret key of the public one it gave. Without it a stranger could show a
 * pinned key, collect F, and then ask for the model's seed as a client: the two together are the weights.
 */
export const confirmation = (seed: Seed, registration: Uint8Array): Uint8Array =>
  deriveSeed(seed, registration, 'server-helper confirmation')

/**
 * Shows a helper that a replica has its registration's secret key: to the key that this connection is challenged with, and for this
 * plan and this address alone.
 */
export const replicaProof = (
  own: KeyPair,
  peerKey: Uint8Array,
  order: { initiator: Uint8Array; responder: Uint8Array },
  { digest, address }: { digest: Uint8Array; address: Uint8Array },
): Seed => agreeSeed('server-helper replica', own, peerKey, order, new Uint8Array([...digest, ...address]))

/** What all of a helper's fronts and dealers call the model of a shared registration. */
export const sharedModel = (seed: Seed): Uint8Array =>
  deriveSeed(seed, new Uint8Array(0), 'server-helper model').slice(0, ID_BYTES)

/** Shows a replica that a bundle comes from its helper's dealers. @param sh k_SH */
export const deliveryToken = (sh: Seed): Seed => deriveSeed(sh, new Uint8Array(0), 'server-helper delivery')
