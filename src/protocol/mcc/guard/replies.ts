// One-time MACs on replies (docs/protocol.md, "Guarded replies"): the tags are streams of the client's seed, the keys are
// dealt to the server, and one word from the client stands for the tags of all its replies.
//
//   off line   helper → server   K = M - α·(…), per word that a reply is made of
//   on line    client → server   β, then R = z_C - r_next lifted to N bits; at the end T = Σ M
//              server            Σ (α·R + K) = T mod 2^N
//
// Where copies of an element are summed, one R comes back for all of them: α is the element's, times the copy's sign, and
// r_next is counted with the first copy alone.
import { unpack } from '../../../kernels/bits.js'
import { gather32, gather64, scatter64 } from '../../../kernels/index-maps.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import {
  LONG,
  liftPassed,
  liftSelect,
  macDot,
  macKeys,
  macPassed,
  macPassedKeys,
  macSelect,
  type PassedTags,
  type SelectTags,
  type TagBytes,
  tagBytes,
} from '../../../kernels/mac.js'
import { addTruncated } from '../../../kernels/mcc.js'
import { add64, mask32, mul64, sub64 } from '../../../kernels/ring.js'
import { elementCount } from '../../../plan/plan.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import { ofOpened, type Summed } from '../bends.js'
import { outputMask } from '../linear.js'
import type { ReluStep } from '../step.js'
import { openedValues, perValue } from '../values.js'
import { halves } from '../words.js'
import { type GuardTerms, type KeyField, keyShapes, tagWidths } from './terms.js'
import { lifted, longBytes, packLong, unpackLong } from './words.js'

/** Tags or keys of a step's values, and how many bytes apart they lie. */
export type ReplyWords = Readonly<Record<KeyField, Region>> & { readonly bytes: TagBytes; release(): void }

type Parts = { release(): void } & Record<'rho' | 'p' | 'q' | 'known' | 'omega' | 'mu', Region>

/** Client and helper: what the client's share of every value is made of, reduced to its own modulus before it is lifted. */
function clientParts(k: Kernels, step: ReluStep, ch: Streams, m: Region, inference: number, ring: number): Parts {
  const { relu, activation } = step
  const words = halves(k, step, ring, ch, inference)
  const owned: Region[] = []
  const keep = (region: Region, source: Region) => {
    if (region !== source) owned.push(region)
    return region
  }
  if (ring < 32) {
    mask32(k, words.rho, ring, words.rho, relu.comparisons)
    mask32(k, words.p, ring, words.p, relu.switched)
  }
  const opened = openedValues(k, relu, m)
  const nothing = k.memory.allocZero(relu.opened.values * 4)
  addTruncated(k, opened, nothing, relu.opened.values, activation.truncate, activation.bits, nothing)
  if (opened !== m) opened.release(true)
  owned.push(nothing)
  const rho = relu.comparisonOf ? keep(k.memory.alloc(relu.switched * 4), words.rho) : words.rho
  if (relu.comparisonOf) gather32(k, words.rho, relu.comparisonOf, rho)
  return {
    ...{ rho, p: words.p, q: words.q, known: keep(ofOpened(k, relu, nothing), nothing) },
    ...{ omega: keep(ofOpened(k, relu, words.omega), words.omega), mu: keep(ofOpened(k, relu, words.mu), words.mu) },
    release() {
      words.release()
      for (const region of owned) region.release(true)
    },
  }
}

/** The part of words per value that belongs to passed values. */
const passedOf = ({ relu }: ReluStep, region: Region, bytes: 4 | 8): Region =>
  region.part(relu.switched * bytes, relu.passed * bytes)

/** The tags or keys that belong to passed values. */
function passedTags({ relu }: ReluStep, { w0, muQ, bytes: { wide, narrow } }: ReplyWords): PassedTags {
  const tail = (region: Region, bytes: number) =>
    region.part(relu.passed === 0 ? 0 : relu.switched * bytes, tagBytes(relu.passed, bytes))
  return { w0: tail(w0, wide), mu: tail(muQ, narrow) }
}

