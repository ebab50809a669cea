// A delegate's passing keys. What was sealed to one cannot be opened once it is wiped, after two hours or with the process: so
// a request that is sent again after a crash is refused without anything having been written down.
import { RingfenceError } from '../errors.js'
import { equal } from '../party/messages.js'
import { openSeed, type Seal } from '../random/seal.js'
import { type KeyPair, keyPair, type Seed } from '../random/seed.js'

/** How long a key is handed out; it opens for as long again. */
export const EPOCH_MS = 3_600_000
/** Ids that a key remembers; then the next one begins. */
const MOST_IDS = 2 ** 17

interface Epoch {
  readonly keys: KeyPair
  readonly since: number
  /** Ids of the requests whose seeds it opened. */
  readonly ids: Set<string>
}

export class Epochs {
  #now: Epoch
  #before: Epoch | undefined

  /** @param clock milliseconds, monotone */
  constructor(
    private readonly identity: KeyPair,
    private readonly lengthMs = EPOCH_MS,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.#now = this.#fresh()
  }

  /** The key to seal to now. */
  get publicKey(): Uint8Array {
    this.#turn()
    return this.#now.keys.publicKey
  }

  /** @throws RingfenceError PEER_GONE for a key that is gone: ask for the one of now */
  expect(publicKey: Uint8Array): void {
    this.#find(publicKey)
  }

  /** Opens a seed, once for an id. @throws RingfenceError PEER_GONE for a key that is gone, PROTOCOL, MATERIAL_USED */
  open(seal: Seal & { epoch: Uint8Array }, id: string, context: Uint8Array): Seed {
    const epoch = this.#find(seal.epoch)
    if (epoch.ids.has(id)) throw new RingfenceError('MATERIAL_USED', 'a request with this id came before')
    const seed = openSeed(seal, { identity: this.identity, epoch: epoch.keys }, context)
    epoch.ids.add(id)
    return seed
  }

  release(): void {
    for (const epoch of [this.#now, this.#before]) epoch?.keys.secretKey.fill(0)
  }

  #find(publicKey: Uint8Array): Epoch {
    this.#turn()
    const epoch = [this.#now, this.#before].find((each) => each && equal(each.keys.publicKey, publicKey))
    if (epoch) return epoch
    throw new RingfenceError('PEER_GONE', 'the key that this was sealed to is gone; ask for the one of now')
  }

  #turn(): void {
    const { since, ids } = this.#now
    const age = this.clock() - since
    if (age < this.lengthMs && ids.size < MOST_IDS) return
    this.#before?.keys.secretKey.fill(0)
    // One that nobody asked about for so long is over altogether.
    if (age >= 2 * this.lengthMs) this.#now.keys.secretKey.fill(0)
    this.#before = age >= 2 * this.lengthMs ? undefined : this.#now
    this.#now = this.#fresh()
  }

  #fresh(): Epoch {
    return { keys: keyPair(), since: this.clock(), ids: new Set() }
  }
}
