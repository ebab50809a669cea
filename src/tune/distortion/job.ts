// The work behind a distortion table, as one thread does it: rows of single channels, over all inputs.
import { FloatNetwork } from '../../float/network.js'
import type { FloatPass } from '../../float/pass.js'
import type { Architecture } from '../../model/architecture.js'
import type { Pair } from '../../model/layers/layers.js'
import type { LayerRelu } from '../../model/relu/spec.js'
import { elementCount } from '../../model/shape.js'
import { splitNetwork } from '../../model/tail/split.js'
import type { Weights } from '../../model/weights.js'
import { channelCount, isTooLarge } from './table.js'

export interface DistortionSetup {
  readonly arch: Architecture
  readonly weights: Weights
  readonly inputs: readonly Float32Array[]
  readonly blocks: readonly Pair[]
}

/**
 * Channels [from, to) of a layer, one at a time, with every block, or with every one of their nested masks; all at once
 * as identity; or what every element of the layer changes on its way through it.
 */
export type DistortionTask =
  | { readonly layer: string; readonly from: number; readonly to: number; readonly masks?: Nested }
  | { readonly layer: string; readonly identity: true }
  | { readonly layer: string; readonly elements: true }

/** As `LayerMasks` has them. */
export interface Nested {
  readonly count: number
  readonly levels: Uint8Array
}

/** Bytes of kept values above which inputs are run anew for every task. */
const MOST_KEPT = 2 ** 29

/** Whether a thread keeps every layer's value for all inputs. */
export function keepsPasses({ arch, inputs }: Pick<DistortionSetup, 'arch' | 'inputs'>): boolean {
  const elements = arch.layers.reduce((sum, layer) => sum + elementCount(layer.out), 0)
  return 4 * elements * inputs.length <= MOST_KEPT
}

export function distortionJob(setup: DistortionSetup) {
  return new DistortionPost(setup)
}

class DistortionPost {
  readonly #network: FloatNetwork
  /** With their outputs; empty where values are not kept. */
  readonly #kept: { pass: FloatPass; output: Float32Array }[] = []

  constructor(private readonly setup: DistortionSetup) {
    this.#network = FloatNetwork.prepare(setup.arch, setup.weights, { variable: true })
    if (!keepsPasses(setup)) return
    for (const input of setup.inputs) {
      const pass = this.#network.start(input)
      this.#kept.push({ pass, output: pass.output() })
    }
  }

  /**
   * Mean squared change of the outputs over inputs and outputs, rows of one number per candidate (NaN where it does not
   * fit), or the one number of the layer as identity. Summed in the order of the inputs. Of a layer's elements: the mean
   * squared difference, over inputs, that each passes on when it is not switched.
   */
  run(task: DistortionTask): Float64Array {
    if ('elements' in task) return this.#elements(task.layer)
    const changes = this.#changes(task)
    const sums = new Float64Array(changes.length)
    for (let i = 0; i < this.setup.inputs.length; i++) {
      const { pass, output } = this.#kept[i] ?? this.#start(i)
      changes.forEach((change, n) => {
        if (change) sums[n] += squaredDistance(output, pass.vary(new Map([[task.layer, change]])))
      })
      if (this.#kept.length === 0) pass.release()
    }
    const { body } = splitNetwork(this.setup.arch)
    const outputs = body.outputs.reduce((sum, id) => sum + elementCount(body.byId.get(id)!.out), 0)
    return sums.map((sum, n) => (changes[n] === undefined ? Number.NaN : sum / (this.setup.inputs.length * outputs)))
  }

  release(): void {
    for (const { pass } of this.#kept.splice(0)) pass.release()
    this.#network.release()
  }

  #elements(id: string): Float64Array {
    const layer = this.setup.arch.byId.get(id)!
    const sums = new Float64Array(elementCount(layer.out))
    for (let i = 0; i < this.setup.inputs.length; i++) {
      const { pass } = this.#kept[i] ?? this.#start(i)
      const [before, after] = [pass.view(layer.in[0]), pass.view(id)]
      for (let e = 0; e < sums.length; e++) sums[e] += (before[e] - after[e]) ** 2
      if (this.#kept.length === 0) pass.release()
    }
    return sums.map((sum) => sum / this.setup.inputs.length)
  }

  #start(i: number): { pass: FloatPass; output: Float32Array } {
    const pass = this.#network.start(this.setup.inputs[i])
    return { pass, output: pass.output() }
  }

  /** One kind of activation per number asked for; null leaves it plain, undefined where the block does not fit. */
  #changes(task: Exclude<DistortionTask, { elements: true }>): (LayerRelu | null | undefined)[] {
    if ('identity' in task) return [{ kind: 'identity' }]
    const shape = this.setup.arch.byId.get(task.layer)!.out
    if (task.masks) return maskChanges(task, task.masks, elementCount(shape) / channelCount(shape))
    const plain = Array.from({ length: channelCount(shape) }, (): Pair => [1, 1])
    return Array.from({ length: task.to - task.from }, (_, i) =>
      this.setup.blocks.map((block) => {
        if (isTooLarge(block, shape)) return undefined
        if (block[0] === 1 && block[1] === 1) return null
        return { kind: 'block', blocks: plain.with(task.from + i, block) } as const
      }),
    ).flat()
  }
}

/** A mask that keeps a whole channel changes nothing. */
function maskChanges(
  { from, to }: { readonly from: number; readonly to: number },
  { count, levels }: Nested,
  plane: number,
): (LayerRelu | null)[] {
  return Array.from({ length: (to - from) * count }, (_, n) => {
    const [channel, mask] = [from + Math.floor(n / count), n % count]
    const bits = new Uint8Array(levels.length).fill(1)
    const own = bits.subarray(channel * plane, (channel + 1) * plane)
    for (let i = 0; i < plane; i++) own[i] = Number(levels[channel * plane + i] > mask)
    return own.every(Boolean) ? null : { kind: 'mask', bits, off: 'identity' }
  })
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return sum
}
