// Who one of several servers of a registration is: it shows that it has the registration's secret key before the helper takes F
// of it, or has it deal for it.
import { RingfenceError } from '../../errors.js'
import { type Link, Phase } from '../../net/index.js'
import { Kind } from '../../protocol/kinds.js'
import { keyPair, SEED_BYTES, type Seed } from '../../random/seed.js'
import { confirmation, decodeAddress, equal, type HelperHello, IDENTIFIED_BYTES, replicaProof } from '../messages.js'
import type { DealerPool } from './dealing.js'

export interface Known {
  /** Shared with the registration. */
  readonly seed: Seed
  readonly helperKey: Uint8Array
  readonly pool: DealerPool | undefined
}

/**
 * Shows a replica that this is its helper, and asks it for the same.
 * @returns where it wants its bundles; undefined: over its link
 * @throws RingfenceError UNAUTHORIZED; UNSUPPORTED for an address that no dealer brings anything to
 */
export async function identify(
  link: Link,
  { publicKey, session, digest }: HelperHello,
  { seed, helperKey, pool }: Known,
): Promise<string | undefined> {
  const own = keyPair()
  const shown = confirmation(seed, new Uint8Array([...session, ...own.publicKey]))
  link.send(Kind.challenge, Phase.setup, 0, new Uint8Array([...own.publicKey, ...helperKey, ...shown]))
  const answer = await link.receive(Kind.identified, Phase.setup, 0, IDENTIFIED_BYTES)
  const order = { initiator: publicKey, responder: own.publicKey }
  const address = answer.subarray(SEED_BYTES)
  if (!equal(answer.subarray(0, SEED_BYTES), replicaProof(own, publicKey, order, { digest, address }))) {
    throw new RingfenceError('UNAUTHORIZED', 'this replica does not hold the secret key of its registration')
  }
  own.secretKey.fill(0)
  const url = decodeAddress(address)
  if (url === '') return undefined
  if (pool?.delivers?.(url)) return url
  const what = 'the dealers of this helper bring nothing to the address that the server gives'
  throw new RingfenceError('UNSUPPORTED', `${what}; have it allowed there (--deliver-to), or go without --deliver`)
}
