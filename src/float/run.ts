// The network in float32, as it was trained: the yardstick for every fixed-point and private run.
import { type FloatKernels, loadFloatKernels } from '../kernels/float/instance.js'
import type { Architecture } from '../model/architecture.js'
import { isActivation } from '../model/layers/layers.js'
import type { ReluSpec } from '../model/relu/spec.js'
import { tailOutputs } from '../model/tail/run.js'
import { bodyOf } from '../model/tail/split.js'
import type { Weights } from '../model/weights.js'
import { FloatNetwork } from './network.js'

/** Called with a layer's id and values of it, which are only to be read, and only during the call. */
export type OnValue = (layerId: string, values: Float32Array) => void

/** One instance for all single runs; each gives its memory back. */
let kernels: FloatKernels | undefined

/**
 * Forward pass of one input. For many inputs prepare a `FloatNetwork` once.
 * @param spec kinds of the activation layers; every one is plain without it
 * @param input after preprocessing, of the network input's shape, CHW or as its `layout` says
 * @param onPreactivation gets every activation layer's input, in the order of the layers
 * @param onOutput gets every layer's output
 * @returns the first output's values; `FloatNetwork.outputs` gives all of them
 * @throws RingfenceError UNSUPPORTED naming all layers that cannot be run; BAD_INPUT for a wrong length or a NaN
 */
export function runFloat(
  arch: Architecture,
  weights: Weights,
  spec: ReluSpec | undefined,
  input: Float32Array,
  onPreactivation?: OnValue,
  onOutput?: OnValue,
): Float32Array {
  kernels ??= loadFloatKernels()
  const { layers } = bodyOf(arch)
  const activations = layers.filter(isActivation)
  const keep = onOutput ? 'all' : onPreactivation ? activations.map((layer) => layer.in[0]) : []
  const network = FloatNetwork.prepare(arch, weights, { spec, keep, kernels })
  try {
    if (!onPreactivation && !onOutput) return network.outputs(input)[arch.outputs[0]].data
    const pass = network.start(input)
    try {
      for (const layer of layers) {
        if (isActivation(layer)) onPreactivation?.(layer.id, pass.view(layer.in[0]))
        onOutput?.(layer.id, pass.view(layer.id))
      }
      return tailOutputs(arch, pass.output(), onOutput)[arch.outputs[0]].data
    } finally {
      pass.release()
    }
  } finally {
    network.release()
  }
}
