// Words of a guarded inference: u64 in memory, of which the lowest N = n + σ bits, or fewer, count and travel.
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { join64, split64 } from '../../../kernels/mcc.js'
import { add32, mask32, shl32, shrLogical32 } from '../../../kernels/ring.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import { openedBytes, packOpened, unpackOpened } from '../comparison.js'

export { openedBytes as longBytes }

/** Long words as they travel: of up to 32 bits as others do, beyond that low halves before high ones. */
export function packLong(k: Kernels, words: Region, count: number, bits: number, out: Region): void {
  if (bits > 32) {
    packOpened(k, words, count, bits, out)
    return
  }
  const [low, high] = halvesOf(k, words, count)
  pack(k, low, count, bits, out)
  low.release()
  high.release()
}

/** The inverse of `packLong`. The caller releases the result. */
export function unpackLong(
  k: Kernels,
  message: Region,
  count: number,
  bits: number,
  words = k.memory.alloc(count * 8),
): Region {
  if (bits > 32) {
    unpackOpened(k, message, count, bits, words)
    return words
  }
  const [low, high] = [k.memory.alloc(count * 4), k.memory.allocZero(count * 4)]
  unpack(k, message.part(0, packedBytes(count, bits)), count, bits, low)
  join64(k, low, high, count, words)
  low.release()
  high.release()
  return words
}

/** Low and high 32 bits. The caller releases both. */
export function halvesOf(k: Kernels, words: Region, count: number): [low: Region, high: Region] {
  const [low, high] = [k.memory.alloc(count * 4), k.memory.alloc(count * 4)]
  split64(k, words, count, low, high)
  return [low, high]
}

/**
 * Client and helper: r̃ of a tensor, its mask r mod 2^n with fresh bits above. The caller releases it.
 * @param r one u32 word per element
 */
export function lifted(
  k: Kernels,
  r: Region,
  count: number,
  ring: number,
  ch: Streams,
  tensor: number,
  inference: number,
): Region {
  const out = k.memory.alloc(count * 8)
  const fresh = ch.take({ purpose: Purpose.replyLift, layer: tensor, inference }, count * 4)
  if (ring === 32) join64(k, r, fresh, count, out)
  else {
    const low = k.memory.alloc(count * 4)
    const above = k.memory.alloc(count * 4)
    mask32(k, r, ring, low, count)
    shl32(k, fresh, ring, above, count)
    add32(k, low, above, low, count)
    shrLogical32(k, fresh, 32 - ring, fresh, count)
    join64(k, low, fresh, count, out)
    low.release(true)
    above.release(true)
  }
  fresh.release(true)
  return out
}