const selectTags = ({ rho, w0, q, w2, muQ }: ReplyWords): SelectTags => ({ rho, w0, q, w2, muQ })

/** Tags of a step's replies, addressed by the number of the step's result and by field. */
function tagsOf(step: ReluStep, ch: Streams, inference: number, word: number): ReplyWords {
  const widths = tagWidths(step.activation.bits, word)
  const regions = keyShapes(step, word).map(({ field, count, bits }, tensor) => {
    const address = { purpose: Purpose.replyTag, layer: step.index + 1, tensor, inference }
    return [field, ch.take(address, tagBytes(count, Math.ceil(bits / 8)))] as const
  })
  return withRelease(regions, widths)
}

function withRelease(regions: readonly (readonly [KeyField, Region])[], bytes: TagBytes): ReplyWords {
  return {
    bytes,
    ...(Object.fromEntries(regions) as Record<KeyField, Region>),
    release() {
      for (const [, region] of regions) region.release(true)
    },
  }
}

/** Server and helper: α, one u64 per result, or per element where copies are summed. */
function factors({ relu, activation, size, index }: ReluStep, sh: Streams, inference: number): Region {
  const count = activation.bends?.sum ? size : relu.results
  return sh.take({ purpose: Purpose.replyAlpha, layer: index + 1, inference }, count * 8)
}

/** One u64 per result from one per element. Released by the caller if it is not `map`. */
function picked64(k: Kernels, { relu }: ReluStep, map: Region): Region {
  if (!relu.resultElement) return map
  const out = k.memory.alloc(relu.results * 8)
  gather64(k, map, relu.resultElement, out)
  return out
}

/** α of every value from that of every element: times the sign of the copy. */
function signedFactors(k: Kernels, { relu, size }: ReluStep, { signs }: Summed, alpha: Region): Region {
  const bytes = size * 8
  const all = k.memory.allocZero(signs.length * bytes)
  signs.forEach((sign, j) => {
    const part = all.part(j * bytes, bytes)
    ;(sign === 1 ? add64 : sub64)(k, part, alpha, part, size)
  })
  if (!relu.valueElement) return all
  const out = k.memory.alloc(relu.values * 8)
  gather64(k, all, relu.valueElement, out)
  all.release(true)
  return out
}

/**
 * Helper: the keys of a step's replies as they travel, `keyBytes` bytes into `message`.
 * @param masks m of its y, one u32 word per element, and r̃ of its result, u64 per element
 */
export function dealReplyKeys(
  k: Kernels,
  step: ReluStep,
  { ch, sh }: { ch: Streams; sh: Streams },
  { m, next }: { m: Region; next: Region },
  inference: number,
  { ring, word }: GuardTerms,
  message: Region,
): void {
  const { relu, activation } = step
  const { sum } = activation.bends ?? {}
  const parts = clientParts(k, step, ch, m, inference, ring)
  const tags = tagsOf(step, ch, inference, word)
  const shapes = keyShapes(step, word)
  const keys = withRelease(
    shapes.map(({ field, count }) => [field, k.memory.alloc(count * 8)] as const),
    LONG,
  )
  const alpha = factors(step, sh, inference)
  const own = sum ? signedFactors(k, step, sum, alpha) : alpha
  const moved = sum ? k.memory.allocZero(relu.values * 8) : picked64(k, step, next)
  const [known, omega, mu] = [parts.known, parts.omega, parts.mu]
  const given = { ...parts, alpha: own, next: moved }
  macKeys(k, relu.switched, activation.bits, given, selectTags(tags), tags.bytes, selectTags(keys))
  const tail = (region: Region, bytes: 4 | 8) => passedOf(step, region, bytes)
  macPassedKeys(
    k,
    relu.passed,
    activation.bits,
    { alpha: tail(own, 8), next: tail(moved, 8), known: tail(known, 4), omega: tail(omega, 4), mu: tail(mu, 4) },
    passedTags(step, tags),
    tags.bytes,
    passedTags(step, keys),
  )
  if (sum) countNext(k, step, alpha, next, keys)
  let at = 0
  for (const { field, count, bits } of shapes) {
    const bytes = longBytes(count, bits)
    packLong(k, keys[field], count, bits, message.part(at, bytes))
    at += bytes
  }
  if (moved !== next) moved.release(true)
  if (own !== alpha) own.release(true)
  alpha.release(true)
  keys.release()
  tags.release()
  parts.release()
}

