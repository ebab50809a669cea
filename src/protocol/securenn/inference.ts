// One inference through a whole plan, per role. All three walk the steps together; nothing is dealt ahead.

import { gather64, scatter64 } from '../../kernels/index-maps.js'
import { type Region, uploadRepeated } from '../../kernels/instance.js'
import { add64, sub64 } from '../../kernels/ring.js'
import { uploadWords, wordRing } from '../../kernels/words.js'
import type { Meter } from '../../net/index.js'
import { Phase } from '../../net/index.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import { elementCount, outputFraction, tensorShape } from '../../plan/plan.js'
import type { Streams } from '../../random/streams.js'
import { Kind } from '../kinds.js'
import { tensorMask } from '../linear.js'
import { LiveTensors } from '../live-tensors.js'
import { receiveRegions, sendRegions } from '../regions.js'
import { isActive } from '../step.js'
import type { ModelShare } from '../weights.js'
import { clientLinear, dealLinear, serverLinear, wordBytes } from './linear.js'
import type { HelperSide, Side } from './parties.js'
import { dealRelu, relu } from './relu.js'
import type { SecurennReluStep, SecurennSteps } from './step.js'

/** What a client or server walks a plan with. */
export interface Walk {
  readonly side: Side
  readonly planned: SecurennSteps
  readonly share: ModelShare
  readonly meter: Meter
  readonly inference: number
}

type OnStep = (step: number) => void

/** Client: from its input (signed fixed-point words, CHW) to the output, as words of `outputFraction` fraction bits. */
export async function runClient(walk: Walk & { ch: Streams }, input: Int32Array, onStep?: OnStep): Promise<Int32Array> {
  const { side, planned, share, meter, inference, ch } = walk
  const { k, peer } = side
  const mask = tensorMask(k, planned, ch, 0, inference)
  const masks = new LiveTensors(planned, mask)
  try {
    const x = uploadWords(k, wordRing(planned.plan.ring), input)
    sub64(k, x, mask, x, input.length)
    await sendRegions(peer, Kind.tensor, 0, [x], { signal: side.signal })
    x.release(true)
    const source = { tensor: masks.get, weights: share.weights, lifts: true }
    for (const step of planned.steps) {
      meter.mark(Phase.online, step.index)
      const y = clientLinear(k, step, ch, source, inference)
      masks.drop(step.index)
      if (!isActive(step)) {
        const output = await openOutput(walk, step.size, y)
        onStep?.(step.index)
        return output
      }
      const values = await relu(side, step, y, { layer: step.index, inference })
      y.release(true)
      const next = tensorMask(k, planned, ch, step.index + 1, inference)
      masks.add(step.index, next)
      await sendTensor(side, step, values, next)
      onStep?.(step.index)
    }
    throw new Error('a plan ends in a step without an activation')
  } finally {
    meter.stop()
    masks.release()
  }
}

/** The client's share of a step's values, less r. Releases `values`. */
async function sendTensor({ k, peer, signal }: Side, step: SecurennReluStep, values: Region, r: Region): Promise<void> {
  const { results: count, resultElement } = step.relu
  const mask = resultElement ? k.memory.alloc(count * 8) : r
  if (resultElement) gather64(k, r, resultElement, mask)
  sub64(k, values, mask, values, count)
  if (mask !== r) mask.release(true)
  await sendRegions(peer, Kind.tensor, step.index + 1, [values], { signal })
  values.release(true)
}

async function openOutput({ side, planned }: Walk, size: number, y: Region): Promise<Int32Array> {
  const { k, peer, signal } = side
  const { plan, steps } = planned
  const last = steps.length - 1
  const [theirs] = await receiveRegions(k, peer, Kind.output, last, [wordBytes(size)], { signal })
  add64(k, y, theirs, y, size)
  const drop = BigInt(plan.steps[last].scale - outputFraction(plan))
  const output = Int32Array.from({ length: size }, (_, i) => Number(BigInt.asIntN(64, y.u64()[i]) >> drop))
  for (const region of [y, theirs]) region.release(true)
  return output
}

/** Server: from the client's masked input to its share of the output. */
export async function runServer(
  { side, planned, share, meter, inference }: Walk,
  bias: QuantizedModel['bias'],
): Promise<void> {
  const { k, helper, peer } = side
  const size = elementCount(tensorShape(planned.plan, 0))
  const [input] = await receiveRegions(k, peer, Kind.tensor, 0, [wordBytes(size)])
  const tensors = new LiveTensors(planned, input)
  try {
    const source = { tensor: tensors.get, weights: share.weights, lifts: true }
    for (const step of planned.steps) {
      meter.mark(Phase.online, step.index)
      const y = uploadRepeated(k.memory, bias[step.index], step.size)
      serverLinear(k, step, source, y)
      tensors.drop(step.index)
      const [u] = await receiveRegions(k, helper, Kind.linear, step.index, [wordBytes(step.size)])
      add64(k, y, u, y, step.size)
      u.release()
      if (!isActive(step)) {
        await sendRegions(peer, Kind.output, step.index, [y])
        y.release(true)
        return
      }
      const values = await relu(side, step, y, { layer: step.index, inference })
      y.release(true)
      tensors.add(step.index, await receiveTensor(side, step, values))
    }
  } finally {
    meter.stop()
    tensors.release()
  }
}

/** x̂ of a step's result: the server's share and what the client sent, zero elsewhere. Releases `values`. */
async function receiveTensor({ k, peer }: Side, step: SecurennReluStep, values: Region): Promise<Region> {
  const { results: count, resultElement } = step.relu
  const [theirs] = await receiveRegions(k, peer, Kind.tensor, step.index + 1, [wordBytes(count)])
  add64(k, values, theirs, values, count)
  theirs.release()
  if (!resultElement) return values
  const out = k.memory.allocZero(elementCount(step.step.out) * 8)
  scatter64(k, values, resultElement, out)
  values.release(true)
  return out
}

/**
 * Helper: its part of every step.
 * @param begun awaited before anything is received, and at the end
 */
export async function runHelper(
  helper: HelperSide,
  planned: SecurennSteps,
  share: ModelShare,
  inference: number,
  begun: () => Promise<void>,
): Promise<void> {
  const { k, ch, server } = helper
  const masks = new LiveTensors(planned, tensorMask(k, planned, ch, 0, inference))
  try {
    const source = { tensor: masks.get, weights: share.weights, lifts: false }
    for (const step of planned.steps) {
      const u = dealLinear(k, step, ch, source, inference)
      masks.drop(step.index)
      await sendRegions(server, Kind.linear, step.index, [u])
      u.release()
      if (!isActive(step)) return await begun()
      if (step.relu.comparisons > 0) await begun()
      await dealRelu(helper, step, { layer: step.index, inference })
      masks.add(step.index, tensorMask(k, planned, ch, step.index + 1, inference))
    }
  } finally {
    masks.release()
  }
}
