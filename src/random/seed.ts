// Seeds: 256 bits from the platform's CSPRNG, or from a key agreement between two parties.
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { RingfenceError } from '../errors.js'
import { x25519 } from './x25519.js'

export const SEED_BYTES = 32
/** 256 secret bits. */
export type Seed = Uint8Array

/** Fresh bytes from the platform's CSPRNG; there is no fallback. */
export function entropy(bytes: number): Uint8Array<ArrayBuffer> {
  const source = globalThis.crypto
  if (typeof source?.getRandomValues !== 'function') {
    throw new RingfenceError('HOST', 'no crypto.getRandomValues here; ringfence needs the platform’s CSPRNG')
  }
  return source.getRandomValues(new Uint8Array(bytes))
}

export const freshSeed = (): Seed => entropy(SEED_BYTES)

/** X25519 keys (RFC 7748), 32 bytes each. */
export interface KeyPair {
  readonly secretKey: Uint8Array
  readonly publicKey: Uint8Array
}

/** An X25519 key pair (RFC 7748). */
export function keyPair(secretKey: Uint8Array = freshSeed()): KeyPair {
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) }
}

/**
 * The seed two parties share: HKDF-SHA256 (RFC 5869) of their X25519 secret, bound to what it is for and to both
 * public keys in a fixed order, so that no two uses get the same seed.
 * @param role which pair and use, for example `client-helper`
 * @param context what else both sides must agree on, for example the plan's digest
 */
export function agreeSeed(
  role: string,
  own: KeyPair,
  peerKey: Uint8Array,
  order: { initiator: Uint8Array; responder: Uint8Array },
  context: Uint8Array,
): Seed {
  let secret: Uint8Array
  try {
    secret = x25519.getSharedSecret(own.secretKey, peerKey)
  } catch (cause) {
    throw new RingfenceError('PROTOCOL', 'the peer’s public key is not a usable X25519 key', [], { cause })
  }
  const salt = new Uint8Array([...order.initiator, ...order.responder, ...context])
  const seed = deriveSeed(secret, sha256(salt), role)
  secret.fill(0)
  return seed
}

/** HKDF-SHA256 of a secret: another seed for another use, named by `info`. */
export function deriveSeed(secret: Uint8Array, salt: Uint8Array, info: string): Seed {
  return hkdf(sha256, secret, salt, new TextEncoder().encode(`ringfence/1 ${info}`), SEED_BYTES)
}
