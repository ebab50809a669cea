// Back end `securenn` as the parties run it (protocol/securenn): all three are on line, nothing is dealt ahead.
import { elementCount, type SecurennPlan, tensorShape } from '../../plan/plan.js'
import { isActive, type PlanLayout, type ReluNumbers } from '../../protocol/layout.js'
import { onlineMessages } from '../../protocol/securenn/cost.js'
import { comparedBits } from '../../protocol/securenn/drelu.js'
import type { SecurennReluStep, SecurennStep } from '../../protocol/securenn/step.js'
import type { Message } from '../../protocol/transcript.js'
import { linearNs, type MachineModel } from './machine.js'
import { type Programs, programsOf, type Work } from './schedule.js'

/** Stream bytes per digit below 67: 201 of 256 bytes are taken. */
const DIGIT_BYTES = 256 / 201

/** Bytes of word draws per comparison: r, δ, x, η, β, triples, as far as a party draws them. */
const CLIENT_DRAWS = 80
const SERVER_DRAWS = 32
const HELPER_DRAWS = 88

class SecurennWork {
  readonly #stream: number

  constructor(
    private readonly machine: MachineModel,
    private readonly plan: SecurennPlan,
  ) {
    this.#stream = machine.chacha[plan.rounds]
  }

  linear({ step }: SecurennStep<ReluNumbers>): number {
    return linearNs(this.machine.ring64, step.linear)
  }

  draw(bytes: number): number {
    return bytes * this.#stream
  }

  add(count: number): number {
    return count * this.machine.ring64.word
  }

  /** r of a tensor, or s of a step. */
  words(count: number): number {
    return this.draw(8 * count)
  }

  mask(index: number): number {
    return this.words(elementCount(tensorShape(this.plan, index)))
  }

  /** Digits that are drawn and wiped. */
  #digits(count: number): number {
    return count * (this.machine.securenn.sampleDigit + DIGIT_BYTES * this.#stream + this.machine.copy)
  }

  /** Truncation, and picking what is switched and what is compared. */
  before({ size, relu }: SecurennReluStep<ReluNumbers>): number {
    const { truncate, gather } = this.machine.securenn
    const { values, comparisons, inOrder, paired, patchElements } = relu
    const picked = (inOrder ? 0 : values) + (paired ? 0 : comparisons) + patchElements
    return size * truncate + values * 8 * this.machine.copy + picked * gather
  }

  /** Client and server: one blinded comparison of `count` values, without its word operations. */
  ask(count: number, bits: number): number {
    const { compareDigit, rotateDigit } = this.machine.securenn
    return this.#digits(2 * count * bits + 2 * count) + count * bits * (compareDigit + rotateDigit)
  }

  /** Word operations of a DReLU, in its three parts of about equal length. */
  side(count: number, drawn: number): number {
    return (count * this.machine.securenn.side + this.draw(count * drawn)) / 3
  }

  /** The client's halves of the bits, which the server is sent. */
  halves(count: number, bits: number): number {
    return this.#digits(2 * count * bits)
  }

  product({ switched, comparisons, paired }: ReluNumbers): number {
    const { product, gather } = this.machine.securenn
    return this.words(switched + comparisons) + switched * (product + (paired ? 0 : 3 * gather))
  }

  /** Helper: the products' C. */
  triple({ switched, comparisons, paired }: ReluNumbers): number {
    const words = this.words(3 * switched + 2 * comparisons) + this.add(3 * switched + comparisons)
    return words + (paired ? 0 : switched * this.machine.securenn.gather)
  }

  /** Helper: both parties' halves of two sets of bits. */
  share(count: number, bits: number): number {
    return this.#digits(2 * count * bits) + 2 * count * bits * this.machine.securenn.shareDigit
  }

  zeroTest(count: number, bits: number): number {
    return count * bits * this.machine.securenn.zeroDigit
  }

  helperWords(count: number): number {
    return (count * this.machine.securenn.helper + this.draw(count * HELPER_DRAWS)) / 2
  }
}

/** One inference, by its messages: nothing is dealt ahead. */
export function securennPrograms(
  layout: PlanLayout<SecurennPlan>,
  machine: MachineModel,
  messages = onlineMessages(layout),
): Programs {
  const { plan, steps } = layout
  const work = new SecurennWork(machine, plan)
  const around = ({ kind, from }: Message, index: number): Work => {
    if (index < 0) {
      const input = elementCount(tensorShape(plan, 0))
      return kind === 'tensor' ? { before: work.mask(0) + work.add(input) } : {}
    }
    const step = steps[index]
    const { size } = step
    /** The client's part of the linear step: done before it sends anything for the step, or while it waits. */
    const share = () => work.linear(step) + work.words(size)
    if (kind === 'linear') {
      const linear = work.linear(step)
      const before = work.mask(index) + linear + work.words(size) + work.add(size)
      const after = work.add(size) + (isActive(step) ? work.before(step) : 0)
      return { before, meanwhile: linear, after }
    }
    if (kind === 'output') return { meanwhile: share(), after: work.add(size) }
    if (!isActive(step)) return {}
    const counts = step.relu
    const n = counts.comparisons
    const picked = () => share() + work.before(step)
    const bits = comparedBits(step.activation)
    const side = work.side(n, from === 'client' ? CLIENT_DRAWS : SERVER_DRAWS)
    switch (kind) {
      case 'tensor': {
        const sum = work.add(step.relu.results)
        return { before: (n > 0 ? 0 : picked()) + work.mask(index + 1) + sum, after: sum }
      }
      case 'masked':
        if (from === 'server') return { before: side }
        return { before: picked() + side, meanwhile: work.triple(counts) }
      case 'converted':
        return { before: work.helperWords(n) + work.share(n, bits) }
      case 'digits1':
        return { before: (from === 'client' ? work.halves(n, bits) : 0) + work.ask(n, bits) }
      case 'digits2':
        return { before: work.ask(n, bits) }
      case 'wrap':
        return { before: work.zeroTest(n, bits) }
      case 'answer':
        return { before: work.zeroTest(n, bits) + work.helperWords(n) }
      case 'opened':
      case 'xor':
        return { before: side }
      case 'product': // The server waits for C as well.
        return from === 'server' ? { after: work.product(counts) } : {}
      case 'productC':
        return { after: work.product(counts) }
      default:
        return {}
    }
  }
  return programsOf(machine, messages, around)
}
