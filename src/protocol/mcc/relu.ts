// ReLU, block ReLU, masked and identity channels in one round trip (docs/protocol.md, "ReLU in one round trip").
//
//   off line   helper → server   tables, the correction words of words.ts
//   on line 1  server → client   e = (ŷ >> f) - a' of every value and patch sum, table rows
//   on line 2  client → server   β per comparison, z_C - r_next per value
//              server            x̂_next = z_S + (z_C - r_next)
//
// A value's comparison may be its own or that of the patch it lies in. Values that become zero are not opened at all.

import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import { gather32, patchSums32 } from '../../kernels/index-maps.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import {
  type Addend,
  addTruncated,
  dealSelect,
  dealWrap,
  extend,
  groupsOf,
  maskTruncated,
  rowBytes,
  type Side,
  select,
  shareAddend,
  tableBytes,
} from '../../kernels/mcc.js'
import { sub32 } from '../../kernels/ring.js'
import { Purpose, type Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { remembered } from '../remembered.js'
import { addConstant, addCopies, copies, grouped, ofOpened } from './bends.js'
import { dealComparison, openRows, padsOf, walk } from './comparison.js'
import type { DealerStreams } from './gadget.js'
import type { Compared } from './guard/compared.js'
import type { ClientGuard, ServerGuard } from './guard/inference.js'
import { type GuardTerms, keyBytes } from './guard/terms.js'
import { longBytes, packLong } from './guard/words.js'
import { outputMask } from './linear.js'
import { chainOf, type ReluStep } from './step.js'
import { openedValues, perValue, picked, placed, tested } from './values.js'
import { halves, type SelectWords, unpackWords, wordBytes } from './words.js'

const openingSizes = remembered(({ activation, relu }: ReluStep<ReluNumbers>) => {
  const opened = packedBytes(relu.opened.values + relu.opened.patches, activation.bits)
  const rows = relu.comparisons === 0 ? 0 : rowBytes(activation.chunks, relu.comparisons)
  return { opened, rows, opening: opened + rows }
})

/** Byte lengths of a ReLU step's messages; every party computes them from the plan. `terms`: of a guarded plan. */
export const reluSizes = remembered((step: ReluStep<ReluNumbers>, ring: number, terms: GuardTerms | null = null) => {
  const { activation, relu } = step
  const { comparisons, results } = relu
  const tables = comparisons === 0 ? 0 : tableBytes(activation.chunks, comparisons)
  return {
    ...openingSizes(step),
    beta: groupsOf(comparisons),
    reply: groupsOf(comparisons) + (terms ? longBytes(results, terms.word) : packedBytes(results, ring)),
    tables,
    words: wordBytes(step, ring),
    keys: terms ? keyBytes(step, terms.word) : 0,
  }
})

/** What the helper makes for a ReLU step. */
export interface DealtRelu {
  readonly tables: Region
  readonly words: SelectWords
}

/** The server's one-time material of a ReLU step, as it travels. */
export interface ReluMaterial {
  readonly tables: Region
  readonly words: Region
}

/** Both parts of what a ReLU step opens with. */
export function reluMaterial(step: ReluStep, ring: number, dealt: Region): ReluMaterial {
  const { tables, words } = reluSizes(step, ring)
  return { tables: dealt.part(0, tables), words: dealt.part(tables, words) }
}

/** Masks of opened values come in the order values, patches; a' is one stream over both. */
export function openingMask(sh: Streams, { index, relu: { opened } }: ReluStep, inference: number): Region {
  return sh.take({ purpose: Purpose.openingMask, layer: index, inference }, (opened.values + opened.patches) * 4)
}

/** Truncates a map's opened values and patch sums and puts a' on them, by `mask`: one word each, in whole groups. */
export function truncated(k: Kernels, step: ReluStep, map: Region, a: Region, mask: typeof maskTruncated): Region {
  const { activation, relu } = step
  const { opened, patch } = relu
  const { bits, truncate } = activation
  const out = grouped(k, opened.values + opened.patches)
  const values = openedValues(k, relu, map)
  mask(k, values, a, opened.values, truncate, bits, out)
  if (values !== map) values.release()
  if (patch) {
    const sums = k.memory.alloc(patch.count * 4)
    patchSums32(k, map, patch, truncate, sums)
    const rest = [opened.values * 4, patch.count * 4] as const
    mask(k, sums, a.part(...rest), patch.count, 0, bits, out.part(...rest))
    sums.release()
  }
  return out
}

/**
 * Helper: the material of one ReLU step. The caller releases the result.
 * @param m the mask of its y
 * @param compared where a guarded plan's second sets find what is compared
 */
export function dealRelu(
  k: Kernels,
  step: ReluStep,
  streams: DealerStreams,
  m: Region,
  inference: number,
  ring: number,
  compared?: Compared,
): DealtRelu {
  const { activation, relu, index } = step
  const { bits } = activation
  const a = openingMask(streams.sh, step, inference)
  const opened = truncated(k, step, m, a, addTruncated)
  const words = halves(k, step, ring, streams.ch, inference, { but: 'rho' }) // `dealComparison` draws [ρ]
  dealWrap(k, relu.opened.values, bits, { r: opened, a, omega: words.omega, mu: words.mu })
  compared?.addWords(step, 'helper', opened, a)
  a.release()
  const r = copies(k, step, opened, false)
  if (r !== opened) opened.release()
  if (relu.comparisons === 0) {
    r.release()
    return { tables: k.memory.alloc(0), words }
  }
  const addends = tested(k, relu, r)
  const address = { layer: index, inference }
  const dealt = dealComparison(k, chainOf(activation), relu.comparisons, addends, streams, address)
  if (addends !== r) addends.release()
  compared?.addBits(step, dealt.rho)
  const rho = perValue(k, relu, dealt.rho)
  dealSelect(k, relu.switched, bits, { r, rho, p: words.p, q: words.q })
  words.rho.u8().set(dealt.rhoWords.u8())
  if (rho !== dealt.rho) rho.release(true)
  dealt.rho.release(true)
  dealt.rhoWords.release()
  r.release()
  return { tables: dealt.tables, words }
}

/** What a server's opening is made of beside y: drawn and unpacked before y is there. */
export interface DrawnOpening {
  /** a'; the server's share of A_1 of every opened value once the opening is made. */
  readonly a: Region
  readonly words: SelectWords
}

/**
 * Server: draws what its opening takes. The caller releases the result.
 * @param packed the step's words as they came
 */
export function drawOpening(
  k: Kernels,
  step: ReluStep,
  sh: Streams,
  packed: Region,
  inference: number,
  ring: number,
): DrawnOpening {
  return { a: openingMask(sh, step, inference), words: unpackWords(k, step, ring, packed) }
}

/** What the server keeps between its opening and the client's reply. */
export interface Opened {
  /** e of every activated value and compared patch sum, in whole groups. */
  readonly e: Region
  /** The server's share of A_1 of every opened value. */
  readonly a1: Region
  readonly words: SelectWords
  /** The message of flight 1. */
  readonly message: Region
}

/**
 * Server, flight 1: opens ŷ. The caller sends and releases `message`, and gives the rest to `finishRelu`.
 * @param drawn a' becomes a1
 * @param tables used up
 * @param compared where a guarded plan's second sets find what is compared
 */
export function openRelu(
  k: Kernels,
  step: ReluStep,
  { a, words }: DrawnOpening,
  y: Region,
  tables: Region,
  compared?: Compared,
): Opened {
  const { activation, relu } = step
  const { opening, opened: at, rows } = openingSizes(step)
  const opened = truncated(k, step, y, a, maskTruncated)
  compared?.addWords(step, 'server', opened, a)
  shareAddend(k, 'server', relu.opened.values, 0, activation.bits, { x: a, omega: words.omega, out: a })
  const message = k.memory.alloc(opening)
  pack(k, opened, relu.opened.values + relu.opened.patches, activation.bits, message)
  const e = copies(k, step, opened, true)
  if (e !== opened) opened.release()
  if (relu.comparisons > 0) {
    const x = tested(k, relu, e)
    openRows(k, chainOf(activation), relu.comparisons, x, tables, message.part(at, rows))
    if (x !== e) x.release()
  }
  return { e, a1: a, words, message }
}

/** What one party's select reads: per activated value e, per comparison β, per opened value A_1. */
interface SelectInput {
  e: Region
  beta: Region
  words: SelectWords
  a1: Region
}

/** One party's shares of b·y' of all values, moved by `other`: its next mask (client) or what the client sent (server). */
function shares(
  k: Kernels,
  side: Side,
  step: ReluStep,
  { e, beta, words, a1, other, out }: SelectInput & { other: Region; out: Region },
): void {
  const { relu, activation } = step
  const { bits } = activation
  const addend: Addend = { a1: ofOpened(k, relu, a1), mu: ofOpened(k, relu, words.mu) }
  if (relu.switched > 0) {
    const switches = perValue(k, relu, beta)
    const rho = relu.comparisonOf ? k.memory.alloc(relu.switched * 4) : words.rho
    if (relu.comparisonOf) gather32(k, words.rho, relu.comparisonOf, rho)
    select(k, side, relu.switched, bits, { e, beta: switches, rho, p: words.p, q: words.q, ...addend, other, out })
    if (switches !== beta) switches.release()
    if (rho !== words.rho) rho.release()
  }
  const passed = (region: Region) => region.part(relu.switched * 4, relu.passed * 4)
  extend(k, side, relu.passed, bits, {
    ...{ e: passed(e), a1: passed(addend.a1), mu: passed(addend.mu) },
    ...{ other: passed(other), out: passed(out) },
  })
  if (addend.a1 !== a1) addend.a1.release()
  if (addend.mu !== words.mu) addend.mu.release()
}

/** What a client's reply is made of beside the opening. */
export interface DrawnReply {
  readonly pads: Region
  /** Not where a guard draws them. */
  readonly shares: { readonly words: SelectWords; readonly a1: Region } | null
}

/** Streams of its seed, drawn before the opening comes. */
export interface DrawnRelu extends DrawnReply {
  release(): void
}

/**
 * Client: draws what its reply takes. The caller releases the result.
 * @param next r of the step's result, one word per element
 */
export function drawRelu(
  k: Kernels,
  step: ReluStep,
  ch: Streams,
  next: Region,
  inference: number,
  ring: number,
  guard?: ClientGuard,
): DrawnRelu {
  const { comparisons } = step.relu
  const chain = chainOf(step.activation)
  const pads = comparisons > 0 ? padsOf(chain, comparisons, ch, { layer: step.index, inference }) : k.memory.alloc(0)
  guard?.prepare(step, next)
  const words = guard ? null : halves(k, step, ring, ch, inference)
  const shares = words && { words, a1: addendOf(k, step, ch, words.omega, inference) }
  return {
    ...{ pads, shares },
    release() {
      for (const drawn of [pads, shares?.words, shares?.a1]) drawn?.release()
    },
  }
}

/**
 * Client: from the opening to its reply.
 * @param message the opening
 * @param next r of the step's result, one word per element
 * @param reply out, `reluSizes(...).reply` bytes
 * @param guard of a guarded plan
 */
export function answerRelu(
  k: Kernels,
  step: ReluStep,
  { pads, shares: drawn }: DrawnReply,
  message: Region,
  next: Region,
  reply: Region,
  ring: number,
  guard?: ClientGuard,
): void {
  const { relu, activation } = step
  const sizes = reluSizes(step, ring, guard?.terms ?? null)
  const count = relu.opened.values + relu.opened.patches
  const opened = grouped(k, count)
  unpack(k, message, count, activation.bits, opened)
  const e = copies(k, step, opened, true)
  if (e !== opened) opened.release()
  const beta = answerComparison(k, step, e, message.part(sizes.opened, sizes.rows), pads)
  reply.u8().set(beta.u8().subarray(0, sizes.beta))
  const results = reply.part(sizes.beta, sizes.reply - sizes.beta)
  if (!drawn) {
    const replies = guard!.replies(step, { e, beta })
    packLong(k, replies, relu.results, guard!.terms.word, results)
    replies.release()
  } else {
    const z = resultShares(k, step, { e, beta, ...drawn }, next)
    pack(k, z, relu.results, ring, results)
    z.release()
  }
  beta.release()
  e.release()
}

/** Client: its share of A_1 of every opened value, from m. */
function addendOf(k: Kernels, step: ReluStep, ch: Streams, omega: Region, inference: number): Region {
  const { relu, activation } = step
  const m = outputMask(ch, step, inference)
  const x = openedValues(k, relu, m)
  shareAddend(k, 'client', relu.opened.values, activation.truncate, activation.bits, { x, omega, out: x })
  if (x !== m) m.release(true)
  return x
}

/** Client: its shares of the results less `next`, in the order of results. */
function resultShares(k: Kernels, step: ReluStep, dealt: SelectInput, next: Region): Region {
  const { relu, activation, size } = step
  const sum = activation.bends?.sum
  const z = k.memory.alloc(relu.values * 4)
  const other = sum ? k.memory.allocZero(relu.values * 4) : picked(k, next, relu)
  shares(k, 'client', step, { ...dealt, other, out: z })
  if (other !== next) other.release()
  if (!sum) return z
  const total = k.memory.allocZero(size * 4)
  sub32(k, total, next, total, size)
  addCopies(k, step, sum, z, total)
  z.release()
  const results = picked(k, total, relu)
  if (results !== total) total.release()
  return results
}

function answerComparison(k: Kernels, { relu, activation }: ReluStep, e: Region, rows: Region, pads: Region): Region {
  if (relu.comparisons === 0) return k.memory.alloc(0)
  const x = tested(k, relu, e)
  const beta = walk(k, chainOf(activation), relu.comparisons, x, rows, pads)
  if (x !== e) x.release()
  return beta
}

/**
 * Server, flight 2: x̂ of the step's result, one word per element, from the client's reply. The caller releases it.
 * @param guard of a guarded plan, prepared for the step
 * @param into room for the results, where no guard is; taken when not given
 */
export function finishRelu(
  k: Kernels,
  step: ReluStep,
  { e, a1, words }: Omit<Opened, 'message'>,
  reply: Region,
  ring: number,
  guard?: ServerGuard,
  into?: Region,
): Region {
  const { relu, activation } = step
  const { sum } = activation.bends ?? {}
  const sizes = reluSizes(step, ring, guard?.terms ?? null)
  const results = reply.part(sizes.beta, sizes.reply - sizes.beta)
  const other = guard ? guard.replies(step, { e, beta: reply }, results) : (into ?? k.memory.alloc(relu.results * 4))
  if (!guard) unpack(k, results, relu.results, ring, other)
  if (!sum) {
    shares(k, 'server', step, { e, beta: reply, words, a1, other, out: other })
    return placed(k, step, other)
  }
  addConstant(k, other, relu.results, sum.plus, 32)
  const nothing = k.memory.allocZero(relu.values * 4)
  shares(k, 'server', step, { e, beta: reply, words, a1, other: nothing, out: nothing })
  const total = placed(k, step, other)
  addCopies(k, step, sum, nothing, total)
  nothing.release()
  return total
}
