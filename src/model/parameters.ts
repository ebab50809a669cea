// The tensors a layer owns, in PyTorch's names and layouts.
import type { Layer } from './layers/layers.js'
import type { Shape } from './shape.js'

/** Tensors of a layer, by PyTorch's names. */
export type TensorName = 'weight' | 'bias' | 'running_mean' | 'running_var' | 'coef'

export interface Parameter {
  readonly tensor: TensorName
  readonly shape: Shape
  /** Whether it counts as a parameter of the network; running statistics do not. */
  readonly trained: boolean
}

/**
 * conv2d: weight [cout, cin/groups, kh, kw], bias [cout]; convTranspose2d: weight [cin, cout/groups, kh, kw], bias [cout]; linear: weight [cout, n], bias [cout]; batchNorm: weight,
 * bias, running_mean, running_var, each [c]; channelScale and prelu: weight [c]; weightedSum: coef [inputs].
 */
export function parametersOf(layer: Layer): readonly Parameter[] {
  const cin = layer.inShapes[0][0]
  switch (layer.op) {
    case 'conv2d':
      return biased([layer.cout, cin / layer.groups, ...layer.kernel], layer.bias)
    case 'convTranspose2d': {
      const weight = trained('weight', [cin, layer.cout / layer.groups, ...layer.kernel])
      return layer.bias ? [weight, trained('bias', [layer.cout])] : [weight]
    }
    case 'linear':
      return biased([layer.cout, cin], layer.bias)
    case 'channelScale':
    case 'prelu':
      return [trained('weight', [cin])]
    case 'weightedSum':
      return [trained('coef', [layer.in.length])]
    case 'batchNorm':
      return [
        trained('weight', [cin]),
        trained('bias', [cin]),
        { tensor: 'running_mean', shape: [cin], trained: false },
        { tensor: 'running_var', shape: [cin], trained: false },
      ]
    default:
      return []
  }
}

function trained(tensor: TensorName, shape: Shape): Parameter {
  return { tensor, shape, trained: true }
}

function biased(shape: Shape, bias: boolean): readonly Parameter[] {
  return bias ? [trained('weight', shape), trained('bias', [shape[0]])] : [trained('weight', shape)]
}
