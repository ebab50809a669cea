// What TensorFlow fuses into a convolution or a matrix: a bias, then an activation.
import type { DraftTensor, Value } from '../../arch-draft.js'
import type { NodeReader } from './node.js'

/** What can be fused after a bias, by Keras's names. */
const FUSED: Readonly<Record<string, string>> = {
  Relu: 'relu',
  Relu6: 'relu6',
  Elu: 'elu',
  LeakyRelu: 'leaky_relu',
  Prelu: 'prelu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
}

interface Fused {
  readonly bias: DraftTensor | undefined
  activate(made: Value): Value | undefined
}

/** A bias (input 2 of a fused node) and the activation after it, whose slopes are the input behind it. */
export function fused(n: NodeReader): Fused {
  const [first, after] = n.texts('fused_ops')
  const bias = first === 'BiasAdd' ? n.floats(2) : undefined
  const slopes = after === 'Prelu' ? n.floats(3) : undefined
  return {
    bias,
    activate(made) {
      if (after === 'Prelu') return slopes && n.prelu(made, slopes, '/activation')
      if (after === 'LeakyRelu') return n.leakyRelu(made, n.number('leakyrelu_alpha', 0.2), '/activation')
      return n.activation(after === undefined ? 'linear' : FUSED[after], made, '/activation')
    },
  }
}

/** Fused ops that cannot be converted: all but a BiasAdd and one activation after it; TF.js skips one without a bias. */
export function unknownFusedOps(n: NodeReader): readonly string[] {
  const [first, ...rest] = n.texts('fused_ops')
  if (first === undefined) return []
  return [...(first === 'BiasAdd' ? [] : [first]), ...rest.filter((op, i) => i > 0 || !Object.hasOwn(FUSED, op))]
}
