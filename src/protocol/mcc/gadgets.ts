// Which gadget a step has: the only place that tells them apart.

import { isActive, isProduct, type ReluNumbers } from '../layout.js'
import type { Message } from '../transcript.js'
import { curveGadget } from './curve.js'
import type { Gadget, GadgetSizes, PartSizes } from './gadget.js'
import type { GuardTerms } from './guard/terms.js'
import { productGadget } from './product.js'
import { quadraticGadget } from './quadratic.js'
import { reluGadget } from './relu.js'
import { type AnsweredStep, isCurve, isQuadratic, type MccStep } from './step.js'

/** Null for the last step, which goes out. */
export function gadgetOf(step: MccStep<ReluNumbers>): Gadget | null {
  if (isProduct(step)) return productGadget
  if (!isActive(step)) return null
  if (isCurve(step)) return curveGadget
  return isQuadratic(step) ? quadraticGadget : reluGadget
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
export function gadgetSizes(
  step: AnsweredStep<ReluNumbers>,
  ring: number,
  terms: GuardTerms | null = null,
): GadgetSizes {
  return gadgetOf(step)!.sizes(step, ring, terms)
}

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
