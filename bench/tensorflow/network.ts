// A whole network in TensorFlow.js, as well as it can be put there: NHWC, batch norms folded, bias and ReLU fused.
import { affineOf, foldAffine } from '../../src/float/affine.js'
import type { Architecture } from '../../src/model/architecture.js'
import type { Layer, LayerOf } from '../../src/model/layers/layers.js'
import { tensorOf, type Weights } from '../../src/model/weights.js'
import type { load } from './matrix.js'

type Tf = Awaited<ReturnType<typeof load>>
type Tensor = ReturnType<Tf['tensor']>
type Tensor4D = ReturnType<Tf['tensor4d']>
type Run = (inputs: Tensor[]) => Tensor

interface Step {
  readonly inputs: readonly string[]
  readonly output: string
  readonly run: Run
}

/** Runs a batch, CHW inputs one after another, and reads the logits back. */
export function tensorflowNetwork(tf: Tf, arch: Architecture, weights: Weights, batch: number) {
  const steps = stepsOf(tf, arch, weights)
  const [c, h, w] = arch.inputs[0].shape
  return (inputs: Float32Array): Float32Array =>
    tf.tidy(() => {
      const x = tf.transpose(tf.tensor4d(inputs, [batch, c, h, w]), [0, 2, 3, 1])
      const values = new Map<string, Tensor>([[arch.inputs[0].name, x]])
      for (const { inputs: ids, output, run } of steps) {
        values.set(output, run(ids.map((id) => values.get(id)!)))
      }
      return values.get(arch.outputs[0])!.dataSync() as Float32Array
    })
}

function stepsOf(tf: Tf, arch: Architecture, weights: Weights): Step[] {
  const steps: Step[] = []
  const merged = new Set<string>()
  for (const layer of arch.layers) {
    if (merged.has(layer.id)) continue
    if (layer.op !== 'conv2d') {
      steps.push({ inputs: layer.in, output: layer.id, run: simple(tf, layer, weights) })
      continue
    }
    const norm = arch.layers.find((next) => next.op === 'batchNorm' && next.in[0] === layer.id)!
    const readers = arch.layers.filter((next) => next.in.includes(norm.id))
    const relu = readers.length === 1 && readers[0].op === 'relu' ? readers[0] : undefined
    merged.add(norm.id)
    if (relu) merged.add(relu.id)
    const run = convolution(tf, layer, norm, relu !== undefined, weights)
    steps.push({ inputs: layer.in, output: (relu ?? norm).id, run })
  }
  return steps
}

function convolution(tf: Tf, layer: LayerOf<'conv2d'>, norm: Layer, relu: boolean, weights: Weights): Run {
  const bound = layer.bias ? tensorOf(weights, layer.id, 'bias') : undefined
  const { weight, bias } = foldAffine(tensorOf(weights, layer.id, 'weight'), bound, affineOf([norm], weights))
  const cin = layer.inShapes[0][0]
  const filter = tf.keep(tf.transpose(tf.tensor4d(weight, [layer.cout, cin, ...layer.kernel]), [2, 3, 1, 0]))
  const shift = tf.keep(tf.tensor1d(bias))
  const [top, left, bottom, right] = layer.pad
  const pad = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ] as [[0, 0], [number, number], [number, number], [0, 0]]
  const strides = [...layer.stride] as [number, number]
  const activation = relu ? 'relu' : 'linear'
  return ([x]) => tf.fused.conv2d({ x: x as Tensor4D, filter, strides, pad, bias: shift, activation })
}

function simple(tf: Tf, layer: Layer, weights: Weights): Run {
  switch (layer.op) {
    case 'relu':
      return ([x]) => tf.relu(x)
    case 'add':
      return ([a, b]) => tf.add(a, b)
    case 'globalAvgPool':
      return ([x]) => tf.mean(x, [1, 2])
    case 'flatten':
      return ([x]) => x
    case 'linear': {
      const n = layer.inShapes[0][0]
      const matrix = tf.keep(tf.tensor2d(tensorOf(weights, layer.id, 'weight'), [layer.cout, n]))
      const bias = tf.keep(tf.tensor1d(tensorOf(weights, layer.id, 'bias')))
      return ([x]) => tf.add(tf.matMul(x as typeof matrix, matrix, false, true), bias)
    }
    default:
      throw new RangeError(`the float bench has no ${layer.op} in TensorFlow.js`)
  }
}
