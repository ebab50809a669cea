// Maxima of windows of three along one axis of a map, in one round trip (docs/protocol.md, "Maxima of three"). Every element is
// opened once, whichever windows read it. What two opened words differ by is an opened word itself, masked by the difference
// of their masks: chains run on three differences per window, and words are dealt for two of them.
//
//   off line   helper → server   tables of three chains per window; corrections of the words that two ReLUs and a choice take
//   on line 1  server → client   e = (ŷ >> f) - a' of every element, table rows
//   on line 2  client → server   β per chain, z_C - r_next per window
//              server            x̂_next = z_S + that
//
// max(y_0, y_1, y_2) = y_0 + R_1 + b·(R_2 - R_1), R_i = ReLU(y_i - y_0), b = [y_2 ≥ y_1].
import { pack, unpack } from '../../../kernels/bits.js'
import { gather32 } from '../../../kernels/index-maps.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import {
  addTruncated,
  dealRho,
  dealSelect,
  dealWrap,
  extend,
  maskTruncated,
  type Side,
  select,
  shareAddend,
} from '../../../kernels/mcc.js'
import { add32, sub32 } from '../../../kernels/ring.js'
import type { Streams } from '../../../random/streams.js'
import type { ReluNumbers } from '../../layout.js'
import { grouped } from '../bends.js'
import { dealChains, openRows, padsOf, walk } from '../comparison.js'
import { comparing, type Dealing, type Drawing, type Drawn, type Opened, type Opening } from '../gadget.js'
import { outputMask } from '../linear.js'
import { openingMask, reluSizes, truncated } from '../relu.js'
import { chainOf, type MaxPoolStep } from '../step.js'
import { halves, packWords, type SelectWords, unpackWords, type WordCounts, wordBytes } from '../words.js'

type Numbers = Pick<MaxPoolStep<ReluNumbers>, 'activation' | 'relu'>

/** Windows, in whole groups of comparisons. */
const windowsOf = ({ relu }: Pick<Numbers, 'relu'>): number => relu.comparisons / 3

/** As many words as there are windows, from the `at`-th of such lists on. */
const lists = (step: Pick<Numbers, 'relu'>, region: Region, at: number, count = 1): Region =>
  region.part(at * windowsOf(step) * 4, count * windowsOf(step) * 4)

/** A bit per window, of such lists. */
const bitLists = (step: Pick<Numbers, 'relu'>, region: Region, at: number, count = 1): Region =>
  region.part((at * windowsOf(step)) / 8, (count * windowsOf(step)) / 8)

/**
 * The words of a step: those of two ReLUs and of all three values that are lifted, then those of their products with the bit
 * that chooses, ρ_p·d_i before ρ_p·ρ_i·d_i.
 */
function wordSets(step: Numbers): readonly WordCounts[] {
  const { activation } = step
  const windows = windowsOf(step)
  return [
    { activation, relu: { comparisons: 3 * windows, switched: 2 * windows, opened: { values: 3 * windows } } },
    { activation, relu: { comparisons: 2 * windows, switched: 4 * windows, opened: { values: 0 } } },
  ]
}

/** Byte lengths of a step's messages: those of its comparisons, and both sets of words. */
export const maxPoolSizes = (step: MaxPoolStep<ReluNumbers>, ring: number) => ({
  ...reluSizes(step, ring),
  words: wordSets(step).reduce((sum, set) => sum + wordBytes(set, ring), 0),
})

export const maxPoolLengths = comparing(maxPoolSizes)

/**
 * y_0, y_1 - y_0, y_2 - y_0 and y_2 - y_1 of every window, the differences mod 2^n', list after list; so of e, r, m' and a'.
 * The caller releases the result.
 * @param x one word per element
 */
export function differences(k: Kernels, step: MaxPoolStep, x: Region): Region {
  const windows = windowsOf(step)
  const out = k.memory.alloc(4 * windows * 4)
  const taps = step.relu.taps!.map((map) => {
    const tap = k.memory.alloc(windows * 4)
    gather32(k, x, map, tap)
    return tap
  })
  lists(step, out, 0).u8().set(taps[0].u8())
  for (const [at, [i, j]] of PAIRS.entries())
    maskTruncated(k, taps[i], taps[j], windows, 0, step.activation.bits, lists(step, out, at + 1))
  for (const tap of taps) tap.release(true)
  return out
}

const PAIRS = [
  [1, 0],
  [2, 0],
  [2, 1],
] as const

