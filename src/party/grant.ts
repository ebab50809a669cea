// What a server grants a client at the helper: to have these inferences of this session dealt, until then. The client
// passes it on as it is; the helper deals nothing without it.
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { RingfenceError } from '../errors.js'
import { deriveSeed, type Seed } from '../random/seed.js'
import { encodeBatch, equal, GRANT_BYTES, MAC_BYTES, readInference, writeInference } from './messages.js'

/** How long a grant can be used. */
export const GRANT_MS = 60_000

const TIME_BYTES = GRANT_BYTES - MAC_BYTES

/**
 * One registration's grants, at either of its ends. Times count from the registration, by either end's own clock: the two
 * need not agree on the time of day, and what one drifts from the other while a registration lasts shortens or lengthens
 * a grant by as much.
 */
export class Grants {
  readonly #key: Seed
  readonly #clock: () => number
  readonly #start: number

  /** @param seed server's and helper's @param clock milliseconds, monotone */
  constructor(seed: Seed, registration: Uint8Array, clock: () => number = () => performance.now()) {
    this.#key = deriveSeed(seed, registration, 'server-helper grant')
    this.#clock = clock
    this.#start = clock()
  }

  /** Milliseconds since the registration. */
  get now(): number {
    return Math.floor(this.#clock() - this.#start)
  }

  issue(session: Uint8Array, first: number, count: number): Uint8Array {
    const grant = new Uint8Array(GRANT_BYTES)
    writeInference(grant, this.now + GRANT_MS)
    grant.set(this.#mac(session, first, count, grant.subarray(0, TIME_BYTES)), TIME_BYTES)
    return grant
  }

  /**
   * When a grant ends, in milliseconds since the registration.
   * @throws RingfenceError PROTOCOL when the server issued no such grant, DEADLINE when it did and too long ago
   */
  check(grant: Uint8Array, session: Uint8Array, first: number, count: number): number {
    const time = grant.subarray(0, TIME_BYTES)
    if (!equal(this.#mac(session, first, count, time), grant.subarray(TIME_BYTES))) {
      throw new RingfenceError('PROTOCOL', 'the server granted no such deal; reserve at the server first')
    }
    const until = readInference(time)
    if (until >= this.now) return until
    throw new RingfenceError('DEADLINE', `the server's grant ended after ${GRANT_MS} ms; prepare again`)
  }

  release(): void {
    this.#key.fill(0)
  }

  #mac(session: Uint8Array, first: number, count: number, time: Uint8Array): Uint8Array {
    const granted = new Uint8Array([...session, ...encodeBatch(first, count), ...time])
    return hmac(sha256, this.#key, granted).subarray(0, MAC_BYTES)
  }
}
