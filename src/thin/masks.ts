// p and p_out, the streams of an owner's seed, without kernels: the same words as random/streams.ts makes.
import { chacha12, chacha20 } from '@noble/ciphers/chacha.js'
import type { Seed } from '../random/seed.js'
import { nonce, type PurposeCode } from '../random/streams.js'

/** The stream's first `count` words. @param rounds as the plan says */
export function ownerWords(seed: Seed, purpose: PurposeCode, count: number, rounds: 12 | 20): Uint32Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  for (const [i, word] of nonce({ purpose, layer: 0, inference: 0 }).entries()) view.setUint32(4 * i, word, true)
  const stream = (rounds === 20 ? chacha20 : chacha12)(seed, bytes, new Uint8Array(4 * count))
  const words = new Uint32Array(count)
  const from = new DataView(stream.buffer, stream.byteOffset)
  for (let i = 0; i < count; i++) words[i] = from.getUint32(4 * i, true)
  stream.fill(0)
  return words
}
