// The linear steps of a plan over one party's tensors and weights, in the ring of its back end. All three parties walk
// the same operations: the server over masked tensors and W, the client over masks and B, the helper over masks and F.
import type { PackedWeights } from '../kernels/conv.js'
import { scatter32, scatter64 } from '../kernels/index-maps.js'
import type { Kernels, Region } from '../kernels/instance.js'
import { uploadWords, type WordRing, wordRing } from '../kernels/words.js'
import { elementCount, type LinearOp, tensorShape } from '../plan/plan.js'
import { Purpose, type Streams } from '../random/streams.js'
import type { PlannedStep, PlannedSteps } from './step.js'

/** Client and helper: r of tensor `index`, zero where the tensor is known to be zero. The caller releases it. */
export function tensorMask(
  k: Kernels,
  { plan, steps }: PlannedSteps,
  ch: Streams,
  index: number,
  inference: number,
): Region {
  const { bytes } = wordRing(plan.ring)
  const mask = ch.take(
    { purpose: Purpose.inputMask, layer: index, inference },
    elementCount(tensorShape(plan, index)) * bytes,
  )
  const zeros = index === 0 ? null : steps[index - 1].relu?.zeros
  if (zeros) {
    const nothing = k.memory.allocZero(zeros.count * bytes)
    ;(bytes === 4 ? scatter32 : scatter64)(k, nothing, zeros, mask)
    nothing.release()
  }
  return mask
}

/** What one party puts into a linear step. */
export interface LinearSource {
  /** Tensor `index` of the plan; stays the source's. */
  tensor(index: number): Region
  /** Weights of operation `operation` of step `step`. */
  weights(step: number, operation: number): PackedWeights
  /** Whether public factors are this party's (server and client) or not (helper). */
  readonly lifts: boolean
}

/** y += the step's linear map of the source. `y`: one ring word per element. */
export function accumulate(
  k: Kernels,
  ring: number,
  { step, index }: PlannedStep,
  source: LinearSource,
  y: Region,
): void {
  const evaluation = new Evaluation(k, wordRing(ring), step.linear, index, source)
  evaluation.into(step.linear.length - 1, y)
  evaluation.release()
}

class Evaluation {
  /** Values of operations that more than one other reads. */
  readonly #kept = new Map<number, Region>()
  readonly #readers: readonly number[]

  constructor(
    private readonly k: Kernels,
    private readonly ring: WordRing,
    private readonly ops: readonly LinearOp[],
    private readonly step: number,
    private readonly source: LinearSource,
  ) {
    const readers = ops.map(() => 0)
    for (const op of ops) {
      if ('of' in op) for (const of of typeof op.of === 'number' ? [op.of] : op.of) readers[of]++
    }
    this.#readers = readers
  }

  release(): void {
    for (const value of this.#kept.values()) value.release()
  }

  /** y += value of operation `i`. */
  into(i: number, y: Region): void {
    const op = this.ops[i]
    if (this.#readers[i] > 1 && op.op !== 'zero') this.#with(i, (value) => this.#addTo(value, y, op))
    else this.#evaluate(i, op, y)
  }

  #evaluate(i: number, op: LinearOp, y: Region): void {
    if (op.op === 'conv') {
      const weights = this.source.weights(this.step, i)
      this.#with(op.of, (x) => this.ring.conv(this.k, op.geometry, x, weights, y, true))
    } else if (op.op === 'add') {
      for (const of of op.of) this.into(of, y)
    } else if (op.op !== 'zero' && !(op.op === 'lift' && !this.source.lifts)) {
      this.#with(i, (value) => this.#addTo(value, y, op))
    }
  }

  #addTo(value: Region, y: Region, { out }: LinearOp): void {
    this.ring.add(this.k, y, value, y, elementCount(out))
  }

  /** Lends the value of operation `i`; a tensor is lent as it is, what has several readers is kept for them. */
  #with(i: number, use: (value: Region) => void): void {
    const op = this.ops[i]
    const lent = op.op === 'tensor' ? this.source.tensor(op.tensor) : this.#kept.get(i)
    if (lent) {
      use(lent)
      return
    }
    const value = this.#value(i, op)
    if (this.#readers[i] > 1) this.#kept.set(i, value)
    use(value)
    if (this.#readers[i] <= 1) value.release()
  }

  #value(i: number, op: LinearOp): Region {
    const { k, ring } = this
    const bytes = elementCount(op.out) * ring.bytes
    if (op.op === 'lift' || op.op === 'scale' || op.op === 'poolSum' || op.op === 'resize' || op.op === 'embed') {
      if (op.op === 'lift' && !this.source.lifts) return k.memory.allocZero(bytes)
      const out = k.memory.alloc(bytes)
      this.#with(op.of, (x) => this.#move(op, x, out))
      return out
    }
    const out = k.memory.allocZero(bytes)
    this.#evaluate(i, op, out)
    return out
  }

  #move(
    op: Extract<LinearOp, { op: 'lift' | 'scale' | 'poolSum' | 'resize' | 'embed' }>,
    x: Region,
    out: Region,
  ): void {
    const { k, ring } = this
    const [channels, oh, ow] = op.out
    const [c, h, w] = this.ops[op.of].out
    switch (op.op) {
      case 'poolSum':
        ring.poolSum(k, { c, h, w, kernel: op.kernel, stride: op.stride, pad: op.pad, out: [oh, ow] }, x, out)
        break
      case 'resize':
        ring.resize(k, { c, h, w, rows: op.rows, columns: op.columns, bits: op.bits }, x, out)
        break
      case 'embed': {
        const [channelOffset, top, left] = op.at
        const target = { channels, h: oh, w: ow, channelOffset, top, left }
        ring.embed(k, { c, h, w, stride: op.stride, offset: op.from }, x, target, out)
        break
      }
      default:
        if (typeof op.factor === 'number') ring.scale(k, x, op.factor, out, channels * oh * ow)
        else this.#perPosition(op.factor, x, out, channels)
    }
  }

  #perPosition(factor: readonly number[], x: Region, out: Region, channels: number): void {
    const { k, ring } = this
    const bytes = factor.length * ring.bytes
    const factors = uploadWords(k, ring, factor)
    for (let c = 0; c < channels; c++) {
      ring.mul(k, x.part(c * bytes, bytes), factors, out.part(c * bytes, bytes), factor.length)
    }
    factors.release()
  }
}
