// Ranges and what comparisons look like near zero, as one thread measures them.
import { FloatNetwork } from '../../float/network.js'
import type { FloatPass } from '../../float/pass.js'
import type { Architecture } from '../../model/architecture.js'
import { effectiveOp } from '../../model/layers/layers.js'
import { type ReluLayout, reluLayout } from '../../model/relu/layout.js'
import { type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import { asMap } from '../../model/shape.js'
import type { Weights } from '../../model/weights.js'
import { largest, rangeSources } from '../../plan/calibrate.js'
import { activationLayers } from '../distortion/table.js'

/** The network whose ranges are measured. */
export interface RangesSetup {
  readonly arch: Architecture
  readonly weights: Weights
  readonly spec: ReluSpec | undefined
}

export interface RangesTask {
  readonly inputs: readonly Float32Array[]
}

/** Bins of absolute values: a float32's exponent and the upper four bits of its mantissa, 16 bins an octave. */
export const BINS = 4096
const MANTISSA_BITS = 19

/** Of one activation layer, summed over inputs. */
export interface LayerSample {
  /** Largest absolute input per channel. */
  readonly channelMax: Float32Array
  /** Comparisons by the absolute value that is compared (of a block: its sum by the next power of two). */
  readonly counts: Float64Array
  /** Squares of the values that each of these comparisons switches. */
  readonly energy: Float64Array
  /** Squares of the layer's outputs. */
  readonly output: number
}

export interface RangesPart {
  readonly inputs: number
  readonly maxAbs: Readonly<Record<string, number>>
  /** What all inputs but the one that reaches furthest reach, range by range; 0 of a single input. */
  readonly nextAbs: Readonly<Record<string, number>>
  /** By layer id. */
  readonly layers: ReadonlyMap<string, LayerSample>
}

/** The geometric middle of a bin. */
export function binValue(bin: number): number {
  const bits = Uint32Array.of(((bin << MANTISSA_BITS) | (1 << (MANTISSA_BITS - 1))) >>> 0)
  return bin === 0 ? 0 : new Float32Array(bits.buffer)[0]
}

export function rangesJob(setup: RangesSetup) {
  return new RangesPost(setup)
}

class RangesPost {
  readonly #network: FloatNetwork
  readonly #sources: readonly (readonly [id: string, value: string])[]
  readonly #layouts: ReadonlyMap<string, ReluLayout>

  constructor(private readonly setup: RangesSetup) {
    const { arch, weights, spec } = setup
    this.#sources = rangeSources(arch, spec)
    const keep = this.#sources.map(([, value]) => value)
    this.#network = FloatNetwork.prepare(arch, weights, { spec, keep })
    const layers = activationLayers(arch)
    this.#layouts = new Map(layers.map((layer) => [layer.id, reluLayout(resolveRelu(spec, layer), layer.out)]))
  }

  run({ inputs }: RangesTask): RangesPart {
    const { arch } = this.setup
    const maxAbs = Object.fromEntries(this.#sources.map(([id]) => [id, 0]))
    const nextAbs = { ...maxAbs }
    const tallies = new Map(activationLayers(arch).map((layer) => [layer.id, new Tally(asMap(layer.out)[0])]))
    for (const input of inputs) {
      const pass = this.#network.start(input)
      for (const [id, most] of this.#reaches(pass)) {
        nextAbs[id] = Math.max(nextAbs[id], Math.min(maxAbs[id], most))
        maxAbs[id] = Math.max(maxAbs[id], most)
      }
      for (const layer of activationLayers(arch)) {
        const tally = tallies.get(layer.id)!
        const values = pass.view(layer.in[0])
        const op = effectiveOp(layer)
        tally.add(values, this.#layouts.get(layer.id)!, op.op === 'clip' ? [op.min, op.max] : [0])
      }
      pass.release()
    }
    const layers = new Map([...tallies].map(([id, tally]) => [id, tally.sample()]))
    return { inputs: inputs.length, maxAbs, nextAbs, layers }
  }

  /** Largest absolute values of one input; a range may have two places. */
  #reaches(pass: FloatPass): Map<string, number> {
    const reached = new Map<string, number>()
    for (const [id, value] of this.#sources) {
      reached.set(id, Math.max(reached.get(id) ?? 0, largest(pass.view(value))))
    }
    return reached
  }

  release(): void {
    this.#network.release()
  }
}

class Tally {
  readonly #channelMax: Float32Array
  readonly #counts = new Float64Array(BINS)
  readonly #energy = new Float64Array(BINS)
  #output = 0
  readonly #float = new Float32Array(1)
  readonly #bits = new Uint32Array(this.#float.buffer)

  constructor(channels: number) {
    this.#channelMax = new Float32Array(channels)
  }

  sample(): LayerSample {
    const [channelMax, counts, energy] = [this.#channelMax, this.#counts, this.#energy]
    return { channelMax, counts, energy, output: this.#output }
  }

  add(values: Float32Array, layout: ReluLayout, bounds: readonly number[]): void {
    const plane = values.length / this.#channelMax.length
    for (let c = 0; c < this.#channelMax.length; c++) {
      this.#channelMax[c] = Math.max(this.#channelMax[c], largest(values.subarray(c * plane, (c + 1) * plane)))
    }
    const { switched, group, singles, identity, patches } = layout
    for (let s = 0; s < switched.length; s++) {
      const value = values[switched[s]]
      if (value > 0) this.#output += value * value
      if (group[s] < singles) for (const bound of bounds) this.#compare(value - bound, (value - bound) ** 2)
    }
    for (let i = 0; i < identity.length; i++) this.#output += values[identity[i]] ** 2
    for (let p = 0; p < patches; p++) this.#patch(values, layout, p, bounds)
  }

  #patch(values: Float32Array, layout: ReluLayout, p: number, bounds: readonly number[]): void {
    const [from, to] = [layout.patchStart[p], layout.patchStart[p + 1]]
    const scale = 2 ** -layout.patchShift[p]
    for (const bound of bounds) {
      let [sum, energy] = [0, 0]
      for (let i = from; i < to; i++) {
        const value = values[layout.patchElements[i]] - bound
        sum += value
        energy += value * value
      }
      this.#compare(sum * scale, energy)
    }
  }

  #compare(tested: number, energy: number): void {
    this.#float[0] = Math.abs(tested)
    const bin = this.#bits[0] >>> MANTISSA_BITS
    this.#counts[bin]++
    this.#energy[bin] += energy
  }
}
