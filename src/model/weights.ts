// Ties the tensors of a weight file to the layers of an architecture.
import { RingfenceError } from '../errors.js'
import type { Architecture, WeightNames } from './architecture.js'
import { quote } from './json/fields.js'
import { summary } from './json/file.js'
import type { Layer } from './layers/layers.js'
import { type Parameter, parametersOf, type TensorName } from './parameters.js'
import type { Tensor } from './safetensors.js'
import { elementCount, formatShape, type Shape, sameShape } from './shape.js'

/** Row-major float32, in the shapes of `parametersOf`. */
export type LayerTensors = Readonly<Partial<Record<TensorName, Float32Array>>>
/** By layer id; only layers that own tensors are in it. */
export type Weights = ReadonlyMap<string, LayerTensors>

/** Written by PyTorch beside a batch norm's statistics; no inference needs it. */
const IGNORED = /(^|\.)num_batches_tracked$/

/**
 * Finds, checks and collects every tensor of every layer.
 * @throws RingfenceError BAD_FILE listing all missing, unused, wrongly shaped and non-finite tensors; UNSUPPORTED for a
 *   layout other than PyTorch's
 */
export function bindWeights(
  arch: Architecture,
  tensors: ReadonlyMap<string, Tensor>,
  source = 'weights.safetensors',
): Weights {
  if (arch.weights.layout !== 'torch') {
    const text = `${source}: weights in layout ${quote(arch.weights.layout)} cannot be read by this version`
    throw new RingfenceError('UNSUPPORTED', `${text}; expected layout "torch"`)
  }
  const problems: string[] = []
  const stripped = stripNames(tensors, arch.weights, problems)
  const used = new Set<string>()
  const weights = new Map<string, LayerTensors>()
  for (const layer of arch.layers) {
    const parameters = parametersOf(layer)
    if (parameters.length === 0) continue
    const bound: Partial<Record<TensorName, Float32Array>> = {}
    for (const parameter of parameters) {
      const name = fileName(layer, parameter.tensor, arch.weights)
      used.add(name)
      const data = take(stripped.get(name), name, layer, parameter, problems)
      if (data) bound[parameter.tensor] = data
    }
    weights.set(layer.id, bound)
  }
  for (const [name, { shape }] of stripped) {
    if (used.has(name) || IGNORED.test(name)) continue
    problems.push(`tensor ${quote(name)} ${formatShape(shape)}: no layer of network ${quote(arch.name)} uses it`)
  }
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return weights
}

/** One tensor of one layer. @throws RingfenceError BAD_INPUT when `weights` were not bound to the layer's network */
export function tensorOf(weights: Weights, layerId: string, tensor: TensorName): Float32Array {
  const data = weights.get(layerId)?.[tensor]
  if (data) return data
  throw new RingfenceError(
    'BAD_INPUT',
    `layer ${quote(layerId)}: expected a tensor ${quote(tensor)} in the weights, got none`,
  )
}

/** The way back: named tensors with shapes, as `writeSafetensors` takes them and `bindWeights` finds them. */
export function namedTensors(arch: Architecture, weights: Weights): Map<string, { shape: Shape; data: Float32Array }> {
  const named = new Map<string, { shape: Shape; data: Float32Array }>()
  for (const layer of arch.layers) {
    for (const { tensor, shape } of parametersOf(layer)) {
      named.set(fileName(layer, tensor, arch.weights), { shape, data: tensorOf(weights, layer.id, tensor) })
    }
  }
  return named
}

/** Names of all tensors that the network needs, as its file gives them, without prefixes. */
export function requiredNames(arch: Architecture): string[] {
  return arch.layers.flatMap((layer) => parametersOf(layer).map(({ tensor }) => fileName(layer, tensor, arch.weights)))
}

function stripNames(tensors: ReadonlyMap<string, Tensor>, names: WeightNames, problems: string[]): Map<string, Tensor> {
  const fronts = [names.unwrap && `${names.unwrap}.`, names.stripPrefix]
  const stripped = new Map<string, Tensor>()
  for (const [full, tensor] of tensors) {
    let name = full
    for (const front of fronts) if (front && name.startsWith(front)) name = name.slice(front.length)
    if (stripped.has(name))
      problems.push(`tensor ${quote(full)}: another tensor is ${quote(name)} too once its prefix is gone`)
    stripped.set(name, tensor)
  }
  return stripped
}

/** The layer's own override first, then the file's map (tensor, then layer), then `<layer id>.<tensor>`. */
function fileName(layer: Layer, tensor: TensorName, { map }: WeightNames): string {
  if (Object.hasOwn(layer.tensors, tensor)) return layer.tensors[tensor]
  const name = tensor === 'coef' && layer.op === 'weightedSum' ? layer.coef : `${layer.id}.${tensor}`
  if (Object.hasOwn(map, name)) return map[name]
  return Object.hasOwn(map, layer.id) ? `${map[layer.id]}.${tensor}` : name
}

function take(
  tensor: Tensor | undefined,
  name: string,
  layer: Layer,
  parameter: Parameter,
  problems: string[],
): Float32Array | undefined {
  const expected = `${parameter.tensor} ${formatShape(parameter.shape)}`
  const fault = (text: string) => {
    problems.push(`layer ${quote(layer.id)} (${layer.op}): expected ${expected} as tensor ${quote(name)}, ${text}`)
    return undefined
  }
  if (!tensor) return fault('found none')
  if (!tensor.data) return fault(`got elements of type ${tensor.dtype}; expected F32, F64, F16 or BF16`)
  if (!sameShape(tensor.shape, parameter.shape)) return fault(`got ${formatShape(tensor.shape)}`)
  const wrong = nonFinite(tensor.data)
  if (wrong > 0) return fault(`got ${wrong} of ${elementCount(tensor.shape)} values that are not finite`)
  if (parameter.tensor === 'running_var' && tensor.data.some((x) => x < 0)) return fault('got a negative variance')
  return tensor.data
}

function nonFinite(data: Float32Array): number {
  let count = 0
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) count++
  return count
}
