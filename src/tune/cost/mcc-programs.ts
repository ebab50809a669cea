// Back end `mcc` as the parties run it: who computes what for how long, and which messages go where. Messages are sized
// by the functions that the protocol declares beside its gadgets.
import { packedBytes } from '../../kernels/bits.js'
import { tableBytes } from '../../kernels/mcc.js'
import { elementCount, type MccPlan, tensorShape } from '../../plan/plan.js'
import { materialBytes } from '../../protocol/mcc/inference.js'
import { reluSizes } from '../../protocol/mcc/relu.js'
import type { MccStep, MccSteps, ReluStep } from '../../protocol/mcc/step.js'
import { isActive } from '../../protocol/step.js'
import { comparisonNs, linearNs, type MachineModel } from './machine.js'
import { packedCount, type ReluCounts, reluCounts } from './relu-counts.js'
import { Program, type Programs } from './schedule.js'

/** Bytes in front of an input or an upload; of a request for material and its answer; in front of a bundle. */
const INFERENCE_BYTES = 8
const BATCH_BYTES = 12
const RESERVED_BYTES = 49
const DEAL_BYTES = 52
const BUNDLE_BYTES = 24

/** Work of one step, per party. */
class MccWork {
  readonly #stream: number

  constructor(
    private readonly machine: MachineModel,
    private readonly plan: MccPlan,
  ) {
    this.#stream = machine.chacha[plan.rounds]
  }

  linear({ step }: MccStep): number {
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
  #openings(step: ReluStep): number {
    return packedCount(reluSizes(step, this.plan.ring).opened, step.activation.bits)
  }

