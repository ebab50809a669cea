// How a delegate shows a server that it is the one whose key the server was given: by a seed that only its secret key and the
// server's key of this connection agree on (X25519, HKDF). Nobody is told κ_B before.
import { RingfenceError } from '../../errors.js'
import { type Link, Phase } from '../../net/index.js'
import { Kind } from '../../protocol/kinds.js'
import { agreeSeed, type KeyPair, keyPair, SEED_BYTES, type Seed } from '../../random/seed.js'
import { equal, KEY_BYTES } from '../messages.js'

/**
 * Server: asks whoever connected for the proof.
 * @throws RingfenceError UNAUTHORIZED for anybody else; PEER_GONE when it leaves, as ordinary clients do here
 */
export async function expectDelegate(link: Link, delegateKey: Uint8Array): Promise<void> {
  const own = keyPair()
  link.send(Kind.challenge, Phase.setup, 0, own.publicKey)
  const proof = await link.receive(Kind.identified, Phase.setup, 0, SEED_BYTES)
  const order = { initiator: delegateKey, responder: own.publicKey }
  const expected = agreeSeed(ROLE, own, delegateKey, order, NOTHING)
  own.secretKey.fill(0)
  if (equal(proof, expected)) return
  throw new RingfenceError('UNAUTHORIZED', 'somebody who is not this server’s delegate connected as it')
}

/** Delegate: the proof for a server's challenge. */
export function delegateProof(identity: KeyPair, challenge: Uint8Array): Seed {
  if (challenge.byteLength !== KEY_BYTES) throw new RingfenceError('FRAME', 'a challenge is a public key')
  const order = { initiator: identity.publicKey, responder: challenge }
  return agreeSeed(ROLE, identity, challenge, order, NOTHING)
}

const ROLE = 'server-delegate proof'
/** Both keys are all there is to agree on: the server's serves this connection alone. */
const NOTHING = new Uint8Array(0)
