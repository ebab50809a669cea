// Sums of second-degree polynomials of one opened value, each switched by a comparison of its own, in one round trip
// (docs/protocol.md, "Quadratic selects"): hard-swish. Openings, copies and chains are those of a clip (bends.ts); what is dealt
// beside them are words of the products that a select takes, in the ring of a fused truncation.
//
//   off line   helper → server   tables; corrections of ω, μ, S, V per value, of ρ, P, Q, P2, Q2 per copy
//   on line 1  server → client   e = (ŷ >> f_y) - a' of every value, table rows of its copies
//   on line 2  client → server   β per copy, z_C - (r_next·2^f + f fresh bits) per value
//              server            x̂_next = (z_S + that) >> f
//
// The reply has f bits more than that of a product: what rounds then are fresh bits alone, whichever way the comparisons went.
import { pack, unpack } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { addTruncated, maskTruncated } from '../../../kernels/mcc.js'
import {
  answerQuadratic,
  dealQuadratic as dealWords,
  finishQuadratic,
  type QuadraticPiece,
} from '../../../kernels/polynomial/quadratic.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import type { ReluNumbers } from '../../layout.js'
import { copies, grouped } from '../bends.js'
import { dealChains, openRows, padsOf, walk } from '../comparison.js'
import { comparing, type Dealing, type Drawing, type Drawn, type Opened, type Opening } from '../gadget.js'
import { longBytes, packLong, unpackLong } from '../guard/words.js'
import { outputMask } from '../linear.js'
import { openingMask, reluSizes, truncated } from '../relu.js'
import { chainOf, type QuadraticStep } from '../step.js'
import { type Field, fieldBytes, fieldHalves, packFields, unpackFields } from './fields.js'

type Sizes = QuadraticStep<ReluNumbers>

const copiesOf = ({ activation }: Pick<Sizes, 'activation'>): number => activation.bends.shifts.length

/** N = n + f: bits of a sum before it is truncated. */
const widthOf = ({ activation }: Pick<Sizes, 'activation'>, ring: number): number => ring + activation.quadratic.drop

/** The words of a step, as the kernels hold them. */
function fields(step: Pick<Sizes, 'activation' | 'size'>, ring: number): Field[] {
  const { size: count, activation } = step
  const width = widthOf(step, ring)
  // What counts times 2^n' or 2^(n'+1) has as many bits fewer.
  const once = width - activation.bits
  const more = Math.max(0, once - 1)
  const own = [once, once, width, more]
  const each = [width, width, once, width, more]
  return [...own, ...Array.from({ length: copiesOf(step) }, () => each).flat()].map((bits) => ({ count, bits }))
}

/** Byte lengths of a step's messages: those of its comparisons, its words, and a longer reply. */
export function quadraticSizes(step: Sizes, ring: number) {
  const sizes = reluSizes(step, ring)
  return {
    ...sizes,
    reply: sizes.beta + longBytes(step.size, widthOf(step, ring)),
    words: fieldBytes(fields(step, ring)),
  }
}

export const quadraticLengths = comparing(quadraticSizes)

/** Client: the bits of a reply's mask below those of r. */
export const freshBits = (ch: Streams, { index, size }: Pick<Sizes, 'index' | 'size'>, inference: number): Region =>
  ch.take({ purpose: Purpose.replyFresh, layer: index, inference }, size * 4)

/** The client's halves of a step's words. The caller releases the result. */
function halvesOf(k: Kernels, step: QuadraticStep, ring: number, ch: Streams, inference: number): Region {
  return fieldHalves(k, fields(step, ring), ch, { purpose: Purpose.quadraticHalf, layer: step.index, inference })
}

/** What each copy adds, and the numbers of both shares. */
function termsOf(step: QuadraticStep, ring: number) {
  const { bends, quadratic, bits } = step.activation
  const pieces = quadratic.polynomials.map(([c0, c1], j): QuadraticPiece => ({ sign: bends.sum!.signs[j], c0, c1 }))
  const numbers = { bits, drop: quadratic.drop, width: widthOf(step, ring) }
  return { shape: { count: step.size, copies: pieces.length }, pieces, numbers }
}

