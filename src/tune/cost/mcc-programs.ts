// Back end `mcc` as the parties run it: who computes what for how long around the messages that the protocol declares.
import { tableBytes } from '../../kernels/mcc.js'
import { curveWords } from '../../kernels/polynomial/curve.js'
import { productWords } from '../../kernels/polynomial/product.js'
import { quadraticWords } from '../../kernels/polynomial/quadratic.js'
import { elementCount, type MccPlan, tensorShape } from '../../plan/plan.js'
import { isActive, isProduct, type PlanLayout, type ReluNumbers } from '../../protocol/layout.js'
import { batchMessages, offlineMessages, onlineMessages } from '../../protocol/mcc/cost.js'
import { guardTerms, segmentAt } from '../../protocol/mcc/guard/terms.js'
import { maxPoolSizes } from '../../protocol/mcc/maxima/max-pool.js'
import { productSizes } from '../../protocol/mcc/polynomial/product.js'
import { quadraticSizes } from '../../protocol/mcc/polynomial/quadratic.js'
import {
  type CurveStep,
  isCurve,
  isMaxPool,
  isQuadratic,
  isWins,
  type MaxPoolStep,
  type MccStep,
  type ProductStep,
  type QuadraticStep,
  type ReluStep,
} from '../../protocol/mcc/step.js'
import { wordBytes, wordCount } from '../../protocol/mcc/words.js'
import { after, chained, lastStage, type Message, messagesOf } from '../../protocol/transcript.js'
import { GuardWork } from './guard-work.js'
import { comparisonNs, linearNs, type MachineModel } from './machine.js'
import { type Programs, programsOf, type Work } from './schedule.js'

type Step = MccStep<ReluNumbers>
type Relu = ReluStep<ReluNumbers>
type Product = ProductStep<ReluNumbers>
type Curve = CurveStep<ReluNumbers>
type Quadratic = QuadraticStep<ReluNumbers>

/** Work of one step, per party. */
class MccWork {
  readonly #stream: number

  constructor(
    private readonly machine: MachineModel,
    private readonly plan: MccPlan,
  ) {
    this.#stream = machine.chacha[plan.rounds]
  }

  linear({ step }: Step): number {
    return linearNs(this.machine.ring32, step.linear)
  }

  words(count: number): number {
    return count * 4 * this.#stream
  }

  pack(count: number): number {
    return count * this.machine.mcc.pack
  }

  unpack(count: number): number {
    return count * this.machine.mcc.unpack
  }

  add(count: number): number {
    return count * this.machine.ring32.word
  }

