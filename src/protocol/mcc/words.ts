// The correction words of a ReLU step (docs/protocol.md, "Select"): what turns an opened bit back into a ring value.
//
//   ρ per comparison and P = ρA_0 per switched value     n bits
//   Q = ρμ per switched value                            n - n' bits: they count times 2^n'
//   ω and μ per opened value, shared by all its copies   n - n' bits
//
// The client's halves are streams of its seed; the helper sends the server each value less that half.
import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { Purpose, type Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { remembered } from '../remembered.js'
import type { ReluStep } from './step.js'
import { type Part, wordsOf } from './values.js'

const FIELDS = ['rho', 'p', 'q', 'omega', 'mu'] as const
type Field = (typeof FIELDS)[number]

/** One party's part of a step's words, u32 each; the fields lie in one region. */
export type SelectWords = Readonly<Record<Field, Region>> & { release(): void }

/** A part's words; they are released with the whole. */
export function selectWordsOf(part: Part, words: SelectWords): SelectWords {
  if (part.whole) return words
  const fields = FIELDS.map((field) => [field, wordsOf(part, words[field])])
  return { ...(Object.fromEntries(fields) as Record<Field, Region>), release() {} }
}

/** Where the client's half of a field comes from. */
const HALVES = {
  rho: { purpose: Purpose.rhoHalf, tensor: 0 },
  p: { purpose: Purpose.selectHalf, tensor: 0 },
  q: { purpose: Purpose.selectHalf, tensor: 1 },
  omega: { purpose: Purpose.extendHalf, tensor: 0 },
  mu: { purpose: Purpose.extendHalf, tensor: 1 },
} as const

/** What a step's words follow from. */
export interface WordCounts {
  readonly activation: Pick<ReluStep['activation'], 'bits'>
  readonly relu: Pick<ReluNumbers, 'comparisons' | 'switched'> & {
    readonly opened: Pick<ReluNumbers['opened'], 'values'>
  }
}

interface Shape {
  readonly field: Field
  readonly count: number
  readonly bits: number
}

/** How many words a field has, and of how many bits as they travel: none where n' = n. */
const shapes = remembered(({ activation, relu }: WordCounts, ring: number): readonly Shape[] => {
  const { comparisons, switched, opened } = relu
  const counts = { rho: comparisons, p: switched, q: switched, omega: opened.values, mu: opened.values }
  return FIELDS.map((field) => {
    return { field, count: counts[field], bits: field === 'rho' || field === 'p' ? ring : ring - activation.bits }
  })
})

/** How many words a step has, of whatever width. */
export function wordCount({ relu: { comparisons, switched, opened } }: Pick<ReluStep<ReluNumbers>, 'relu'>): number {
  return comparisons + 2 * switched + 2 * opened.values
}

/** Bytes of a step's words as they travel, field after field. */
export function wordBytes(step: WordCounts, ring: number): number {
  return shapes(step, ring).reduce((sum, { count, bits }) => sum + packedBytes(count, bits), 0)
}

function room(k: Kernels, step: WordCounts, ring: number): SelectWords {
  const all = shapes(step, ring)
  const region = k.memory.alloc(all.reduce((sum, { count }) => sum + count * 4, 0))
  let at = 0
  const parts = all.map(({ field, count }) => {
    const part = region.part(at, count * 4)
    at += count * 4
    return [field, part]
  })
  return { ...(Object.fromEntries(parts) as Record<Field, Region>), release: () => region.release() }
}

/** Writes a step's words as they travel, `wordBytes` bytes. */
export function packWords(k: Kernels, step: WordCounts, ring: number, words: SelectWords, message: Region): void {
  let at = 0
  for (const { field, count, bits } of shapes(step, ring)) {
    const bytes = packedBytes(count, bits)
    if (bytes > 0) pack(k, words[field], count, bits, message.part(at, bytes))
    at += bytes
  }
}

/** The inverse of `packWords`. The caller releases the result. */
export function unpackWords(k: Kernels, step: WordCounts, ring: number, message: Region): SelectWords {
  const words = room(k, step, ring)
  let at = 0
  for (const { field, count, bits } of shapes(step, ring)) {
    const bytes = packedBytes(count, bits)
    unpackOrClear(k, message.part(at, bytes), count, bits, words[field])
    at += bytes
  }
  return words
}

function unpackOrClear(k: Kernels, packed: Region, count: number, bits: number, words: Region): void {
  if (bits === 0) words.u8().fill(0)
  else unpack(k, packed, count, bits, words)
}

/**
 * The client's halves: words of n bits as they come, of fewer bits packed. The caller releases the result.
 * @param but a field that is drawn elsewhere: its words are left as they are
 * @param set of a step that has several sets of words
 */
export function halves(
  k: Kernels,
  step: WordCounts & Pick<ReluStep, 'index'>,
  ring: number,
  ch: Streams,
  inference: number,
  { but, set = 0 }: { but?: Field; set?: number } = {},
): SelectWords {
  const words = room(k, step, ring)
  for (const { field, count, bits } of shapes(step, ring)) {
    if (field === but) continue
    const { purpose, tensor } = HALVES[field]
    const address = { purpose, tensor: tensor + 2 * set, layer: step.index, inference }
    if (bits === ring) {
      ch.fill(address, words[field])
      continue
    }
    const packed = ch.take(address, packedBytes(count, bits))
    unpackOrClear(k, packed, count, bits, words[field])
    packed.release()
  }
  return words
}
