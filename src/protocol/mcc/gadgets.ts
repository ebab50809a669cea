// Which gadget a step has: the only place that tells them apart, with a table for each party's part of them. That of ReLUs is
// put together here, from what relu.ts does with one part of a step.

import type { Region } from '../../kernels/instance.js'
import { isProduct, type ReluNumbers } from '../layout.js'
import { remembered } from '../remembered.js'
import type { Message } from '../transcript.js'
import {
  type Deal,
  type Dealing,
  type Draw,
  type Drawing,
  type Drawn,
  type GadgetSizes,
  type Lengths,
  MOST_AHEAD,
  type Open,
  type Opened,
  type Opening,
  type PartSizes,
} from './gadget.js'
import type { GuardTerms } from './guard/terms.js'
import { dealMaxPool, drawMaxPool, maxPoolLengths, openMaxPool } from './maxima/max-pool.js'
import { dealWins, drawWins, openWins, winsLengths } from './maxima/wins.js'
import { curveLengths, dealCurve, drawCurve, openCurve } from './polynomial/curve.js'
import { dealProduct, drawProduct, openProduct, productLengths } from './polynomial/product.js'
import { dealQuadratic, drawQuadratic, openQuadratic, quadraticLengths } from './polynomial/quadratic.js'
import {
  answerRelu,
  dealRelu,
  drawOpening,
  drawRelu,
  finishRelu,
  type Opened as OpenedRelu,
  openRelu,
  reluMaterial,
  reluSizes,
} from './relu.js'
import {
  type AnsweredStep,
  isCurve,
  isMaxPool,
  isQuadratic,
  isWins,
  type MccStep,
  opens,
  type ReluStep,
} from './step.js'
import { partsOf, tablesOf, wordsOf } from './values.js'
import { packWords, selectWordsOf, wordCount } from './words.js'

type GadgetName = 'product' | 'curve' | 'quadratic' | 'maxPool' | 'wins' | 'relu'
type Table<Part> = Readonly<Record<GadgetName, Part>>

function nameOf(step: AnsweredStep<ReluNumbers>): GadgetName {
  if (isProduct(step)) return 'product'
  if (isCurve(step)) return 'curve'
  if (isMaxPool(step)) return 'maxPool'
  if (isWins(step)) return 'wins'
  return isQuadratic(step) ? 'quadratic' : 'relu'
}

/** Helper: deals an answered step. */
export const deal: Deal = (dealing, step, message) => DEAL[nameOf(step)](dealing, step, message)
/** Server: opens it. */
export const open: Open = (opening, step) => OPEN[nameOf(step)](opening, step)
/** Client: draws for its replies. */
export const draw: Draw = (drawing, step) => DRAW[nameOf(step)](drawing, step)

/** Bytes of what a server draws before a step is computed; 0 where it draws nothing then. */
export function aheadOf(step: MccStep<ReluNumbers>): number {
  const bytes = (opens(step) && LENGTHS[nameOf(step)].ahead?.(step)) || 0
  return bytes <= MOST_AHEAD ? bytes : 0
}

/** Byte lengths of the parts in which an opening and its reply travel. */
export function partSizes(
  step: AnsweredStep<ReluNumbers>,
  ring: number,
  terms: GuardTerms | null = null,
): readonly PartSizes[] {
  const sizes = gadgetSizes(step, ring, terms)
  return sizes.parts ?? [sizes]
}

/** Byte lengths of a gadget's messages. */
export const gadgetSizes = remembered(
  (step: AnsweredStep<ReluNumbers>, ring: number, terms: GuardTerms | null = null): GadgetSizes =>
    LENGTHS[nameOf(step)].sizes(step, ring, terms),
)

/** What a step's gadget sends beside its linear part; its material goes in the same message as u. */
export function gadgetMessages(step: AnsweredStep<ReluNumbers>, ring: number, terms: GuardTerms | null): Message[] {
  const { opening, reply, dealt, parts } = gadgetSizes(step, ring, terms)
  const bytes = dealt.opening + dealt.reply
  return [
    { kind: 'material', from: 'helper', to: 'server', bytes, stage: 0, offline: true },
    {
      kind: 'opening',
      from: 'server',
      to: 'client',
      bytes: opening,
      parts: parts?.map(({ opening }) => opening),
      stage: 1,
    },
    { kind: 'reply', from: 'client', to: 'server', bytes: reply, parts: parts?.map(({ reply }) => reply), stage: 2 },
  ]
}

