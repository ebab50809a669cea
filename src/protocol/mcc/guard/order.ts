// The secret order in which a guarded inference compares everything once more: a uniform permutation out of a stream that
// server and helper share.
import { type IndexMap, shuffledMap } from '../../../kernels/index-maps.js'
import type { Kernels } from '../../../kernels/instance.js'
import { MAX_PLACES } from '../../../plan/guard.js'
import type { StreamAddress, Streams } from '../../../random/streams.js'

/** Words taken from the stream at a time. */
const BATCH = 1 << 14

/**
 * Which source stands at each of `count` places: a uniform permutation. Both who hold the seed know it, so that their
 * addresses may depend on it; the client does not. The caller releases it, which wipes it.
 */
export function secretOrder(k: Kernels, count: number, streams: Streams, address: StreamAddress): IndexMap {
  if (!Number.isInteger(count) || count < 0 || count > MAX_PLACES)
    throw new RangeError(`an order has 0 to ${MAX_PLACES} places, not ${count}`)
  const words = k.memory.alloc(BATCH * 4)
  let block = 0
  const map = shuffledMap(k, count, words, () => {
    streams.fill(address, words, block)
    block += BATCH / 16
  })
  words.release(true)
  return map
}
