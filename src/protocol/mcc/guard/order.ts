// The secret order in which a guarded inference compares everything once more: a uniform permutation out of a stream that
// server and helper share.
import { type IndexMap, uploadIndexMap } from '../../../kernels/index-maps.js'
import type { Kernels } from '../../../kernels/instance.js'
import { MAX_PLACES } from '../../../plan/guard.js'
import type { StreamAddress, Streams } from '../../../random/streams.js'

/** Words taken from the stream at a time. */
const BATCH = 1 << 14

/** Uniform numbers below a bound, from a stream, without bias: words that would favour some results are skipped. */
class Draws {
  #words = new Uint32Array(0)
  #next = 0
  #block = 0

  constructor(
    private readonly k: Kernels,
    private readonly streams: Streams,
    private readonly address: StreamAddress,
  ) {}

  /** Uniform in [0, bound), bound at most 2^21: products stay exact in doubles. */
  below(bound: number): number {
    for (;;) {
      if (this.#next === this.#words.length) this.#refill()
      // The high half of word · bound is uniform once the 2^32 mod bound lowest values of the low half are left out.
      const product = this.#words[this.#next++] * bound
      const high = Math.floor(product / 2 ** 32)
      if (product - high * 2 ** 32 >= 2 ** 32 % bound) return high
    }
  }

  #refill(): void {
    const region = this.k.memory.alloc(BATCH * 4)
    this.streams.fill(this.address, region, this.#block)
    this.#words = region.u32().slice()
    region.release(true)
    this.#block += BATCH / 16
    this.#next = 0
  }
}

/**
 * Which source stands at each of `count` places: a uniform permutation (Fisher and Yates). Both who hold the seed know it,
 * so that their addresses may depend on it; the client does not. The caller releases it.
 */
export function secretOrder(k: Kernels, count: number, streams: Streams, address: StreamAddress): IndexMap {
  if (!Number.isInteger(count) || count < 0 || count > MAX_PLACES)
    throw new RangeError(`an order has 0 to ${MAX_PLACES} places, not ${count}`)
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  const draws = new Draws(k, streams, address)
  for (let i = count - 1; i > 0; i--) {
    const j = draws.below(i + 1)
    const moved = order[i]
    order[i] = order[j]
    order[j] = moved
  }
  const map = uploadIndexMap(k, order)
  order.fill(0)
  return map
}
