// Networks that are measured but not shipped: their architecture files, and random weights to run them with.
import type { Architecture } from '../src/model/architecture.js'
import { parametersOf, type TensorName } from '../src/model/parameters.js'
import { elementCount, type Shape } from '../src/model/shape.js'
import type { LayerTensors } from '../src/model/weights.js'

interface LayerFile {
  readonly id: string
  readonly op: string
  readonly in: readonly string[]
  readonly [field: string]: unknown
}

/**
 * `arch/1` file of ResNet-18 for 32x32 pictures: 3x3 stem, four stages of two basic blocks (64, 128, 256, 512
 * channels), projection shortcuts, ReLU after the stem and twice a block. 557,056 ReLUs, 555,468,800 multiplications.
 */
export function resnet18Cifar100(classes = 100): unknown {
  const layers: LayerFile[] = [...convNorm('conv1', 'bn1', 'x', 64, 3, 1), relu('relu', 'bn1')]
  let from = 'relu'
  for (const [stage, width] of [64, 128, 256, 512].entries()) {
    for (const block of [0, 1]) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      layers.push(...basicBlock(`layer${stage + 1}.${block}`, from, width, stride))
      from = `layer${stage + 1}.${block}.relu2`
    }
  }
  layers.push({ id: 'gap', op: 'globalAvgPool', in: [from] }, { id: 'flatten', op: 'flatten', in: ['gap'] })
  layers.push({ id: 'fc', op: 'linear', in: ['flatten'], cout: classes, bias: true })
  const preprocess = { scale: 1 / 255, mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] }
  const inputs = [{ name: 'x', shape: [3, 32, 32], preprocess }]
  return { format: 'arch/1', name: 'resnet18-cifar100', inputs, outputs: ['fc'], layers, weights: { layout: 'torch' } }
}

function basicBlock(id: string, from: string, width: number, stride: number): LayerFile[] {
  const layers = [
    ...convNorm(`${id}.conv1`, `${id}.bn1`, from, width, 3, stride),
    relu(`${id}.relu1`, `${id}.bn1`),
    ...convNorm(`${id}.conv2`, `${id}.bn2`, `${id}.relu1`, width, 3, 1),
  ]
  let shortcut = from
  if (stride !== 1) {
    layers.push(...convNorm(`${id}.shortcut.0`, `${id}.shortcut.1`, from, width, 1, stride))
    shortcut = `${id}.shortcut.1`
  }
  layers.push({ id: `${id}.add`, op: 'add', in: [`${id}.bn2`, shortcut] }, relu(`${id}.relu2`, `${id}.add`))
  return layers
}

function convNorm(conv: string, norm: string, from: string, cout: number, size: number, stride: number): LayerFile[] {
  const edge = (size - 1) / 2
  const window = { kernel: [size, size], stride: [stride, stride], pad: [edge, edge, edge, edge] }
  return [
    { id: conv, op: 'conv2d', in: [from], cout, ...window, dilation: [1, 1], groups: 1, bias: false },
    { id: norm, op: 'batchNorm', in: [conv], eps: 1e-5 },
  ]
}

function relu(id: string, from: string): LayerFile {
  return { id, op: 'relu', in: [from] }
}

/**
 * Weights of any network, the same for the same seed: uniform after He et al. (2015) for convolutions and linear
 * layers, batch norms near the identity. The last batch norm before an addition is damped, so that values stay within
 * about 16 for inputs of about 2.
 */
export function randomWeights(arch: Architecture, seed: number): Map<string, LayerTensors> {
  const random = uniform(seed)
  const damped = new Set(arch.layers.flatMap((layer) => (layer.op === 'add' ? layer.in.slice(0, 1) : [])))
  const weights = new Map<string, LayerTensors>()
  for (const layer of arch.layers) {
    const tensors: Partial<Record<TensorName, Float32Array>> = {}
    for (const { tensor, shape } of parametersOf(layer)) {
      const [low, high] = range(layer.op, tensor, shape, damped.has(layer.id))
      const data = new Float32Array(elementCount(shape))
      for (let i = 0; i < data.length; i++) data[i] = low + (high - low) * random()
      tensors[tensor] = data
    }
    if (Object.keys(tensors).length > 0) weights.set(layer.id, tensors)
  }
  return weights
}

function range(op: string, tensor: TensorName, shape: Shape, damped: boolean): readonly [number, number] {
  if (tensor === 'running_var') return [0.8, 1.25]
  if (tensor === 'running_mean' || tensor === 'bias') return [-0.1, 0.1]
  if (op === 'batchNorm') return damped ? [0.25, 0.45] : [0.65, 1.05]
  if (op === 'channelScale') return [0.5, 1.5]
  const fanIn = elementCount(shape.slice(1))
  const bound = Math.sqrt((op === 'linear' ? 3 : 6) / fanIn)
  return [-bound, bound]
}

/** mulberry32: 32 bits of state, values in [0, 1). Good enough for weights, for nothing secret. */
function uniform(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}
