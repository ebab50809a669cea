// The work behind a distortion table, as one thread does it: rows of single channels, over all inputs.
import { FloatNetwork } from '../float/network.js'
import type { FloatPass } from '../float/pass.js'
import type { Architecture } from '../model/architecture.js'
import type { Pair } from '../model/layers.js'
import type { LayerRelu } from '../model/relu-spec.js'
import { elementCount } from '../model/shape.js'
import type { Weights } from '../model/weights.js'
import { channelCount, isTooLarge } from './distortion-table.js'

export interface DistortionSetup {
  readonly arch: Architecture
  readonly weights: Weights
  readonly inputs: readonly Float32Array[]
  readonly blocks: readonly Pair[]
}

/** Channels [from, to) of a layer, one at a time; or all at once as identity. */
export type DistortionTask =
  | { readonly layer: string; readonly from: number; readonly to: number }
  | { readonly layer: string; readonly identity: true }

/** Bytes of kept values above which inputs are run anew for every task. */
const MOST_KEPT = 2 ** 29

/** Whether a thread keeps every layer's value for all inputs. */
export function keepsPasses({ arch, inputs }: Pick<DistortionSetup, 'arch' | 'inputs'>): boolean {
  const elements = arch.layers.reduce((sum, layer) => sum + elementCount(layer.out), 0)
  return 4 * elements * inputs.length <= MOST_KEPT
}

export function distortionPost(setup: DistortionSetup) {
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
   * fit), or the one number of the layer as identity. Summed in the order of the inputs.
   */
  run(task: DistortionTask): Float64Array {
    const changes = this.#changes(task)
    const sums = new Float64Array(changes.length)
    for (let i = 0; i < this.setup.inputs.length; i++) {
      const { pass, output } = this.#kept[i] ?? this.#start(i)
      changes.forEach((change, n) => {
        if (change) sums[n] += squaredDistance(output, pass.vary(new Map([[task.layer, change]])))
      })
      if (this.#kept.length === 0) pass.release()
    }
    const outputs = elementCount(this.setup.arch.byId.get(this.setup.arch.outputs[0])!.out)
    return sums.map((sum, n) => (changes[n] === undefined ? Number.NaN : sum / (this.setup.inputs.length * outputs)))
  }

  release(): void {
    for (const { pass } of this.#kept.splice(0)) pass.release()
    this.#network.release()
  }

  #start(i: number): { pass: FloatPass; output: Float32Array } {
    const pass = this.#network.start(this.setup.inputs[i])
    return { pass, output: pass.output() }
  }

  /** One kind of activation per number asked for; null leaves it plain, undefined where the block does not fit. */
  #changes(task: DistortionTask): (LayerRelu | null | undefined)[] {
    if ('identity' in task) return [{ kind: 'identity' }]
    const shape = this.setup.arch.byId.get(task.layer)!.out
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

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return sum
}
