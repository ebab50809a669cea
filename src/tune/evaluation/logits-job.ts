// Predictions of many inputs, as one thread makes them: in plain float, or as the integer reference of a private run.
import { FloatNetwork } from '../../float/network.js'
import type { Architecture } from '../../model/architecture.js'
import type { ReluSpec } from '../../model/relu/spec.js'
import type { Weights } from '../../model/weights.js'
import type { Compiled } from '../../plan/compile/compile.js'
import { inputWords, openedScale, openedValues, outputsOf } from '../../plan/ends.js'
import { elementCount, linearShape, type MccPlan, reluShape, tensorShape } from '../../plan/plan.js'
import { type MccMasks, runReference } from '../../plan/reference/reference.js'

/** A network in float. */
export interface FloatSetup {
  readonly arch: Architecture
  readonly weights: Weights
  readonly spec: ReluSpec | undefined
}

export interface ReferenceSetup {
  readonly compiled: Compiled
}

/** Some inputs that follow one another, the first with its number. */
export interface LogitsTask {
  readonly first: number
  readonly inputs: readonly Float32Array[]
  /** Other low bits to ignore than the plan says, by step id; for references on `mcc`. */
  readonly lo?: Readonly<Record<string, number>>
}

export interface LogitsPart {
  readonly logits: readonly Float32Array[]
  /** Values that left their calibrated range; 0 in float. */
  readonly overflows: number
}

export function floatJob({ arch, weights, spec }: FloatSetup) {
  const network = FloatNetwork.prepare(arch, weights, { spec })
  const run = ({ inputs }: LogitsTask): LogitsPart => ({ logits: network.run(inputs), overflows: 0 })
  return { run, release: () => network.release() }
}

/** On `mcc` with masks drawn from the input's number: wrong signs and roundings come as they do in a private run. */
export function referenceJob({ compiled: { plan: given, model } }: ReferenceSetup) {
  const run = ({ first, inputs, lo }: LogitsTask): LogitsPart => {
    const plan = lo && given.backend === 'mcc' ? withWindows(given, lo) : given
    let overflows = 0
    const logits = inputs.map((input, i) => {
      const words = inputWords(plan, input)
      const masks = plan.backend === 'mcc' ? drawnMasks(plan, first + i) : undefined
      const run = runReference(plan, model, words, masks)
      overflows += run.overflows
      return openedValues(outputsOf(plan).opened, openedScale(plan), run.output)
    })
    return { logits, overflows }
  }
  return { run, release: () => {} }
}

function withWindows(plan: MccPlan, lo: Readonly<Record<string, number>>): MccPlan {
  const steps = plan.steps.map((step) => {
    const { id, activation } = step
    return activation && Object.hasOwn(lo, id) ? { ...step, activation: { ...activation, lo: lo[id] } } : step
  })
  return { ...plan, steps }
}

/** Masks for a judge, not for a party: any sequence that looks uniform does, and the same input gets the same. */
function drawnMasks(plan: MccPlan, input: number): MccMasks {
  return {
    output: (step) => draw(input, 2 * step, elementCount(linearShape(plan.steps[step]))),
    // An opened value, and a patch of at least two, for every element that a comparison may read.
    opening: (step) => draw(input, 2 * step + 1, 2 * elementCount(reluShape(plan.steps[step]))),
    tensor: (index) => draw(input, -2 * index - 1, elementCount(tensorShape(plan, index))),
    // Two words per factor and four per product, of which there are no more than left factors.
    product: (step) => draw(input, -2 * step - 2, 8 * elementCount(linearShape(plan.steps[step]))),
    // A step is a product, a curve or a quadratic select; an entry has three words at most.
    curve: (step, entries) => draw(input, -2 * step - 2, 3 * entries.length),
    fresh: (step) => draw(input, -2 * step - 2, elementCount(linearShape(plan.steps[step]))),
  }
}

/** xorshift32 (Marsaglia 2003). */
function draw(input: number, stream: number, words: number): Uint32Array {
  let state = (Math.imul(input + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0 || 1
  const drawn = new Uint32Array(words)
  for (let i = 0; i < words; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    drawn[i] = state
  }
  return drawn
}