/** Adds α·r̃ to the keys of every element's first copy: r_next leaves with the sum, once. */
function countNext(k: Kernels, step: ReluStep, alpha: Region, next: Region, keys: ReplyWords): void {
  const { relu, size } = step
  const products = k.memory.alloc(size * 8)
  mul64(k, alpha, next, products, size)
  const due = picked64(k, step, products)
  const found = k.memory.alloc(relu.results * 8)
  // A first copy may be one that passes: then only its w0 is a key, and that of w2, which lies behind it, is left alone.
  for (const words of [keys.w0, wideW2(k, step, keys)]) {
    gather64(k, words, relu.firstCopy!, found)
    add64(k, found, due, found, relu.results)
    scatter64(k, found, relu.firstCopy!, words)
    if (words === keys.w0) continue
    keys.w2.u8().set(words.u8().subarray(0, relu.switched * 8))
    words.release(true)
  }
  if (due !== products) due.release(true)
  products.release(true)
  found.release(true)
}

/** w2's keys with room for values that pass. */
function wideW2(k: Kernels, { relu }: ReluStep, { w2 }: ReplyWords): Region {
  const out = k.memory.allocZero(relu.values * 8)
  out.u8().set(w2.u8().subarray(0, relu.switched * 8))
  return out
}

/** What both who answer and who check read: e of every value, β of every comparison. */
export interface Switched {
  readonly e: Region
  readonly beta: Region
}

/** Adds what `words` are summed to, tags at the client and keys at the server. */
function addTags(k: Kernels, step: ReluStep, { e, beta }: Switched, words: ReplyWords, sum: Region): void {
  const { relu, activation } = step
  const { bits } = activation
  if (relu.switched > 0) {
    const switches = perValue(k, relu, beta)
    macSelect(k, relu.switched, bits, { e, beta: switches }, selectTags(words), words.bytes, 1, sum)
    if (switches !== beta) switches.release()
  }
  macPassed(k, relu.passed, bits, passedOf(step, e, 4), passedTags(step, words), words.bytes, 1, sum)
}

/**
 * Client: the tags of a step's replies, what its shares are made of and r̃ of its result, u64 per element: from seeds alone,
 * so that they can be drawn before anything is opened.
 * @param r the mask of its result, one word per element
 */
export function drawReplies(
  k: Kernels,
  step: ReluStep,
  ch: Streams,
  r: Region,
  inference: number,
  { ring, word }: GuardTerms,
): DrawnReplies {
  const tags = tagsOf(step, ch, inference, word)
  const next = lifted(k, r, elementCount(step.step.out), ring, ch, step.index + 1, inference)
  const m = outputMask(ch, step, inference)
  const parts = clientParts(k, step, ch, m, inference, ring)
  m.release(true)
  return {
    ...{ tags, next, parts },
    release() {
      tags.release()
      next.release(true)
      parts.release()
    },
  }
}

export interface DrawnReplies {
  readonly tags: ReplyWords
  readonly next: Region
  readonly parts: Parts
  release(): void
}

