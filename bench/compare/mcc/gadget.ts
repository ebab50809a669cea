// One batch of the masked carry chain, cut where messages cross: deal, open, answer, finish. The comparison alone and
// the whole ReLU look the same from outside.
import { type Kernels, type Region, upload } from '../../../src/kernels/instance.js'
import { type Chain, chainWordBytes, groupsOf, tableBytes } from '../../../src/kernels/mcc.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import {
  comparisonSizes,
  dealComparison,
  openRows,
  packOpened,
  padsOf,
  unpackOpened,
  walk,
} from '../../../src/protocol/mcc/comparison.js'
import {
  answerRelu,
  dealRelu,
  drawOpening,
  drawRelu,
  finishRelu,
  type Opened as OpenedRelu,
  openRelu,
  reluSizes,
} from '../../../src/protocol/mcc/relu.js'
import type { ReluStep } from '../../../src/protocol/mcc/step.js'
import { packWords } from '../../../src/protocol/mcc/words.js'
import { layOut } from '../../../src/protocol/step.js'
import { Purpose, Streams } from '../../../src/random/streams.js'
import type { Values, Variant } from '../backend.js'

/** n: bits of the ring. Its words go on the wire as they lie in memory. */
export const RING = 32
/** f: bits that truncate-reduce drops before a whole ReLU, as many as a compiled plan may drop. */
export const TRUNCATE = 12
/** Every batch uses the same one-time material again: it hides numbers that are nobody's secret. */
const ADDRESS = { layer: 0, inference: 0 }

/** The server's material; a comparison alone needs no words. */
export interface Material {
  readonly tables: Region
  readonly words: Region | null
}

export interface Opened {
  readonly message: Region
  readonly kept: Omit<OpenedRelu, 'message'> | null
}

/** Regions that come out belong to the caller. */
export interface Gadget {
  /** Bytes of the opening, the reply and the material. */
  readonly sizes: { opening: number; reply: number; material: number }
  /** The material as it travels: tables, then words. */
  deal(): Region
  /** Takes the message over. */
  take(material: Region): Material
  open(material: Material): Opened
  answer(message: Region): Region
  /**
   * The server's share of the results: the next mask is zero, so the results themselves. Null for a comparison, whose
   * shares are in the material already. Takes `opened` over.
   */
  finish(opened: Opened, material: Material, reply: Region): Region | null
  release(): void
}

