// The secret order in which a guarded inference compares everything once more: a uniform permutation out of a stream that
// server and helper share.
import { type IndexMap, uploadIndexMap } from '../../../kernels/index-maps.js'
import type { Kernels } from '../../../kernels/instance.js'
import { MAX_PLACES } from '../../../plan/guard.js'
import type { StreamAddress, Streams } from '../../../random/streams.js'

/** Words taken from the stream at a time. */
const BATCH = 1 << 14

/** Words of a stream, one batch after another. */
class Words {
  #block = 0

  constructor(
    private readonly k: Kernels,
    private readonly streams: Streams,
    private readonly address: StreamAddress,
  ) {}

  batch(): Uint32Array {
    const region = this.k.memory.alloc(BATCH * 4)
    this.streams.fill(this.address, region, this.#block)
    const words = region.u32().slice()
    region.release(true)
    this.#block += BATCH / 16
    return words
  }
}

/**
 * Which source stands at each of `count` places: a uniform permutation (Fisher and Yates). Both who hold the seed know it,
 * so that their addresses may depend on it; the client does not. The caller releases it.
 */
export function secretOrder(k: Kernels, count: number, streams: Streams, address: StreamAddress): IndexMap {
  if (!Number.isInteger(count) || count < 0 || count > MAX_PLACES)
    throw new RangeError(`an order has 0 to ${MAX_PLACES} places, not ${count}`)
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  const source = new Words(k, streams, address)
  let words: Uint32Array = new Uint32Array(0)
  let next = 0
  for (let i = count - 1; i > 0; ) {
    if (next === words.length) {
      words = source.batch()
      next = 0
    }
    // The high half of word · bound is uniform in [0, bound) once the 2^32 mod bound lowest values of the low half are
    // left out; products with a bound of at most 2^21 are exact in doubles.
    const bound = i + 1
    const product = words[next++] * bound
    const j = Math.floor(product / 2 ** 32)
    if (product - j * 2 ** 32 < bound && product - j * 2 ** 32 < 2 ** 32 % bound) continue
    const moved = order[i]
    order[i] = order[j]
    order[j] = moved
    i--
  }
  const map = uploadIndexMap(k, order)
  order.fill(0)
  return map
}