function dealReluStep(dealing: Dealing, step: ReluStep, message: Region): void {
  const { k, streams, m, mask, inference, ring, guard } = dealing
  const { tables, words } = dealRelu(k, step, streams, m!, inference, ring, guard?.compared)
  const sizes = reluSizes(step, ring, guard?.terms)
  message.u8().set(tables.u8().subarray(0, sizes.tables))
  packWords(k, step, ring, words, message.part(sizes.tables, sizes.words))
  tables.release()
  words.release()
  const keys = message.part(sizes.tables + sizes.words, sizes.keys)
  guard?.dealKeys(step, { m: m!, next: mask(step.index + 1) }, keys)
}

function openReluStep({ k, sh, y, dealt, inference, ring, guard }: Opening, step: ReluStep): Opened {
  const parts = partsOf(step, guard !== undefined)
  const material = reluMaterial(step, ring, dealt)
  const { a, words } = drawOpening(k, step, sh, material.words, inference, ring)
  const opened: Omit<OpenedRelu, 'message'>[] = []
  return {
    message(i) {
      const part = parts[i]
      const drawn = { a: wordsOf(part, a), words: selectWordsOf(part, words) }
      const tables = tablesOf(part, material.tables)
      const { message, ...kept } = openRelu(k, part.step, drawn, wordsOf(part, y), tables, guard?.compared)
      opened.push(kept)
      return message
    },
    prepare: guard && ((keys) => guard.prepare(step, keys)),
    finish(reply, _, i, x) {
      const part = parts[i]
      if (part.whole) return finishRelu(k, step, opened[i], reply, ring, guard)
      const all = x ?? k.memory.alloc(step.size * 4)
      finishRelu(k, part.step, opened[i], reply, ring, guard, wordsOf(part, all))
      return all
    },
    release() {
      for (const region of [a, words, ...opened.map(({ e }) => e)]) region.release()
    },
  }
}

function drawReluStep({ k, ch, next, inference, ring, guard }: Drawing, step: ReluStep): Drawn {
  const parts = partsOf(step, guard !== undefined)
  const { pads, shares, release } = drawRelu(k, step, ch, next, inference, ring, guard)
  return {
    answer(message, reply, i) {
      const part = parts[i]
      const own = shares && { words: selectWordsOf(part, shares.words), a1: wordsOf(part, shares.a1) }
      const drawn = { pads: tablesOf(part, pads), shares: own }
      answerRelu(k, part.step, drawn, message, wordsOf(part, next), reply, ring, guard)
    },
    release,
  }
}

const reluLengths: Lengths = {
  sizes(step: ReluStep<ReluNumbers>, ring, terms) {
    const { opening, reply, tables, words, keys } = reluSizes(step, ring, terms)
    const parts = partsOf(step, terms !== null)
    const several = parts.length > 1 && { parts: parts.map((part) => reluSizes(part.step, ring, terms)) }
    return { opening, reply, dealt: { opening: tables + words, reply: keys }, ...several }
  },
  ahead: (step: ReluStep<ReluNumbers>) => 4 * (step.relu.opened.values + step.relu.opened.patches + wordCount(step)),
}

const LENGTHS: Table<Lengths> = {
  product: productLengths,
  curve: curveLengths,
  quadratic: quadraticLengths,
  maxPool: maxPoolLengths,
  wins: winsLengths,
  relu: reluLengths,
}
const DEAL = {
  product: dealProduct,
  curve: dealCurve,
  quadratic: dealQuadratic,
  maxPool: dealMaxPool,
  wins: dealWins,
  relu: dealReluStep,
} as Table<Deal>
const OPEN = {
  product: openProduct,
  curve: openCurve,
  quadratic: openQuadratic,
  maxPool: openMaxPool,
  wins: openWins,
  relu: openReluStep,
} as Table<Open>
const DRAW = {
  product: drawProduct,
  curve: drawCurve,
  quadratic: drawQuadratic,
  maxPool: drawMaxPool,
  wins: drawWins,
  relu: drawReluStep,
} as Table<Draw>