  /** Values and patch sums that are opened. */
  #openings({ relu: { opened } }: Relu): number {
    return opened.values + opened.patches
  }

  /** Masking them, truncated. */
  #masked(step: Relu, { patchElements, values, inOrder }: ReluNumbers): number {
    const { mask, gather, patchElement } = this.machine.mcc
    const opened = this.#openings(step)
    return this.words(opened) + opened * mask + (inOrder ? 0 : values * gather) + patchElements * patchElement
  }

  #tested({ comparisons, paired }: ReluNumbers): number {
    return paired ? 0 : comparisons * this.machine.mcc.gather
  }

  /** Shares of b·y' of all values: each party's select. */
  #shares(step: Relu): number {
    const { activation, relu } = step
    // About as many multiplications as words.
    if (isQuadratic(step)) return this.add(this.#quadraticWords(step)) + relu.comparisons * this.machine.mcc.select
    const { select, extend, addend, gather, gatherBit } = this.machine.mcc
    if (isWins(step)) return relu.comparisons * select + this.add(2 * relu.comparisons)
    // One value lifted, two switched, the choice of one, and what it takes of both.
    if (isMaxPool(step)) return relu.passed * (7 * select + extend + 3 * addend)
    const { switched, passed, paired } = relu
    const copied = activation.bends ? 2 * relu.values * gather : 0
    return (
      switched * (select + (paired ? 0 : gather + gatherBit)) + passed * extend + relu.opened.values * addend + copied
    )
  }

  /** Words of a quadratic select, two of the ring's each. */
  #quadraticWords({ size, activation }: Quadratic): number {
    return 2 * quadraticWords({ count: size, copies: activation.bends.shifts.length })
  }

  /** Halves of the words: those of fewer than n bits are drawn packed. */
  #halves(step: Relu): number {
    if (isQuadratic(step)) {
      const { words } = quadraticSizes(step, this.plan.ring)
      return words * this.#stream + this.unpack(this.#quadraticWords(step))
    }
    if (isMaxPool(step)) {
      const { words } = maxPoolSizes(step, this.plan.ring)
      return words * this.#stream + this.unpack(this.#maxPoolWords(step))
    }
    if (isWins(step)) return this.words(step.relu.comparisons)
    const narrow = wordCount(step) - step.relu.comparisons - step.relu.switched
    return wordBytes(step, this.plan.ring) * this.#stream + this.unpack(narrow)
  }

  /** Words of maxima: of two ReLUs and three lifted values, and twice as many ReLUs again. */
  #maxPoolWords({ relu }: MaxPoolStep<ReluNumbers>): number {
    return 3 * relu.comparisons + 7 * relu.switched
  }

  /** Words that are read where a reply is, not when they come. */
  #laterWords(step: Relu): number {
    if (isQuadratic(step)) return this.#quadraticWords(step)
    if (isWins(step)) return step.relu.comparisons
    return isMaxPool(step) ? this.#maxPoolWords(step) : 0
  }

  /** Words of a product, read or written; each is two of the ring's. */
  #productWords({ product }: Product): number {
    return 2 * productWords(product)
  }

  /** Both factors of a product, as they are opened. */
  #factors({ product: { count, broad } }: Product): number {
    return count + broad
  }

  /** Server: opens both factors. */
  openProduct(step: Product): number {
    const opened = this.#factors(step)
    return this.words(opened) + opened * this.machine.mcc.mask + this.add(opened) + this.pack(opened)
  }

  /** One party's shares of all products, about as many multiplications as words. */
  #productShares(step: Product): number {
    return this.add(this.#productWords(step)) + step.product.count * this.machine.mcc.select
  }

  #productHalves(step: Product): number {
    return productSizes(step.product, this.plan.ring).words * this.#stream + this.unpack(this.#productWords(step))
  }

  /** Client: from the opening to its reply. */
  answerProduct(step: Product): number {
    const { left, right, count } = step.product
    const masks = this.mask(left) + this.mask(right) + this.unpack(this.#factors(step))
    return masks + this.#productHalves(step) + this.#productShares(step) + this.pack(count)
  }

  /** Server: from the reply to x̂. */
  finishProduct(step: Product): number {
    return this.unpack(step.product.count) + this.unpack(this.#productWords(step)) + this.#productShares(step)
  }

  /** Helper: the words of a product. */
  #dealProduct(step: Product): number {
    const { left, right } = step.product
    const opened = this.#factors(step)
    const masks = this.mask(left) + this.mask(right) + this.words(opened) + this.add(opened)
    return masks + this.#productHalves(step) + this.#productShares(step) + this.pack(this.#productWords(step))
  }

  /** Words of all tables of a curve, two of the ring's each. */
  #tableWords({ size, activation: { curve } }: Curve): number {
    return size * curveWords({ segments: curve.segments, degree: curve.polynomials[0].length - 1 })
  }

  /** One party's shares of all values, and the tables drawn or read that they come from. */
  #looksUp(step: Curve, perWord: number): number {
    return this.#tableWords(step) * perWord + step.size * this.machine.curve.share
  }

  #dealTables(step: Curve): number {
    const { deal, pack } = this.machine.curve
    const masks = this.words(step.size) + step.size * this.machine.mcc.mask
    return masks + this.#tableWords(step) * (8 * this.#stream + deal + pack)
  }

  /** Server: opens ŷ. */
  open(step: Relu): number {
    if (isCurve(step)) return this.words(step.size) + step.size * this.machine.mcc.mask + this.pack(step.size)
    const counts = step.relu
    const read = counts.comparisons * comparisonNs(this.machine, step.activation.chunks).read
    return this.#masked(step, counts) + this.pack(this.#openings(step)) + this.#tested(counts) + read
  }

  /** Client: from the opening to its reply. */
  answer(step: Relu): number {
    if (isCurve(step)) {
      const { size } = step
      return this.words(size) + this.unpack(size) + this.#looksUp(step, 8 * this.#stream) + this.pack(size)
    }
    const { chunks } = step.activation
    const counts = step.relu
    const { comparisons, values, inOrder } = counts
    const { read, walk } = comparisonNs(this.machine, chunks)
    const pads = comparisons === 0 ? 0 : tableBytes(chunks, comparisons) * this.#stream
    const streams = pads + this.#halves(step) + this.words(step.size)
    const gathered = inOrder ? 0 : values * this.machine.mcc.gather
    const compare = this.#tested(counts) + comparisons * (read + walk)
    const packing = this.unpack(this.#openings(step)) + this.pack(step.relu.results)
    return compare + streams + gathered + this.#shares(step) + packing
  }

  /** Server: from the reply to x̂. */
  finish(step: Relu): number {
    if (isCurve(step)) return this.unpack(step.size) + this.#looksUp(step, this.machine.curve.pack)
    const counts = step.relu
    const scattered = counts.inOrder ? 0 : counts.values * this.machine.mcc.gather
    return this.unpack(this.#laterWords(step) + step.relu.results) + this.#shares(step) + scattered
  }

  /** Client and helper: r of a tensor. */
  mask(index: number): number {
    return this.words(elementCount(tensorShape(this.plan, index)))
  }

  /** Helper: the material of a step. */
  deal(step: Step): number {
    const { dealSelect, dealWrap, dealRho, gatherBit } = this.machine.mcc
    if (isProduct(step)) return this.#dealProduct(step)
    const linear = this.mask(step.index) + this.linear(step) + this.words(step.size) + this.add(step.size)
    if (!isActive(step)) return linear + this.pack(step.size)
    if (isCurve(step)) return linear + this.#dealTables(step) + this.pack(step.size)
    const { activation } = step
    const counts = step.relu
    const { comparisons, switched, paired } = counts
    const tables = comparisons === 0 ? 0 : tableBytes(activation.chunks, comparisons)
    const compare = tables * (this.#stream + this.machine.copy) + comparisons * dealRho
    const chain = comparisons * comparisonNs(this.machine, activation.chunks).deal
    const words = this.#laterWords(step) || wordCount(step)
    const halves = this.#halves(step) + switched * dealSelect + step.relu.opened.values * dealWrap
    const output = this.words(step.size) + this.#masked(step, counts) + this.#tested(counts)
    const packed = this.pack(step.size + words)
    return linear + output + compare + chain + halves + (paired ? 0 : switched * gatherBit) + packed
  }

  /** Client, off line: δ of a step. */
  upload(step: Step): number {
    const { size } = step
    if (isProduct(step)) return 0
    return this.mask(step.index) + this.words(2 * size) + this.linear(step) + this.add(size) + this.pack(size)
  }

  /** Server: takes in what the helper dealt for a step, and the client's δ. */
  takeDealt(step: Step): number {
    if (isProduct(step)) return 0
    const sum = this.unpack(step.size) + this.add(2 * step.size)
    if (!isActive(step) || isCurve(step) || isQuadratic(step) || isMaxPool(step) || isWins(step)) return sum
    return sum + this.unpack(wordCount(step))
  }

  takeDelta({ size, product }: Step): number {
    if (product) return 0
    return this.unpack(size) + this.add(size)
  }
}

/** From the input to the logits, material in store, by the messages of `onlineMessages`. */
export function onlinePrograms(
  layout: PlanLayout<MccPlan>,
  machine: MachineModel,
  messages = onlineMessages(layout),
): Programs {
  const { plan, steps } = layout
  const work = new MccWork(machine, plan)
  const guard = guardWork(layout, machine)
  const around = (message: Message, index: number): Work => {
    const { kind } = message
    const step = steps[index]
    const bare = kind === 'signs' || kind === 'proof' ? {} : unguarded(message, index)
    return guard ? together(bare, guardedOnline(guard, kind, step)) : bare
  }
  function unguarded({ kind }: Message, index: number): Work {
    const step = steps[index]
    if (kind === 'input') {
      const input = elementCount(tensorShape(plan, 0))
      return { before: work.mask(0) + work.add(input) + work.pack(input), after: work.unpack(input) }
    }
    const { size } = step
    if (isProduct(step)) {
      if (kind === 'reply') return { before: work.answerProduct(step), after: work.finishProduct(step) }
      return { before: work.openProduct(step), meanwhile: work.mask(index + 1) }
    }
    if (!isActive(step)) {
      const after = work.unpack(size) + work.words(size) + work.add(size)
      return { before: work.linear(step) + work.pack(size), after }
    }
    if (kind === 'reply') return { before: work.answer(step), after: work.finish(step) }
    return { before: work.linear(step) + work.open(step), meanwhile: work.mask(index + 1) }
  }
  // The client answers an opening before it takes the next one of the wave.
  return programsOf(machine, messages, around, (role, all) =>
    role === 'client' ? all.filter(({ from, to }) => from === role || to === role) : messagesOf(role, all),
  )
}

function guardWork(layout: PlanLayout<MccPlan>, machine: MachineModel): GuardWork | null {
  const terms = guardTerms(layout)
  return terms && new GuardWork(machine, layout, terms)
}

const together = (a: Work, b: Work): Work => {
  const sum = (key: keyof Work) => (a[key] ?? 0) + (b[key] ?? 0)
  return { before: sum('before'), meanwhile: sum('meanwhile'), after: sum('after') }
}

/** What a guard adds around a message on line. */
function guardedOnline(guard: GuardWork, kind: Message['kind'], step: Step | undefined): Work {
  if (kind === 'input') return { before: guard.openInput(), after: guard.takeInput() }
  if (kind === 'proof') return { after: guard.check() }
  if (!step || !isActive(step)) return {}
  if (kind === 'opening') return { meanwhile: guard.draw(step) }
  if (kind === 'reply') {
    return { before: guard.answer(step), meanwhile: guard.prepare(step), after: guard.finish(step) }
  }
  const segment = kind === 'signs' && segmentAt(guard.terms, step.index)
  return segment ? { before: guard.openSigns(segment), after: guard.walkSigns(segment) } : {}
}

/** What a guard adds around a message off line; without a step it is the one behind those of the steps. */
function guardedOffline(guard: GuardWork, kind: Message['kind'], step: Step | undefined): Work {
  if (kind === 'material') {
    if (!step) return { before: guard.dealRest() }
    return { before: guard.subsets(step) + (isActive(step) ? guard.dealKeys(step) : 0) }
  }
  if (kind !== 'delta') return {}
  return step ? { after: guard.subsets(step) } : { before: guard.tag() }
}

/** From the client's request until the server holds the material of one inference, by those of `offlineMessages`. */
export function offlinePrograms(
  layout: PlanLayout<MccPlan>,
  machine: MachineModel,
  messages = offlineMessages(layout),
): Programs {
  const { plan, steps } = layout
  const work = new MccWork(machine, plan)
  const guard = guardWork(layout, machine)
  const around = ({ kind }: Message, index: number): Work => {
    const step: Step | undefined = steps[index]
    const added = guard ? guardedOffline(guard, kind, step) : {}
    if (kind === 'material' && step) return together({ before: work.deal(step), after: work.takeDealt(step) }, added)
    if (kind === 'delta' && step) return together({ before: work.upload(step), after: work.takeDelta(step) }, added)
    return added
  }
  const [start, ...material] = messages
  const asked = batchMessages.filter(({ kind }) => kind !== 'dealt')
  const dealt = batchMessages.filter(({ kind }) => kind === 'dealt')
  const parts = [[...asked, ...after(lastStage(asked), start)], ...material, dealt]
  return programsOf(machine, chained(parts.map((messages) => [after(1, messages)])), around)
}
