// Which gadget a step has: the only place that tells them apart.

import type { Region } from '../../kernels/instance.js'
import { isActive, isProduct, type ReluNumbers } from '../layout.js'
import type { Message } from '../transcript.js'
import type { Dealing, Drawing, Drawn, Gadget, GadgetSizes, Opened, Opening } from './gadget.js'
import type { GuardTerms } from './guard/terms.js'
import { curveGadget } from './polynomial/curve.js'
import { productGadget } from './polynomial/product.js'
import { quadraticGadget } from './polynomial/quadratic.js'
import { answerRelu, dealRelu, drawRelu, finishRelu, openRelu, reluMaterial, reluSizes } from './relu.js'
import { type AnsweredStep, isCurve, isQuadratic, type MccStep, type ReluStep } from './step.js'
import { packWords } from './words.js'

/** Null for the last step, which goes out. */
export function gadgetOf(step: MccStep<ReluNumbers>): Gadget | null {
  if (isProduct(step)) return productGadget
  if (!isActive(step)) return null
  if (isCurve(step)) return curveGadget
  return isQuadratic(step) ? quadraticGadget : reluGadget
}

/** Byte lengths of a gadget's messages. */
export function gadgetSizes(
  step: AnsweredStep<ReluNumbers>,
  ring: number,
  terms: GuardTerms | null = null,
): GadgetSizes {
  return gadgetOf(step)!.sizes(step, ring, terms)
}

/** What a step's gadget sends beside its linear part; its material goes in the same message as u. */
export function gadgetMessages(step: AnsweredStep<ReluNumbers>, ring: number, terms: GuardTerms | null): Message[] {
  const { opening, reply, dealt } = gadgetSizes(step, ring, terms)
  const bytes = dealt.opening + dealt.reply
  return [
    { kind: 'material', from: 'helper', to: 'server', bytes, stage: 0, offline: true },
    { kind: 'opening', from: 'server', to: 'client', bytes: opening, stage: 1 },
    { kind: 'reply', from: 'client', to: 'server', bytes: reply, stage: 2 },
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
  const material = reluMaterial(step, ring, dealt)
  const { message, ...kept } = openRelu(k, step, sh, y, material, inference, ring, guard?.compared)
  return {
    message,
    prepare: (keys) => guard?.prepare(step, keys),
    finish: (reply) => finishRelu(k, step, kept, reply, ring, guard),
    release() {
      for (const region of [kept.e, kept.a1, kept.words]) region.release()
    },
  }
}

function drawReluStep({ k, ch, next, inference, ring, guard }: Drawing, step: ReluStep): Drawn {
  const drawn = drawRelu(k, step, ch, next, inference, ring, guard)
  return {
    answer: (message, reply) => answerRelu(k, step, drawn, message, next, reply, ring, guard),
    release: () => drawn.release(),
  }
}

const reluGadget: Gadget = {
  sizes(step: ReluStep<ReluNumbers>, ring, terms) {
    const { opening, reply, tables, words, keys } = reluSizes(step, ring, terms)
    return { opening, reply, dealt: { opening: tables + words, reply: keys } }
  },
  ...{ deal: dealReluStep, open: openReluStep, draw: drawReluStep },
}
