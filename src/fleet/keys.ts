// The secret that fronts and dealers of one fleet share. It seals jobs, and k_H follows from it.
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { RingfenceError } from '../errors.js'
import { equal, hex } from '../party/messages.js'
import { deriveSeed, entropy, SEED_BYTES, type Seed } from '../random/seed.js'

const NONCE_BYTES = 24
const NO_SALT = new Uint8Array(0)

/** The key of the day, and those before it of which sessions may be left. */
export class FleetKeys {
  readonly #sealing: Seed[]
  readonly #reading: Seed[]
  /** What a front calls itself by each of the keys; says nothing of them. */
  readonly names: readonly string[]
  /** For `Helper`: what k_H of every session that begins now is derived from. */
  readonly epoch: Seed

  /** @param keys the newest first, 32 bytes each; copied @throws RingfenceError BAD_INPUT */
  constructor(keys: readonly Seed[]) {
    if (keys.length === 0 || keys.some((key) => key.byteLength !== SEED_BYTES)) {
      throw new RingfenceError('BAD_INPUT', `a fleet has one or more keys of ${SEED_BYTES} bytes`)
    }
    this.#sealing = keys.map((key) => deriveSeed(key, NO_SALT, 'fleet jobs'))
    this.#reading = keys.map((key) => deriveSeed(key, NO_SALT, 'fleet models'))
    this.names = keys.map((key) => hex(deriveSeed(key, NO_SALT, 'fleet name').subarray(0, 8)))
    this.epoch = deriveSeed(keys[0], NO_SALT, 'fleet epoch')
  }

  seal(clear: Uint8Array): Uint8Array {
    const nonce = entropy(NONCE_BYTES)
    return new Uint8Array([...nonce, ...xchacha20poly1305(this.#sealing[0], nonce).encrypt(clear)])
  }

  /** @throws RingfenceError INSECURE for what this fleet did not seal, or somebody has changed */
  open(sealed: Uint8Array): Uint8Array {
    for (const key of this.#sealing) {
      try {
        return xchacha20poly1305(key, sealed.subarray(0, NONCE_BYTES)).decrypt(sealed.subarray(NONCE_BYTES))
      } catch {
        // The next key.
      }
    }
    throw new RingfenceError('INSECURE', 'this job was not sealed with a key of this fleet, or was changed')
  }

  /** Shows a front that somebody may have a model, or that a front brings a client: by its name. */
  tokenFor(model: Uint8Array): Seed {
    return deriveSeed(this.#reading[0], model, 'fleet model')
  }

  /** Whether it is a token of any of the keys. */
  admits(model: Uint8Array, token: Uint8Array): boolean {
    return this.#reading.some((key) => equal(deriveSeed(key, model, 'fleet model'), token))
  }

  release(): void {
    for (const key of [...this.#sealing, ...this.#reading, this.epoch]) key.fill(0)
  }
}
