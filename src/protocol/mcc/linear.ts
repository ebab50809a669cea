// Linear steps (docs/protocol.md, "linear layers"): W = B + F, x = x̂ + r.
//
//   off line   helper → server   u = F∗r - s
//              client → server   δ = B∗r + s - m
//              server keeps      c = u + δ + bias
//   on line    server            ŷ = W∗x̂ + c = y - m          (nobody sends anything)
//
// All three parties walk the same operations over their own tensor and weights. A public factor (lift) counts as
// weights that the client knows in full: the helper's part of it is zero.

import { packedBytes } from '../../kernels/bits.js'
import { conv32, type PackedWeights } from '../../kernels/conv.js'
import { type Kernels, type Region, upload } from '../../kernels/index.js'
import { scatter } from '../../kernels/mcc.js'
import { embed32, poolSum32 } from '../../kernels/planes.js'
import { add32, mul32, scale32, sub32 } from '../../kernels/ring.js'
import { type LinearOp, mapSize, tensorShape } from '../../plan/plan.js'
import { Purpose, type Streams } from '../../random/streams.js'
import { type Cost, NO_COST } from '../cost.js'
import type { PlannedStep, PlannedSteps } from './step.js'

export function linearCost(ring: number, { size }: PlannedStep): Cost {
  const bytes = packedBytes(size, ring)
  return { ...NO_COST, offline: { clientUp: bytes, helperToServer: bytes } }
}

/** What one party puts into a linear step: x̂, r; W, B, F. */
export interface LinearSource {
  /** Tensor `index` of the plan; stays the source's. */
  tensor(index: number): Region
  /** Weights of operation `operation` of step `step`. */
  weights(step: number, operation: number): PackedWeights
  /** Whether public factors are this party's (server and client) or not (helper). */
  readonly lifts: boolean
}

/** y += the step's linear map of the source. `y`: u32, one word per element. */
export function accumulate(k: Kernels, { step, index }: PlannedStep, source: LinearSource, y: Region): void {
  new Evaluation(k, step.linear, index, source).into(step.linear.length - 1, y)
}

class Evaluation {
  constructor(
    private readonly k: Kernels,
    private readonly ops: readonly LinearOp[],
    private readonly step: number,
    private readonly source: LinearSource,
  ) {}

  /** y += value of operation `i`. */
  into(i: number, y: Region): void {
    const op = this.ops[i]
    if (op.op === 'conv') {
      this.#with(op.of, (x) => conv32(this.k, op.geometry, x, this.source.weights(this.step, i), y, true))
    } else if (op.op === 'add') {
      for (const of of op.of) this.into(of, y)
    } else if (op.op !== 'zero' && !(op.op === 'lift' && !this.source.lifts)) {
      this.#with(i, (value) => add32(this.k, y, value, y, mapSize(op.out)))
    }
  }

  /** Lends the value of operation `i`; a tensor is lent as it is, anything else is made and released. */
  #with(i: number, use: (value: Region) => void): void {
    const op = this.ops[i]
    if (op.op === 'tensor') {
      use(this.source.tensor(op.tensor))
      return
    }
    const value = this.#value(i, op)
    use(value)
    value.release()
  }

  #value(i: number, op: LinearOp): Region {
    const { k } = this
    const size = mapSize(op.out)
    if (op.op === 'lift' || op.op === 'scale' || op.op === 'poolSum' || op.op === 'embed') {
      if (op.op === 'lift' && !this.source.lifts) return k.memory.allocZero(size * 4)
      const out = k.memory.alloc(size * 4)
      this.#with(op.of, (x) => this.#move(op, x, out))
      return out
    }
    const out = k.memory.allocZero(size * 4)
    this.into(i, out)
    return out
  }

  #move(op: Extract<LinearOp, { op: 'lift' | 'scale' | 'poolSum' | 'embed' }>, x: Region, out: Region): void {
    const { k } = this
    const [channels, oh, ow] = op.out
    const [c, h, w] = this.ops[op.of].out
    switch (op.op) {
      case 'poolSum':
        poolSum32(k, { c, h, w, kernel: op.kernel, stride: op.stride, pad: op.pad, out: [oh, ow] }, x, out)
        break
      case 'embed': {
        const [channelOffset, top, left] = op.at
        const target = { channels, h: oh, w: ow, channelOffset, top, left }
        embed32(k, { c, h, w, stride: op.stride, offset: op.from }, x, target, out)
        break
      }
      default:
        if (typeof op.factor === 'number') scale32(k, x, op.factor, out, channels * oh * ow)
        else this.#perPosition(op.factor, x, out, channels)
    }
  }

  #perPosition(factor: readonly number[], x: Region, out: Region, channels: number): void {
    const bytes = factor.length * 4
    const factors = upload(this.k.memory, Int32Array.from(factor))
    for (let c = 0; c < channels; c++) {
      mul32(this.k, x.part(c * bytes, bytes), factors, out.part(c * bytes, bytes), factor.length)
    }
    factors.release()
  }
}

/** Client and helper: r of tensor `index`, zero where the tensor is known to be zero. The caller releases it. */
export function inputMask(
  k: Kernels,
  { plan, steps }: PlannedSteps,
  ch: Streams,
  index: number,
  inference: number,
): Region {
  const mask = ch.take({ purpose: Purpose.inputMask, layer: index, inference }, mapSize(tensorShape(plan, index)) * 4)
  const zeros = index === 0 ? null : steps[index - 1].relu?.zeros
  if (zeros) {
    const nothing = k.memory.allocZero(zeros.count * 4)
    scatter(k, nothing, zeros.index, zeros.count, mask)
    nothing.release()
  }
  return mask
}

/** Client and helper: m of a step. The caller releases it. */
export function outputMask(ch: Streams, { index, size }: PlannedStep, inference: number): Region {
  return ch.take({ purpose: Purpose.outputMask, layer: index, inference }, size * 4)
}

/** Helper: u = F∗r - s. `source` holds r and F. The caller releases it. */
export function dealLinear(
  k: Kernels,
  step: PlannedStep,
  ch: Streams,
  source: LinearSource,
  inference: number,
): Region {
  const s = ch.take({ purpose: Purpose.blind, layer: step.index, inference }, step.size * 4)
  const u = k.memory.allocZero(step.size * 4)
  accumulate(k, step, source, u)
  sub32(k, u, s, u, step.size)
  s.release()
  return u
}

/** Client: δ = B∗r + s - m. `source` holds r and B. The caller releases it. */
export function uploadLinear(
  k: Kernels,
  step: PlannedStep,
  ch: Streams,
  source: LinearSource,
  inference: number,
): Region {
  const delta = ch.take({ purpose: Purpose.blind, layer: step.index, inference }, step.size * 4)
  accumulate(k, step, source, delta)
  const m = outputMask(ch, step, inference)
  sub32(k, delta, m, delta, step.size)
  m.release()
  return delta
}

/** Server: turns c into ŷ = W∗x̂ + c, in place. `source` holds x̂ and W. */
export function runLinear(k: Kernels, step: PlannedStep, source: LinearSource, c: Region): void {
  accumulate(k, step, source, c)
}
