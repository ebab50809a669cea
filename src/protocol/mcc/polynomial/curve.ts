// A function of every opened value by a table over its top bits (docs/protocol.md, "Curves"). The linear part is that of any
// step; what comes back is one word per value, whatever the function is.
//
//   off line   helper → server   per value 2^k entries, the words of a polynomial in E, less the client's halves
//   on line 1  server → client   e = (ŷ >> f_y) - a' of every value
//   on line 2  client → server   (z_C >> f) - r_next per value
//              server            x̂_next = (z_S >> f) + that
//
// Tables are walked in pieces, so that neither side holds more of them in memory than they travel as.
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { addTruncated, maskTruncated, type Side } from '../../../kernels/mcc.js'
import {
  curve as curveOf,
  curveWords,
  dealCurve as dealTables,
  polynomialsOf,
} from '../../../kernels/polynomial/curve.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import type { ReluNumbers } from '../../layout.js'
import type { Dealing, Drawing, Drawn, Lengths, Opened, Opening } from '../gadget.js'
import { longBytes, packLong, unpackLong } from '../guard/words.js'
import type { CurveStep } from '../step.js'

/** Words of a piece. Both ends pack by pieces, so this is part of the protocol. */
const PIECE_WORDS = 2 ** 16

type Sizes = Pick<CurveStep<ReluNumbers>, 'size' | 'activation'>

/** Words of a value's table, and their bits. */
function tableOf({ activation: { curve } }: Sizes, ring: number): { words: number; width: number } {
  const { segments, drop, polynomials } = curve
  return { words: curveWords({ segments, degree: polynomials[0].length - 1 }), width: ring + drop }
}

/** Byte lengths of a curve's messages. */
export function curveSizes(step: Sizes, ring: number) {
  const { words, width } = tableOf(step, ring)
  const all = pieces(step.size, words)
  return {
    opening: packedBytes(step.size, step.activation.bits),
    reply: packedBytes(step.size, ring),
    tables: all.reduce((sum, { count }) => sum + longBytes(count * words, width), 0),
    /** What a piece of the tables takes in memory. */
    piece: 8 * (all[0]?.count ?? 0) * words,
  }
}

interface Piece {
  readonly from: number
  readonly count: number
}

function pieces(size: number, words: number): Piece[] {
  const most = Math.floor(PIECE_WORDS / words)
  return Array.from({ length: Math.ceil(size / most) }, (_, i) => {
    return { from: i * most, count: Math.min(most, size - i * most) }
  })
}

type PieceTables = (tables: Region, piece: Piece) => void

/** The client's halves of a piece's tables, u64: every table starts where a block of the stream does. */
function halvesOf(ch: Streams, { index }: Pick<CurveStep, 'index'>, words: number, inference: number): PieceTables {
  return (tables, { from, count }) =>
    ch.fill(
      { purpose: Purpose.curveHalf, layer: index, inference },
      tables.part(0, count * words * 8),
      (from * words) / 8,
    )
}

/** Calls back for every piece, with room for its tables. */
function eachPiece(k: Kernels, size: number, words: number, visit: PieceTables): void {
  const all = pieces(size, words)
  const tables = k.memory.alloc((all[0]?.count ?? 0) * words * 8)
  for (const piece of all) visit(tables, piece)
  tables.release()
}

function shapeOf({ activation: { bits, curve } }: Sizes, count: number) {
  return { count, bits, segments: curve.segments, degree: curve.polynomials[0].length - 1 }
}

function openingMask(sh: Streams, { index, size }: CurveStep, inference: number): Region {
  return sh.take({ purpose: Purpose.openingMask, layer: index, inference }, size * 4)
}

