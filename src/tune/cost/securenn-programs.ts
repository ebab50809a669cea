// Back end `securenn` as the parties run it (protocol/securenn): all three are on line, nothing is dealt ahead.
import { elementCount, type SecurennPlan, tensorShape } from '../../plan/plan.js'
import { comparedBits } from '../../protocol/securenn/drelu.js'
import type { SecurennReluStep, SecurennStep, SecurennSteps } from '../../protocol/securenn/step.js'
import { isActive } from '../../protocol/step.js'
import { linearNs, type MachineModel } from './machine.js'
import { type ReluCounts, reluCounts } from './relu-counts.js'
import { Program, type Programs } from './schedule.js'

/** Bytes of a frame that says which inference starts. */
const START_BYTES = 8
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

  linear({ step }: SecurennStep): number {
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
  before({ size, relu }: SecurennReluStep): number {
    const { truncate, gather } = this.machine.securenn
    const { values, comparisons, inOrder, paired, patchElements } = reluCounts(relu)
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

  product({ switched, comparisons, paired }: ReluCounts): number {
    const { product, gather } = this.machine.securenn
    return this.words(switched + comparisons) + switched * (product + (paired ? 0 : 3 * gather))
  }

  /** Helper: the products' C. */
  triple({ switched, comparisons, paired }: ReluCounts): number {
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

export function securennPrograms(planned: SecurennSteps, machine: MachineModel): Programs {
  const { plan, steps } = planned
  const all = { client: new Program(machine), server: new Program(machine), helper: new Program(machine) }
  const { client, server, helper } = all
  const work = new SecurennWork(machine, plan)
  const input = elementCount(tensorShape(plan, 0))
  client.send('server', START_BYTES).send('helper', START_BYTES)
  client.work(work.mask(0) + work.add(input)).send('server', input * 8)
  server
    .receive('client', START_BYTES)
    .send('helper', START_BYTES)
    .receive('client', input * 8)
  helper.receive('client', START_BYTES).work(work.mask(0))
  let agreed = false
  for (const step of steps) {
    for (const party of [client, server, helper]) party.step = step.index
    const bytes = step.size * 8
    const linear = work.linear(step)
    helper.work(linear + work.words(step.size) + work.add(step.size)).send('server', bytes)
    // The server's word on which inference this is may come any time before anything else of it is needed.
    if (!agreed && (!isActive(step) || step.relu.comparisons > 0)) {
      helper.receive('server', START_BYTES)
      agreed = true
    }
    client.work(linear + work.words(step.size))
    server.work(linear).receive('helper', bytes).work(work.add(step.size))
    if (!isActive(step)) {
      server.send('client', bytes)
      client.receive('server', bytes).work(work.add(step.size))
      continue
    }
    for (const party of [client, server]) party.work(work.before(step))
    if (step.relu.comparisons > 0) switchValues(all, step, work)
    const values = elementCount(step.step.out) * 8 - zeroBytes(step)
    client.work(work.mask(step.index + 1) + work.add(values / 8)).send('server', values)
    server.receive('client', values).work(work.add(values / 8))
    helper.work(work.mask(step.index + 1))
  }
  return all
}

/** Of elements that are known to be zero nothing is sent. */
const zeroBytes = ({ relu }: SecurennReluStep): number => (relu.zeros?.count ?? 0) * 8

/** DReLU and product, in the numbering of protocol/securenn/drelu.ts. */
function switchValues(
  { client, server, helper }: Programs,
  { activation, relu }: SecurennReluStep,
  work: SecurennWork,
) {
  const counts = reluCounts(relu)
  const { comparisons: n, switched } = counts
  const bits = comparedBits(activation)
  const digits = n * bits
  helper.work(work.triple(counts))
  // 1, 2
  client.work(work.side(n, CLIENT_DRAWS)).send('helper', 8 * n)
  server.work(work.side(n, SERVER_DRAWS)).send('helper', 8 * n)
  client.work(work.halves(n, bits))
  helper.receive('client', 8 * n).receive('server', 8 * n)
  helper.work(work.helperWords(n) + work.share(n, bits)).send('server', 24 * n + 2 * digits)
  server.receive('helper', 24 * n + 2 * digits)
  // 3, 4
  for (const party of [client, server]) party.work(work.ask(n, bits)).send('helper', digits)
  helper
    .receive('client', digits)
    .receive('server', digits)
    .work(work.zeroTest(n, bits))
    .send('server', 8 * n)
  server.receive('helper', 8 * n)
  // 5
  client
    .work(work.side(n, CLIENT_DRAWS))
    .send('server', 8 * n)
    .receive('server', 8 * n)
  server
    .work(work.side(n, SERVER_DRAWS))
    .send('client', 8 * n)
    .receive('client', 8 * n)
  // 6, 7
  for (const party of [client, server]) party.work(work.ask(n, bits)).send('helper', digits)
  helper
    .receive('client', digits)
    .receive('server', digits)
    .work(work.zeroTest(n, bits) + work.helperWords(n))
  helper.send('server', 16 * n).send('server', 8 * switched)
  server.receive('helper', 16 * n)
  // 8
  client
    .work(work.side(n, CLIENT_DRAWS))
    .send('server', 16 * n)
    .receive('server', 16 * n)
  server
    .work(work.side(n, SERVER_DRAWS))
    .send('client', 16 * n)
    .receive('client', 16 * n)
  // The product.
  const opened = 8 * (switched + n)
  client.send('server', opened).receive('server', opened).work(work.product(counts))
  server
    .send('client', opened)
    .receive('client', opened)
    .receive('helper', 8 * switched)
    .work(work.product(counts))
}