/** The client's halves. The caller releases them. */
function halvesOf(k: Kernels, step: MaxPoolStep, ring: number, ch: Streams, inference: number): SelectWords[] {
  return wordSets(step).map((counts, set) => halves(k, { ...counts, index: step.index }, ring, ch, inference, { set }))
}

/** Helper: tables and words of a step. */
export function dealMaxPool({ k, streams, m, inference, ring }: Dealing, step: MaxPoolStep, message: Region): void {
  const { relu, activation, index } = step
  const windows = windowsOf(step)
  const { bits } = activation
  const a = openingMask(streams.sh, step, inference)
  const opened = truncated(k, step, m!, a, addTruncated)
  const [r, known] = [opened, a].map((x) => differences(k, step, x))
  const own = { ch: streams.ch, own: streams.own }
  const { tables, rho } = dealChains(k, chainOf(activation), relu.comparisons, lists(step, r, 1, 3), own, {
    layer: index,
    inference,
  })
  const [first, second] = halvesOf(k, step, ring, streams.ch, inference)
  dealWrap(k, 3 * windows, bits, {
    ...{ r: lists(step, r, 0, 3), a: lists(step, known, 0, 3) },
    ...{ omega: first.omega, mu: first.mu },
  })
  dealRho(k, rho, 3 * windows, first.rho)
  const both = lists(step, r, 1, 2)
  dealSelect(k, 2 * windows, bits, { r: both, rho, p: first.p, q: first.q })
  const products = chosenBits(k, step, rho)
  dealRho(k, bitLists(step, products, 2, 2), 2 * windows, second.rho)
  for (const at of [0, 2]) {
    const rho = bitLists(step, products, at, 2)
    dealSelect(k, 2 * windows, bits, {
      r: both,
      rho,
      p: lists(step, second.p, at, 2),
      q: lists(step, second.q, at, 2),
    })
  }
  const sizes = maxPoolSizes(step, ring)
  message.u8().set(tables.u8().subarray(0, sizes.tables))
  packSets(k, step, ring, [first, second], message.part(sizes.tables, sizes.words))
  for (const region of [a, opened, r, known, rho, products]) region.release(true)
  for (const region of [tables, first, second]) region.release()
}

/** ρ_p twice, then ρ_p·ρ_1 and ρ_p·ρ_2. The caller releases the result. @param rho ρ_1, ρ_2, ρ_p */
function chosenBits(k: Kernels, step: MaxPoolStep, rho: Region): Region {
  const bytes = windowsOf(step) / 8
  const out = k.memory.alloc(4 * bytes)
  const [from, to] = [rho.u8(), out.u8()]
  for (let i = 0; i < 2 * bytes; i++) {
    to[i] = from[2 * bytes + (i % bytes)]
    to[2 * bytes + i] = to[i] & from[i]
  }
  return out
}

function packSets(k: Kernels, step: MaxPoolStep, ring: number, sets: readonly SelectWords[], message: Region): void {
  let at = 0
  for (const [i, counts] of wordSets(step).entries()) {
    const bytes = wordBytes(counts, ring)
    packWords(k, counts, ring, sets[i], message.part(at, bytes))
    at += bytes
  }
}

/** Server: both sets of words. The caller releases them. */
export function unpackSets(k: Kernels, step: MaxPoolStep, ring: number, message: Region): SelectWords[] {
  let at = 0
  return wordSets(step).map((counts) => {
    const bytes = wordBytes(counts, ring)
    const words = unpackWords(k, counts, ring, message.part(at, bytes))
    at += bytes
    return words
  })
}

/** Server, flight 1: e of every element, rows of every window's chains. */
export function openMaxPool({ k, sh, y, dealt, inference, ring }: Opening, step: MaxPoolStep): Opened {
  const { relu, activation, size } = step
  const sizes = maxPoolSizes(step, ring)
  const a = openingMask(sh, step, inference)
  const opened = truncated(k, step, y, a, maskTruncated)
  const message = k.memory.alloc(sizes.opening)
  pack(k, opened, size, activation.bits, message)
  const [e, known] = [opened, a].map((x) => differences(k, step, x))
  for (const region of [opened, a]) region.release()
  const rows = message.part(sizes.opened, sizes.rows)
  openRows(k, chainOf(activation), relu.comparisons, lists(step, e, 1, 3), dealt, rows)
  let words: SelectWords[] = []
  return {
    message: () => message,
    prepare(dealt) {
      words = unpackSets(k, step, ring, dealt)
    },
    finish(reply) {
      const z = k.memory.allocZero(windowsOf(step) * 4)
      unpack(k, reply.part(sizes.beta, sizes.reply - sizes.beta), relu.results, ring, z)
      shares(k, 'server', step, { e, known, words, beta: reply, z })
      return z
    },
    release() {
      for (const region of [e, known, ...words]) region.release()
    },
  }
}

