// How a comparison window is cut: the chain shape that costs least.
import { RingfenceError } from '../../errors.js'
import { type Chunks, tableBits } from '../../kernels/mcc.js'

export const MAX_CHUNK = 8

/** On-line bits weigh this much more than dealt ones when a shape is chosen: they are what a user waits for. */
const ONLINE_WEIGHT = 8

/** Bits of one entry of stage j of t: masked carry and next key, for either carry in after stage 0. */
const entryBits = (t: number, j: number): number => (j === 0 ? t : 2 * (t - j))

/** Columns of fewer than 16 entries share a word: each has to start on a multiple of its own size. */
const fits = (at: number, c: number): boolean => at % Math.min(16, 2 ** c) === 0

/** Whether tables of these chunks can be laid out. */
export function aligned(chunks: Chunks): boolean {
  let at = 0
  return chunks.every((c, j) => {
    const starts = fits(at, c)
    at += entryBits(chunks.length, j) * 2 ** c
    return starts
  })
}

interface Shape {
  readonly bits: number
  /** Sum of the squared widths: of equally large tables the most even ones are taken. */
  readonly uneven: number
  readonly chunks: Chunks
}

/** The cheapest tables of t chunks over k bits that can be laid out, or null when none is possible. */
export function chunksOf(k: number, t: number): Chunks | null {
  // Best shape of the stages so far, by the bits they cover and where in a word their tables end.
  let best = new Map<string, Shape>([['0', { bits: 0, uneven: 0, chunks: [] }]])
  for (let j = 0; j < t; j++) {
    const longer = new Map<string, Shape>()
    for (const { bits, uneven, chunks } of best.values()) {
      const covered = chunks.reduce((sum, c) => sum + c, 0)
      for (let c = 1; c <= Math.min(MAX_CHUNK, k - covered - (t - 1 - j)); c++) {
        if (!fits(bits, c)) continue
        const shape = { bits: bits + entryBits(t, j) * 2 ** c, uneven: uneven + c * c, chunks: [...chunks, c] }
        const key = `${covered + c} ${shape.bits % 16}`
        const other = longer.get(key)
        if (!other || smaller(shape, other)) longer.set(key, shape)
      }
    }
    best = longer
  }
  const whole = [...best].filter(([key]) => key.startsWith(`${k} `)).map(([, shape]) => shape)
  return whole.reduce<Shape | null>((a, b) => (a && !smaller(b, a) ? a : b), null)?.chunks ?? null
}

const smaller = (a: Shape, b: Shape): boolean => a.bits < b.bits || (a.bits === b.bits && a.uneven < b.uneven)

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