/** Helper: tables and words of a step. */
export function dealQuadratic({ k, streams, m, inference, ring }: Dealing, step: QuadraticStep, message: Region): void {
  const { relu, activation, size, index } = step
  const sizes = quadraticSizes(step, ring)
  const a = openingMask(streams.sh, step, inference)
  const opened = truncated(k, step, m!, a, addTruncated)
  const r = copies(k, step, opened, false)
  const { tables, rho } = dealChains(k, chainOf(activation), relu.comparisons, r, streams, { layer: index, inference })
  const words = halvesOf(k, step, ring, streams.ch, inference)
  dealWords(k, { count: size, copies: copiesOf(step) }, activation.bits, { r: opened, a, rho, words })
  message.u8().set(tables.u8().subarray(0, sizes.tables))
  packFields(k, fields(step, ring), words, message.part(sizes.tables, sizes.words))
  for (const region of [a, opened, rho]) region.release(true)
  for (const region of [r, tables, words]) region.release()
}

/** Server, flight 1: e of every value, rows of its copies. */
export function openQuadratic({ k, sh, y, dealt, inference, ring }: Opening, step: QuadraticStep): Opened {
  const { relu, activation, size } = step
  const sizes = quadraticSizes(step, ring)
  const a = openingMask(sh, step, inference)
  const e = truncated(k, step, y, a, maskTruncated)
  const message = k.memory.alloc(sizes.opening)
  pack(k, e, size, activation.bits, message)
  const moved = copies(k, step, e, true)
  openRows(k, chainOf(activation), relu.comparisons, moved, dealt, message.part(sizes.opened, sizes.rows))
  moved.release()
  let words: Region | undefined
  return {
    message: () => message,
    prepare(dealt) {
      words = unpackFields(k, fields(step, ring), dealt)
    },
    finish(reply) {
      const { shape, pieces, numbers } = termsOf(step, ring)
      const replies = unpackLong(k, reply.part(sizes.beta, sizes.reply - sizes.beta), size, numbers.width)
      const out = k.memory.alloc(size * 4)
      finishQuadratic(k, shape, pieces, numbers, { e, a, words: words!, beta: reply, reply: replies, out })
      replies.release()
      return out
    },
    release() {
      for (const region of [e, a, words]) region?.release()
    },
  }
}

/** Client: pads, halves and m. */
export function drawQuadratic({ k, ch, next, inference, ring }: Drawing, step: QuadraticStep): Drawn {
  const { relu, activation, size, index } = step
  const chain = chainOf(activation)
  const sizes = quadraticSizes(step, ring)
  const pads = padsOf(chain, relu.comparisons, ch, { layer: index, inference })
  const words = halvesOf(k, step, ring, ch, inference)
  const [m, fresh] = [outputMask(ch, step, inference), freshBits(ch, step, inference)]
  return {
    answer(message, reply) {
      const e = grouped(k, size)
      unpack(k, message, size, activation.bits, e)
      const moved = copies(k, step, e, true)
      const beta = walk(k, chain, relu.comparisons, moved, message.part(sizes.opened, sizes.rows), pads)
      reply.u8().set(beta.u8().subarray(0, sizes.beta))
      const { shape, pieces, numbers } = termsOf(step, ring)
      const out = k.memory.alloc(size * 8)
      const from = activation.truncate
      answerQuadratic(k, shape, pieces, { ...numbers, from }, { e, m, words, beta, next, fresh, out })
      packLong(k, out, size, numbers.width, reply.part(sizes.beta, sizes.reply - sizes.beta))
      for (const region of [e, moved, beta, out]) region.release()
    },
    release() {
      for (const region of [pads, words]) region.release()
      for (const region of [m, fresh]) region.release(true)
    },
  }
}
