// The network in float32, as it was trained: the yardstick for every fixed-point and private run.
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import type { Layer } from '../model/layers.js'
import { checkInput } from '../model/picture-input.js'
import { type ReluSpec, resolveRelu } from '../model/relu-spec.js'
import { requireRunnable } from '../model/runnable.js'
import { elementCount } from '../model/shape.js'
import { tensorOf, type Weights } from '../model/weights.js'
import { convolve, matVec } from './conv.js'
import { addAll, averagePool, batchNorm, padMap, scaleChannels, shrinkMap } from './maps.js'
import { applyRelu } from './relu.js'

/** Called with a layer's id and values of it, which are only to be read, and only during the call. */
export type OnValue = (layerId: string, values: Float32Array) => void

/**
 * Forward pass of one input.
 * @param spec kinds of the relu layers; every one is a plain ReLU without it
 * @param input CHW, after preprocessing, of the network input's shape
 * @param onPreactivation gets every relu layer's input
 * @param onOutput gets every layer's output
 * @returns the output layer's values (logits)
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
  requireRunnable(arch)
  checkInput(input, arch.inputs[0].shape)
  const values = new Map<string, Float32Array>([[arch.inputs[0].name, input]])
  const lastUse = lastUses(arch)
  for (const [place, layer] of arch.layers.entries()) {
    const inputs = layer.in.map((id) => values.get(id)!)
    const value = runLayer(layer, inputs, weights, spec)
    if (layer.op === 'relu') onPreactivation?.(layer.id, inputs[0])
    onOutput?.(layer.id, value)
    values.set(layer.id, value)
    for (const id of layer.in) if (lastUse.get(id) === place) values.delete(id)
  }
  return values.get(arch.outputs[0])!.slice()
}

/** Place of the last layer that reads each value; outputs are kept to the end. */
function lastUses(arch: Architecture): Map<string, number> {
  const last = new Map<string, number>()
  for (const [place, layer] of arch.layers.entries()) for (const id of layer.in) last.set(id, place)
  for (const id of arch.outputs) last.delete(id)
  return last
}

function runLayer(
  layer: Layer,
  inputs: readonly Float32Array[],
  weights: Weights,
  spec: ReluSpec | undefined,
): Float32Array {
  const [x] = inputs
  const [shape] = layer.inShapes
  const tensor = (name: 'weight' | 'bias') => tensorOf(weights, layer.id, name)
  switch (layer.op) {
    case 'conv2d':
      return convolve(layer, x, tensor('weight'), layer.bias ? tensor('bias') : undefined)
    case 'linear':
      return matVec(x, tensor('weight'), layer.bias ? tensor('bias') : undefined, layer.cout)
    case 'batchNorm':
      return batchNorm(layer, x, weights)
    case 'channelScale':
      return scaleChannels(x, tensor('weight'))
    case 'relu':
      return applyRelu(resolveRelu(spec, layer), shape, x)
    case 'add':
      return addAll(inputs)
    case 'avgPool':
      return averagePool(layer, x)
    case 'globalAvgPool':
      return averagePool({ ...layer, ...WHOLE_MAP, kernel: [shape[1], shape[2]], stride: [1, 1] }, x)
    case 'pad':
      return padMap(layer, x)
    case 'subsample':
    case 'shortcutA':
      return shrinkMap(layer, x)
    case 'flatten':
    case 'identity':
      return x
    case 'zero':
      return new Float32Array(elementCount(layer.out))
    default:
      throw new RingfenceError('UNSUPPORTED', `layer "${layer.id}": op ${layer.op} cannot be run by this version`)
  }
}

const WHOLE_MAP = { op: 'avgPool', pad: [0, 0, 0, 0], ceil: false, countPad: true } as const
