// Learns which ReLUs a network keeps (SNL: Cho, Joshi, Garg, Reagen and Hegde 2022): every element has a factor a, its
// activation is a·r(x) + (1 - a)·x, and an L1 penalty pushes factors to 0 where the loss does not hold them. When the time
// is over, the largest are fixed at 1 and the others at 0.
import { RingfenceError } from '../errors.js'
import { type FactorSlot, factorsOf } from '../gradient/parameters.js'
import type { Architecture } from '../model/architecture.js'
import { effectiveOp, isActivation } from '../model/layers/layers.js'
import { dreluCount } from '../model/relu/layout.js'
import { type LayerRelu, parseReluSpec, type ReluSpec, resolveRelu } from '../model/relu/spec.js'
import { reluSpecFile } from '../model/relu/spec-file.js'
import { elementCount } from '../model/shape.js'
import { adamOf } from './optimizer.js'
import type { MaskRecipe } from './recipe.js'

/** Factors between two steps. */
export interface FactorState {
  /** In the order of `factorSlots`. */
  readonly values: Float32Array
  /** Adam's. */
  readonly moments: readonly Float32Array[]
  steps: number
  penalty: number
  /** Whether they are 0 and 1 now, for good. */
  fixed: boolean
}

/** Looks at the penalty this often in the time of learning, and moves it by this factor. */
const LOOKS = 100
const PUSH = 1.1
/** Share of the time after which as many are to be left as the budget says. */
const DOWN = 0.8

/** The activations whose masks are learned: plain ones, and masks that pass what they do not keep. */
export function factorSlots(arch: Architecture, spec: ReluSpec | undefined): FactorSlot[] {
  let start = 0
  return arch.layers.flatMap((layer) => {
    if (!isActivation(layer) || !isLearned(effectiveOp(layer).op, resolveRelu(spec, layer))) return []
    const slot = { layer: layer.id, start, length: elementCount(layer.out) }
    start += slot.length
    return [slot]
  })
}

const isLearned = (op: string, relu: LayerRelu): boolean =>
  (op === 'relu' || op === 'clip') && (relu.kind === 'relu' || (relu.kind === 'mask' && relu.off === 'identity'))

/** 1 for every element that has its ReLU now. */
export function firstFactors(arch: Architecture, spec: ReluSpec | undefined): FactorState {
  const slots = factorSlots(arch, spec)
  const values = new Float32Array(slots.reduce((sum, { length }) => sum + length, 0)).fill(1)
  for (const { layer, start } of slots) {
    const relu = resolveRelu(spec, arch.byId.get(layer)!)
    if (relu.kind === 'mask') values.set(relu.bits, start)
  }
  const moments = [new Float32Array(values.length), new Float32Array(values.length)]
  return { values, moments, steps: 0, penalty: 0, fixed: false }
}

/**
 * How many learned elements may keep their ReLU.
 * @throws RingfenceError BAD_INPUT where nothing is to be learned, or the rest of the network has more comparisons
 */
export function learnedBudget(arch: Architecture, spec: ReluSpec | undefined, { budget }: MaskRecipe): number {
  const slots = factorSlots(arch, spec)
  const learned = new Set(slots.map(({ layer }) => layer))
  const activations = arch.layers.filter(isActivation)
  const countOf = (own: boolean) =>
    activations
      .filter(({ id }) => learned.has(id) === own)
      .reduce((sum, layer) => sum + dreluCount(resolveRelu(spec, layer), layer.out), 0)
  const [own, rest] = [countOf(true), countOf(false)]
  const problems: string[] = []
  if (own === 0) problems.push('no activation has ReLUs of single elements to choose from')
  if (budget < rest)
    problems.push(`budget: the activations that are not learned have ${rest} comparisons, ${budget} are allowed`)
  if (budget >= rest + own)
    problems.push(`budget: expected less than the ${rest + own} comparisons there are, got ${budget}`)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'no masks can be learned:', problems)
  return budget - rest
}

/** The spec with masks in place of what was learned. @param factors 0 or 1, by activation */
export function maskSpec(
  arch: Architecture,
  spec: ReluSpec | undefined,
  factors: ReadonlyMap<string, Float32Array>,
): ReluSpec {
  const layers = new Map<string, LayerRelu>(spec?.layers)
  for (const [id, values] of factors) {
    const before = resolveRelu(spec, arch.byId.get(id)!)
    const window = 'comparison' in before && before.comparison ? { comparison: before.comparison } : {}
    if (values.every((a) => a === 1)) layers.set(id, { kind: 'relu', ...window })
    else if (values.every((a) => a === 0)) layers.set(id, { kind: 'identity' })
    else layers.set(id, { kind: 'mask', bits: Uint8Array.from(values), off: 'identity', ...window })
  }
  return parseReluSpec(reluSpecFile(arch, layers), arch)
}

/** 1 in place of the `count` largest, of equal ones the first; 0 in place of the others. */
export function fixedFactors(values: Float32Array, count: number): Float32Array {
  const order = Uint32Array.from(values, (_, i) => i).sort((i, j) => values[j] - values[i] || i - j)
  const fixed = new Float32Array(values.length)
  for (const i of order.subarray(0, count)) fixed[i] = 1
  return fixed
}

/** Moves factors: Adam on the loss and the penalty. */
export class MaskLearner {
  readonly slots: readonly FactorSlot[]
  readonly #budget: number

  constructor(
    readonly arch: Architecture,
    readonly spec: ReluSpec | undefined,
    readonly recipe: MaskRecipe,
    readonly state: FactorState,
  ) {
    this.slots = factorSlots(arch, spec)
    this.#budget = learnedBudget(arch, spec, recipe)
    if (state.penalty === 0) state.penalty = recipe.penalty
  }

  /**
   * @param gradients of the loss, which are overwritten
   * @param share of the time of learning that is over, before this step and after it
   */
  step(gradients: Float32Array, [before, after]: readonly [number, number]): void {
    const { state } = this
    const { values, moments } = state
    for (let i = 0; i < values.length; i++) gradients[i] += state.penalty * Math.sign(values[i])
    state.steps++
    adamOf(values, gradients, moments, { rate: this.recipe.rate, momentum: 0.9, steps: state.steps })
    if (Math.floor(LOOKS * after) === Math.floor(LOOKS * before)) return
    const wanted = values.length - (values.length - this.#budget) * Math.min(1, after / DOWN)
    state.penalty *= this.left() > wanted ? PUSH : 1 / PUSH
  }

  /** How many ReLUs are left, those that are left in part in part. */
  left(): number {
    return this.state.values.reduce((sum, a) => sum + Math.min(Math.max(a, 0), 1), 0)
  }

  /** What the network would be if the largest were fixed now. */
  specNow(): ReluSpec {
    const { values, fixed } = this.state
    return maskSpec(this.arch, this.spec, factorsOf(this.slots, fixed ? values : fixedFactors(values, this.#budget)))
  }

  /** Fixes them. */
  fix(): void {
    this.state.values.set(fixedFactors(this.state.values, this.#budget))
    this.state.fixed = true
  }
}