/** The window's errors are centred on zero, as in a plan. */
export function chainOf({ bits, opened, shape }: Variant): Chain {
  const lo = opened - bits
  return { bits: opened, lo, chunks: shape, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}

/** Seeds that every process has, so that each can play its part alone. */
function benchStreams(k: Kernels): { ch: Streams; sh: Streams; own: Streams } {
  const streams = (byte: number) => new Streams(k, new Uint8Array(32).fill(byte), 12)
  return { ch: streams(1), sh: streams(2), own: streams(3) }
}

/** ρ of every comparison, a bit each. */
export function dealtRho(k: Kernels, elements: number): Uint8Array {
  const { own } = benchStreams(k)
  return own
    .take({ purpose: Purpose.dealerRho, ...ADDRESS }, groupsOf(elements))
    .u8()
    .slice()
}

export function gadgetOf(k: Kernels, variant: Variant, values: Values): Gadget {
  return variant.operation === 'relu' ? relu(k, variant, values) : comparison(k, variant, values)
}

/** u32 words of a stream, uniform. */
const masks = (streams: Streams, words: number): Region =>
  streams.take({ purpose: Purpose.outputMask, ...ADDRESS }, words * 4)

/** Values less their masks, as the server opens them: u32 words, u64 beyond 32 bits. */
function mask(values: Values, r: Region, e: Region, bits: number): void {
  if (bits <= 32) {
    const low = 2 ** bits - 1
    const [masks, masked] = [r.u32(), e.u32()]
    for (let i = 0; i < values.length; i++) masked[i] = (Number(values[i]) - masks[i]) & low
    return
  }
  const [masks, masked] = [r.u64(), e.u64()]
  for (let i = 0; i < values.length; i++) masked[i] = BigInt.asUintN(bits, BigInt(values[i]) - masks[i])
}

function comparison(k: Kernels, variant: Variant, values: Values): Gadget {
  const chain = chainOf(variant)
  const count = values.length
  const streams = benchStreams(k)
  const words = (groupsOf(count) * 8 * chainWordBytes(chain)) / 4
  const r = masks(streams.own, words)
  const e = k.memory.allocZero(words * 4)
  mask(values, r, e, chain.bits)
  const { opened: at, rows, opening, reply } = comparisonSizes(chain, count)
  return {
    sizes: { opening, reply, material: tableBytes(chain.chunks, count) + count * 4 },
    deal() {
      const { tables, rhoWords, rho } = dealComparison(k, chain, count, r, streams, ADDRESS)
      rho.release(true)
      const message = k.memory.alloc(tables.byteLength + rhoWords.byteLength)
      message.u8().set(tables.u8())
      message.u8().set(rhoWords.u8(), tables.byteLength)
      for (const region of [tables, rhoWords]) region.release()
      return message
    },
    take: (tables) => ({ tables, words: null }),
    open({ tables }) {
      const message = k.memory.alloc(opening)
      packOpened(k, e, count, chain.bits, message)
      openRows(k, chain, count, e, tables, message.part(at, rows))
      return { message, kept: null }
    },
    answer(message) {
      const opened = k.memory.allocZero(words * 4)
      unpackOpened(k, message, count, chain.bits, opened)
      const pads = padsOf(chain, count, streams.ch, ADDRESS)
      const beta = walk(k, chain, count, opened, message.part(at, rows), pads)
      pads.release()
      opened.release()
      return beta
    },
    finish({ message }) {
      message.release()
      return null
    },
    release: () => [r, e].forEach((region) => void region.release()),
  }
}

function relu(k: Kernels, variant: Variant, values: Values): Gadget {
  const count = values.length
  const streams = benchStreams(k)
  const planned = layOut(k, reluPlan(variant, count))
  const step = planned.steps[0] as ReluStep
  const m = masks(streams.ch, count)
  const next = k.memory.allocZero(count * 4)
  // All dropped bits of y set: then no mask makes truncate-reduce lose a carry (E3), and y' is the value itself.
  const mask = m.u32()
  const y = upload(
    k.memory,
    Uint32Array.from(mask, (word, i) => Number(values[i]) * 2 ** TRUNCATE + 2 ** TRUNCATE - 1 - word),
  )
  const sizes = reluSizes(step, RING)
  return {
    sizes: { ...sizes, material: sizes.tables + sizes.words },
    deal() {
      const { tables, words } = dealRelu(k, step, streams, m, 0, RING)
      const message = k.memory.alloc(sizes.tables + sizes.words)
      message.u8().set(tables.u8())
      packWords(k, step, RING, words, message.part(sizes.tables, sizes.words))
      for (const region of [tables, words]) region.release()
      return message
    },
    take: (tables) => ({ tables, words: tables.part(sizes.tables, sizes.words) }),
    open({ tables, words }) {
      const drawn = drawOpening(k, step, streams.sh, words!, 0, RING)
      const { message, ...kept } = openRelu(k, step, drawn, y, tables)
      return { message, kept }
    },
    answer(message) {
      const reply = k.memory.alloc(sizes.reply)
      const drawn = drawRelu(k, step, streams.ch, next, 0, RING)
      answerRelu(k, step, drawn, message, next, reply, RING)
      drawn.release()
      return reply
    },
    finish({ message, kept }, _, reply) {
      const results = finishRelu(k, step, kept!, reply, RING)
      for (const region of [message, kept!.e, kept!.a1, kept!.words]) region.release()
      return results
    },
    release() {
      for (const region of [m, next, y]) region.release()
      planned.release()
    },
  }
}

/** A single step whose y is given: its linear part never runs. */
export function reluPlan({ bits, opened, shape }: Variant, elements: number): MccPlan {
  const out = [elements, 1, 1] as const
  const activation = { truncate: TRUNCATE, bits: opened, lo: opened - bits, chunks: shape, relu: { kind: 'relu' } }
  return {
    format: 'plan/1',
    backend: 'mcc',
    network: 'compare',
    ring: RING,
    rounds: 12,
    input: { shape: [elements], scale: 0, bits: RING, preprocess: { scale: 1, mean: [0], std: [1] } },
    labels: [],
    steps: [{ id: 'relu', linear: [{ op: 'zero', out }], out, scale: 0, activation }],
  } as MccPlan
}