/** Helper: the tables of a step. */
export function dealCurve(
  { k, streams: { ch, sh }, m, inference, ring }: Dealing,
  step: CurveStep,
  message: Region,
): void {
  const { activation, size } = step
  const { words, width } = tableOf(step, ring)
  const r = openingMask(sh, step, inference)
  addTruncated(k, m!, r, size, activation.truncate, activation.bits, r)
  const polynomials = polynomialsOf(k, shapeOf(step, size), activation.curve.polynomials)
  const halves = halvesOf(ch, step, words, inference)
  let at = 0
  eachPiece(k, size, words, (tables, piece) => {
    const { from, count } = piece
    halves(tables, piece)
    dealTables(k, shapeOf(step, count), { r: r.part(from * 4, count * 4), polynomials, tables })
    const bytes = longBytes(count * words, width)
    packLong(k, tables, count * words, width, message.part(at, bytes))
    at += bytes
  })
  polynomials.release()
  r.release(true)
}

/** Server, flight 1: e of every value. */
export function openCurve({ k, sh, y, inference, ring }: Opening, step: CurveStep): Opened {
  const { activation, size } = step
  const { words, width } = tableOf(step, ring)
  const e = openingMask(sh, step, inference)
  maskTruncated(k, y, e, size, activation.truncate, activation.bits, e)
  const message = k.memory.alloc(packedBytes(size, activation.bits))
  pack(k, e, size, activation.bits, message)
  return {
    message: () => message,
    finish(reply, dealt) {
      const out = k.memory.alloc(size * 4)
      unpack(k, reply, size, ring, out)
      let at = 0
      shares(k, 'server', step, ring, { e, other: out, out }, (tables, { count }) => {
        const bytes = longBytes(count * words, width)
        unpackLong(k, dealt.part(at, bytes), count * words, width, tables)
        at += bytes
      })
      return out
    },
    release: () => e.release(),
  }
}

/** Client: its tables are as large as all others together, so that it draws each piece when it reads it. */
export function drawCurve({ k, ch, next, inference, ring }: Drawing, step: CurveStep): Drawn {
  const { size, activation } = step
  const { words } = tableOf(step, ring)
  return {
    answer(message, reply) {
      const e = k.memory.alloc(size * 4)
      unpack(k, message, size, activation.bits, e)
      const z = k.memory.alloc(size * 4)
      shares(k, 'client', step, ring, { e, other: next, out: z }, halvesOf(ch, step, words, inference))
      pack(k, z, size, ring, reply)
      e.release()
      z.release(true)
    },
    release() {},
  }
}

export const curveLengths: Lengths = {
  sizes(step: CurveStep<ReluNumbers>, ring) {
    const { opening, reply, tables } = curveSizes(step, ring)
    return { opening, reply, dealt: { opening: 0, reply: tables } }
  },
}

/** One party's shares, moved by `other`: its next mask (client) or what the client sent (server). `out` may be `other`. */
function shares(
  k: Kernels,
  side: Side,
  step: CurveStep,
  ring: number,
  { e, other, out }: { e: Region; other: Region; out: Region },
  read: PieceTables,
): void {
  const { words, width } = tableOf(step, ring)
  const numbers = { width, drop: step.activation.curve.drop }
  eachPiece(k, step.size, words, (tables, piece) => {
    read(tables, piece)
    const part = (region: Region) => region.part(piece.from * 4, piece.count * 4)
    curveOf(k, side, shapeOf(step, piece.count), numbers, { e: part(e), tables, other: part(other), out: part(out) })
  })
}

/** The client's halves of one entry of every value's table, mod 2^32: what decides the coins of a plain-text rerun. */
export function curveHalves(
  k: Kernels,
  step: Pick<CurveStep<ReluNumbers>, 'index' | 'size' | 'activation'>,
  ch: Streams,
  inference: number,
  entries: Uint32Array,
): Uint32Array {
  const { words } = tableOf(step, 0)
  const own = step.activation.curve.polynomials[0].length
  const out = new Uint32Array(step.size * own)
  const read = halvesOf(ch, step, words, inference)
  eachPiece(k, step.size, words, (tables, piece) => {
    read(tables, piece)
    const drawn = tables.u32()
    for (let i = 0; i < piece.count; i++) {
      const element = piece.from + i
      for (let word = 0; word < own; word++)
        out[element * own + word] = drawn[2 * (i * words + entries[element] * own + word)]
    }
  })
  return out
}