/** Client: R of every result, u64; adds their tags to `sum`. The caller releases the result. */
export function liftReplies(
  k: Kernels,
  step: ReluStep,
  opened: Switched,
  { tags, next, parts }: DrawnReplies,
  sum: Region,
): Region {
  const { relu, activation } = step
  addTags(k, step, opened, tags, sum)
  const z = k.memory.alloc(relu.values * 8)
  const summed = activation.bends?.sum
  const moved = summed ? k.memory.allocZero(relu.values * 8) : picked64(k, step, next)
  liftValues(k, step, opened, parts, moved, z)
  if (moved !== next) moved.release(true)
  if (!summed) return z
  const total = k.memory.allocZero(step.size * 8)
  sub64(k, total, next, total, step.size)
  addCopies64(k, step, summed, z, total)
  z.release()
  const results = picked64(k, step, total)
  if (results !== total) total.release()
  return results
}

function liftValues(k: Kernels, step: ReluStep, { e, beta }: Switched, parts: Parts, next: Region, out: Region): void {
  const { relu, activation } = step
  if (relu.switched > 0) {
    const switches = perValue(k, relu, beta)
    liftSelect(k, relu.switched, activation.bits, { ...parts, e, beta: switches, next, out })
    if (switches !== beta) switches.release()
  }
  const tail = (region: Region, bytes: 4 | 8) => passedOf(step, region, bytes)
  liftPassed(k, relu.passed, activation.bits, {
    ...{ e: tail(e, 4), known: tail(parts.known, 4), omega: tail(parts.omega, 4), mu: tail(parts.mu, 4) },
    ...{ next: tail(next, 8), out: tail(out, 8) },
  })
}

/** `addCopies` of bends.ts over u64. */
function addCopies64(k: Kernels, { relu, size }: ReluStep, { signs }: Summed, z: Region, total: Region): void {
  const bytes = size * 8
  const all = relu.valueElement ? k.memory.allocZero(signs.length * bytes) : z
  if (relu.valueElement) scatter64(k, z, relu.valueElement, all)
  signs.forEach((sign, j) => {
    ;(sign === 1 ? add64 : sub64)(k, total, all.part(j * bytes, bytes), total, size)
  })
  if (all !== z) all.release()
}

/** Server: the keys of a step's replies as they travelled; those of up to 32 bits stay u32. */
function keysFrom(k: Kernels, step: ReluStep, message: Region, word: number): ReplyWords {
  const apart = (bits: number) => (bits <= 32 ? 4 : 8)
  let at = 0
  const regions = keyShapes(step, word).map(({ field, count, bits }) => {
    const travelled = longBytes(count, bits)
    const part = message.part(at, travelled)
    at += travelled
    if (bits > 32) return [field, unpackLong(k, part, count, bits)] as const
    const words = k.memory.alloc(tagBytes(count, apart(bits)))
    unpack(k, part, count, bits, words)
    return [field, words] as const
  })
  return withRelease(regions, { wide: apart(word), narrow: apart(word - step.activation.bits) })
}

/** Server: what a step's replies are checked with: the keys as they are computed with, and α of every result. */
export interface DueReplies {
  readonly keys: ReplyWords
  readonly alpha: Region
  release(): void
}

/**
 * Server: from what was dealt and seeds alone, so that it can be made while the client answers.
 * @param keys as they travelled
 */
export function dueReplies(
  k: Kernels,
  step: ReluStep,
  keys: Region,
  sh: Streams,
  inference: number,
  { word }: GuardTerms,
): DueReplies {
  const words = keysFrom(k, step, keys, word)
  const own = factors(step, sh, inference)
  const alpha = step.activation.bends?.sum ? picked64(k, step, own) : own
  if (alpha !== own) own.release(true)
  return {
    ...{ keys: words, alpha },
    release() {
      words.release()
      alpha.release(true)
    },
  }
}

/**
 * Server: adds to `sum` what the tags of a step's replies have to come to.
 * @param replies R of every result, u64
 */
export function expectReplies(
  k: Kernels,
  step: ReluStep,
  opened: Switched,
  { keys, alpha }: DueReplies,
  replies: Region,
  sum: Region,
): void {
  addTags(k, step, opened, keys, sum)
  macDot(k, step.relu.results, alpha, replies, sum)
}