  /** Masking them, truncated. */
  #masked(step: ReluStep, { patchElements, values, inOrder }: ReluCounts): number {
    const { mask, gather, patchElement } = this.machine.mcc
    const opened = this.#openings(step)
    return this.words(opened) + opened * mask + (inOrder ? 0 : values * gather) + patchElements * patchElement
  }

  /** Values that come back. */
  #results(step: ReluStep): number {
    const { beta, reply } = reluSizes(step, this.plan.ring)
    return packedCount(reply - beta, this.plan.ring)
  }

  #tested({ comparisons, paired }: ReluCounts): number {
    return paired ? 0 : comparisons * this.machine.mcc.gather
  }

  /** Shares of b·y' of all values: each party's select. */
  #shares({ switched, passed, paired }: ReluCounts): number {
    const { select, extend, gather, gatherBit } = this.machine.mcc
    return switched * (select + (paired ? 0 : gather + gatherBit)) + passed * extend
  }

  /** Server: opens ŷ. */
  open(step: ReluStep): number {
    const counts = reluCounts(step.relu)
    const read = counts.comparisons * comparisonNs(this.machine, step.activation.chunks).read
    return this.#masked(step, counts) + this.pack(this.#openings(step)) + this.#tested(counts) + read
  }

  /** Client: from the opening to its reply. */
  answer(step: ReluStep): number {
    const { chunks } = step.activation
    const counts = reluCounts(step.relu)
    const { comparisons, switched, passed, values, inOrder } = counts
    const { read, walk } = comparisonNs(this.machine, chunks)
    const pads = comparisons === 0 ? 0 : tableBytes(chunks, comparisons) * this.#stream
    const streams = pads + this.words(comparisons + 4 * switched + 2 * passed)
    const gathered = inOrder ? 0 : values * this.machine.mcc.gather
    const compare = this.#tested(counts) + comparisons * (read + walk)
    const packing = this.unpack(this.#openings(step)) + this.pack(this.#results(step))
    return compare + streams + gathered + this.#shares(counts) + packing
  }

  /** Server: from the reply to x̂. */
  finish(step: ReluStep): number {
    const counts = reluCounts(step.relu)
    const scattered = counts.inOrder ? 0 : counts.values * this.machine.mcc.gather
    return this.unpack(this.#results(step)) + this.#shares(counts) + scattered
  }

  /** Client and helper: r of a tensor. */
  mask(index: number): number {
    return this.words(elementCount(tensorShape(this.plan, index)))
  }

  /** Helper: the material of a step. */
  deal(step: MccStep): number {
    const { dealSelect, dealExtend, dealRho, gatherBit } = this.machine.mcc
    const linear = this.mask(step.index) + this.linear(step) + this.words(step.size) + this.add(step.size)
    if (!isActive(step)) return linear + this.pack(step.size)
    const { activation } = step
    const counts = reluCounts(step.relu)
    const { comparisons, switched, passed, paired } = counts
    const tables = comparisons === 0 ? 0 : tableBytes(activation.chunks, comparisons)
    const compare = tables * (this.#stream + this.machine.copy) + comparisons * (this.words(1) + dealRho)
    const chain = comparisons * comparisonNs(this.machine, activation.chunks).deal
    const halves = this.words(4 * switched + 2 * passed) + switched * dealSelect + passed * dealExtend
    const output = this.words(step.size) + this.#masked(step, counts) + this.#tested(counts)
    const packed = this.pack(step.size + comparisons + 4 * switched + 2 * passed)
    return linear + output + compare + chain + halves + (paired ? 0 : switched * gatherBit) + packed
  }

  /** Client, off line: δ of a step. */
  upload(step: MccStep): number {
    const { size } = step
    return this.mask(step.index) + this.words(2 * size) + this.linear(step) + this.add(size) + this.pack(size)
  }

  /** Server: takes in what the helper dealt for a step, and the client's δ. */
  takeDealt(step: MccStep): number {
    const sum = this.unpack(step.size) + this.add(2 * step.size)
    if (!isActive(step)) return sum
    const { comparisons, switched, passed } = step.relu
    return sum + this.unpack(comparisons + 4 * switched + 2 * passed)
  }

  takeDelta({ size }: MccStep): number {
    return this.unpack(size) + this.add(size)
  }
}

function programs(machine: MachineModel): Programs {
  return { client: new Program(machine), server: new Program(machine), helper: new Program(machine) }
}

/** From the input to the logits, material in store. */
export function onlinePrograms({ plan, waves }: MccSteps, machine: MachineModel): Programs {
  const all = programs(machine)
  const { client, server } = all
  const work = new MccWork(machine, plan)
  const input = elementCount(tensorShape(plan, 0))
  const inputBytes = INFERENCE_BYTES + packedBytes(input, plan.ring)
  client.work(work.mask(0) + work.add(input) + work.pack(input)).send('server', inputBytes)
  server.receive('client', inputBytes).work(work.unpack(input))
  for (const wave of waves) {
    for (const step of wave) {
      client.step = server.step = step.index
      server.work(work.linear(step))
      if (isActive(step)) open(all, step, plan.ring, work)
      else giveOutput(all, step, plan.ring, work)
    }
    for (const step of wave.filter(isActive)) {
      server.step = step.index
      server.receive('client', reluSizes(step, plan.ring).reply).work(work.finish(step))
    }
  }
  return all
}

/** The server's opening, and what the client makes of it. */
function open({ client, server }: Programs, step: ReluStep, ring: number, work: MccWork): void {
  const { opening, reply } = reluSizes(step, ring)
  server.work(work.open(step)).send('client', opening)
  client
    .work(work.mask(step.index + 1))
    .receive('server', opening)
    .work(work.answer(step))
    .send('server', reply)
}

function giveOutput({ client, server }: Programs, { size }: MccStep, ring: number, work: MccWork): void {
  const output = packedBytes(size, ring)
  server.work(work.pack(size)).send('client', output)
  client.receive('server', output).work(work.unpack(size) + work.words(size) + work.add(size))
}

/** From the client's request until the server holds the material of one inference. */
export function offlinePrograms({ plan, steps }: MccSteps, machine: MachineModel): Programs {
  const all = programs(machine)
  const { client, server, helper } = all
  const work = new MccWork(machine, plan)
  client.send('server', BATCH_BYTES).receive('server', RESERVED_BYTES).send('helper', DEAL_BYTES)
  server.receive('client', BATCH_BYTES).send('client', RESERVED_BYTES)
  helper.receive('client', DEAL_BYTES).send('server', BUNDLE_BYTES)
  client.send('server', INFERENCE_BYTES)
  server.receive('client', INFERENCE_BYTES).receive('helper', BUNDLE_BYTES)
  for (const step of steps) {
    client.step = server.step = helper.step = step.index
    const [delta, material] = [packedBytes(step.size, plan.ring), materialBytes(step, plan.ring)]
    helper.work(work.deal(step)).send('server', material)
    client.work(work.upload(step)).send('server', delta)
    server.receive('helper', material).work(work.takeDealt(step))
    server.receive('client', delta).work(work.takeDelta(step))
  }
  helper.send('client', 0)
  client.receive('helper', 0)
  return all
}
