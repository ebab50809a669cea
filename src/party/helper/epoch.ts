// Where k_H comes from. Bundles of one number under two k_H would open each other's masks (docs/protocol.md, section 9), so
// a helper that may deal a number again derives k_H from a secret that it shares with whoever else may deal it.
import { RingfenceError } from '../../errors.js'
import { deriveSeed, SEED_BYTES, type Seed } from '../../random/seed.js'

/** A secret that lasts for a time, and as long as a session that began in it. */
export class Epoch {
  readonly #secret: Seed
  #sessions = 0
  #over = false

  /** @param secret is copied @throws RingfenceError BAD_INPUT */
  constructor(secret: Seed) {
    if (secret.byteLength !== SEED_BYTES) {
      throw new RingfenceError('BAD_INPUT', `an epoch's secret has ${SEED_BYTES} bytes, not ${secret.byteLength}`)
    }
    this.#secret = secret.slice()
  }

  /** k_H of a client's connection: the same whoever asks, and another for every other registration, session or key. */
  dealerSeed(registration: Uint8Array, session: Uint8Array, clientKey: Uint8Array): Seed {
    const salt = new Uint8Array([...registration, ...session, ...clientKey])
    return deriveSeed(this.#secret, salt, 'helper dealer')
  }

  /** A session has begun. */
  enter(): this {
    this.#sessions++
    return this
  }

  /** A session that was begun is forgotten. */
  leave(): void {
    this.#sessions--
    this.#wipe()
  }

  /** No session begins in it any more. */
  end(): void {
    this.#over = true
    this.#wipe()
  }

  #wipe(): void {
    if (this.#over && this.#sessions === 0) this.#secret.fill(0)
  }
}
