// How a comparison window is cut: the chain shape that costs least.
import { RingfenceError } from '../../errors.js'
import { type Chunks, tableBits } from '../../kernels/mcc.js'

export const MAX_CHUNK = 8

/** On-line bits weigh this much more than dealt ones when a shape is chosen: they are what a user waits for. */
const ONLINE_WEIGHT = 8

/** Columns of fewer than 16 entries share a word: each has to start on a multiple of its own size. */
export function aligned(chunks: Chunks): boolean {
  const t = chunks.length
  let at = 0
  return chunks.every((c, j) => {
    const fits = at % Math.min(16, 2 ** c) === 0
    at += (j === 0 ? t : 2 * (t - j)) * 2 ** c
    return fits
  })
}

/** The cheapest tables of t chunks over k bits, or null when none is possible. */
export function chunksOf(k: number, t: number): Chunks | null {
  const narrow = Math.floor(k / t)
  const wide = k - narrow * t
  if (t < 1 || narrow < 1 || narrow + (wide > 0 ? 1 : 0) > MAX_CHUNK) return null
  // Stage 0 has t bits an entry, stage j 2(t-j): the widest chunks go where an entry is smallest.
  const stages = Array.from({ length: t }, (_, j) => ({ j, bits: j === 0 ? t : 2 * (t - j) }))
  stages.sort((a, b) => a.bits - b.bits || b.j - a.j)
  const best = new Array<number>(t).fill(narrow)
  for (const { j } of stages.slice(0, wide)) best[j]++
  const descending = [...best].sort((a, b) => b - a)
  return aligned(best) ? best : descending
}

/** The chain shape for a window of k bits: given t, else the t with the least dealt plus weighted on-line bits. */
export function chooseChunks(k: number, t?: number): Chunks {
  const candidates = t === undefined ? Array.from({ length: Math.min(k, 12) }, (_, i) => i + 1) : [t]
  const shapes = candidates.map((stages) => chunksOf(k, stages)).filter((chunks) => chunks !== null)
  if (shapes.length === 0) {
    throw new RingfenceError(
      'BAD_INPUT',
      `no chain of ${t ?? 'any number of'} chunks covers ${k} bits; chunks have 1 to ${MAX_CHUNK} bits`,
    )
  }
  const cost = (chunks: Chunks) => tableBits(chunks) + ONLINE_WEIGHT * chunks.length ** 2
  return shapes.reduce((a, b) => (cost(b) < cost(a) ? b : a))
}
