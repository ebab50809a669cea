// A seed sealed to somebody's public keys: two X25519 secrets (RFC 7748), HKDF-SHA256 (RFC 5869), ChaCha20-Poly1305 (RFC 8439).
// The lasting key says who may open it; the passing one makes that impossible for everybody once it is wiped.
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { RingfenceError } from '../errors.js'
import { agreeSeed, deriveSeed, type KeyPair, keyPair, type Seed } from './seed.js'

/** Public keys of whoever opens: its lasting one, and the one of the hour. */
export interface Recipient<Key = Uint8Array> {
  readonly identity: Key
  readonly epoch: Key
}

/** A sealed seed, and the sender's key of this seal alone. */
export interface Seal {
  readonly ephemeral: Uint8Array
  readonly sealed: Uint8Array
}

/** Every seal has a key of its own, so one nonce is enough. */
const NONCE = new Uint8Array(12)

/** @param context what the seal is for; it opens for nothing else */
export function sealSeed(seed: Seed, { identity, epoch }: Recipient, context: Uint8Array): Seal {
  const own = keyPair()
  const ephemeral = own.publicKey
  const key = sealKey(
    (role, peer) => agreeSeed(role, own, peer, { initiator: ephemeral, responder: peer }, context),
    identity,
    epoch,
  )
  own.secretKey.fill(0)
  const sealed = chacha20poly1305(key, NONCE, context).encrypt(seed)
  key.fill(0)
  return { ephemeral, sealed }
}

/** @throws RingfenceError PROTOCOL where the seal is for other keys or another context, or was changed */
export function openSeed(
  { ephemeral, sealed }: Seal,
  { identity, epoch }: Recipient<KeyPair>,
  context: Uint8Array,
): Seed {
  const own = new Map([identity, epoch].map((pair) => [pair.publicKey, pair]))
  const key = sealKey(
    (role, mine) => agreeSeed(role, own.get(mine)!, ephemeral, { initiator: ephemeral, responder: mine }, context),
    identity.publicKey,
    epoch.publicKey,
  )
  try {
    return chacha20poly1305(key, NONCE, context).decrypt(sealed)
  } catch (cause) {
    throw new RingfenceError('PROTOCOL', 'a sealed seed does not open: it is for another key, or was changed', [], {
      cause,
    })
  } finally {
    key.fill(0)
  }
}

function sealKey(agree: (role: string, recipient: Uint8Array) => Seed, identity: Uint8Array, epoch: Uint8Array): Seed {
  const lasting = agree('owner-delegate', identity)
  const passing = agree('owner-delegate epoch', epoch)
  const key = deriveSeed(new Uint8Array([...lasting, ...passing]), epoch, 'owner-delegate seal')
  for (const part of [lasting, passing]) part.fill(0)
  return key
}