/** Client: pads, halves and m. */
export function drawMaxPool({ k, ch, next, inference, ring }: Drawing, step: MaxPoolStep): Drawn {
  const { relu, activation, size, index } = step
  const chain = chainOf(activation)
  const sizes = maxPoolSizes(step, ring)
  const pads = padsOf(chain, relu.comparisons, ch, { layer: index, inference })
  const words = halvesOf(k, step, ring, ch, inference)
  const m = outputMask(ch, step, inference)
  const none = k.memory.allocZero(size * 4)
  const below = truncated(k, step, m, none, addTruncated)
  const known = differences(k, step, below)
  for (const region of [m, below]) region.release(true)
  none.release()
  return {
    answer(message, reply) {
      const opened = grouped(k, size)
      unpack(k, message, size, activation.bits, opened)
      const e = differences(k, step, opened)
      const rows = message.part(sizes.opened, sizes.rows)
      const beta = walk(k, chain, relu.comparisons, lists(step, e, 1, 3), rows, pads)
      reply.u8().set(beta.u8().subarray(0, sizes.beta))
      const z = k.memory.allocZero(windowsOf(step) * 4)
      z.u8().set(next.u8().subarray(0, relu.results * 4))
      shares(k, 'client', step, { e, known, words, beta, z })
      pack(k, z, relu.results, ring, reply.part(sizes.beta, sizes.reply - sizes.beta))
      for (const region of [opened, e, beta]) region.release()
      z.release(true)
    },
    release() {
      for (const region of [pads, ...words]) region.release()
      known.release(true)
    },
  }
}

/** What one party's shares are made of: e and its summand of r, of the four lists of `differences`; β of the three chains. */
interface ShareInput {
  readonly e: Region
  /** Becomes its share of A_1. */
  readonly known: Region
  readonly words: readonly SelectWords[]
  readonly beta: Region
  /** One word per window: its next mask (client) or what the client sent (server). Becomes the result. */
  readonly z: Region
}

/** One party's shares of all maxima, moved by `z`. */
function shares(k: Kernels, side: Side, step: MaxPoolStep, { e, known, words, beta, z }: ShareInput): void {
  const { bits } = step.activation
  const windows = windowsOf(step)
  const of = (region: Region, at: number) => lists(step, region, at)
  const [first, second] = words
  const a1 = lists(step, known, 0, 3)
  shareAddend(k, side, 3 * windows, 0, bits, { x: a1, omega: first.omega, out: a1 })
  extend(k, side, windows, bits, { e: of(e, 0), a1: of(a1, 0), mu: of(first.mu, 0), other: z, out: z })
  const zero = k.memory.allocZero(windows * 4)
  const none = { rho: zero, q: zero, a1: zero, mu: zero, other: zero }
  // A select without the public 1, which is the client's, is β ? a1 - share : share.
  const relus = [1, 2].map((i) => {
    const [relu, chosen] = [k.memory.alloc(windows * 4), k.memory.alloc(windows * 4)]
    const at = { ...none, e: of(e, i), beta: bitLists(step, beta, i - 1) }
    select(k, side, windows, bits, {
      ...{ ...at, rho: of(first.rho, i - 1), p: of(first.p, i - 1), q: of(first.q, i - 1) },
      ...{ a1: of(a1, i), mu: of(first.mu, i), out: relu },
    })
    const [p, q] = [of(second.p, i - 1), of(second.q, i - 1)]
    select(k, 'client', windows, bits, { ...at, beta: zero, rho: of(first.rho, 2), p, q, out: chosen })
    select(k, 'client', windows, bits, {
      ...{ ...at, rho: of(second.rho, i - 1), p: of(second.p, i + 1), q: of(second.q, i + 1) },
      ...{ a1: chosen, out: chosen },
    })
    return { relu, chosen }
  })
  const [one, two] = relus
  add32(k, z, one.relu, z, windows)
  sub32(k, two.relu, one.relu, two.relu, windows)
  sub32(k, two.chosen, one.chosen, two.chosen, windows)
  const choice = { ...none, e: of(e, 3), beta: bitLists(step, beta, 2), p: two.chosen, a1: two.relu, out: two.relu }
  select(k, 'client', windows, bits, choice)
  add32(k, z, two.relu, z, windows)
  for (const region of [zero, ...relus.flatMap(({ relu, chosen }) => [relu, chosen])]) region.release()
}
