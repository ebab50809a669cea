// The judge of the demo: reruns a private inference in plain text, with the same masks, and compares every logit bit for
// bit. It needs what no party holds alone: the masks of both session seeds, the weights and the input.
import { RingfenceError } from '../../errors.js'
import type { Compiled } from '../../plan/compile/compile.js'
import { inputWords, openedScale, openedValues, outputsOf } from '../../plan/ends.js'
import { type Masks, runReference } from '../../plan/reference/reference.js'

export interface Judgement {
  /** Logits whose bits differ between the private run and the reference, of `logits`. */
  readonly differing: number
  readonly logits: number
  /** Values that left the calibrated range on the way through the network. */
  readonly overflows: number
  /** Largest distance between a private logit and the float network's. */
  readonly maxLogitError: number
}

/** What a private run has to be held against. */
export interface Exhibit {
  /** Fixed-point logits as the client opened them. */
  readonly raw: Int32Array
  /** The client's input, normalised. */
  readonly input: Float32Array
  /** Logits of the float network for the same input. */
  readonly plaintext: Float32Array
}

/** @param masks of the same inference */
export function judge({ plan, model }: Compiled, masks: Masks, { raw, input, plaintext }: Exhibit): Judgement {
  const words = inputWords(plan, input)
  const { output, overflows } = runReference(plan, model, words, masks)
  const logits = openedValues(outputsOf(plan).opened, openedScale(plan), raw)
  const maxLogitError = plaintext.reduce((most, logit, i) => Math.max(most, Math.abs(logit - logits[i])), 0)
  return { differing: differences(raw, output), logits: output.length, overflows, maxLogitError }
}

function differences(raw: Int32Array, expected: Int32Array): number {
  if (raw.length !== expected.length) {
    throw new RingfenceError('BAD_INPUT', `expected ${expected.length} logits of the private run, got ${raw.length}`)
  }
  return expected.reduce((sum, word, i) => sum + (word === raw[i] ? 0 : 1), 0)
}

/** Exit status of a judged demo: 0 only when every bit of every logit is the reference's. */
export function exitStatus(judgements: readonly Judgement[]): number {
  return judgements.length > 0 && judgements.every(({ differing }) => differing === 0) ? 0 : 1
}
