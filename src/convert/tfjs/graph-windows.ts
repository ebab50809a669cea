// Nodes of a TF.js graph model that slide a window over a map, multiply by a matrix, or make a map of another size.
import { quote } from '../../model/json/fields.js'
import { formatShape } from '../../model/shape.js'
import type { DraftTensor, Value } from '../arch-draft.js'
import { bilinearMode, COORDINATES, isNearest, ROUNDINGS } from '../resize-sampling.js'
import { reachOf } from '../window-padding.js'
import { summed } from './graph-elements.js'
import { madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

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

/** A convolution's bias (input 2 of a fused node) and the activation after it, whose slopes are the input behind it. */
function fused(n: NodeReader): Fused {
  const ops = n.texts('fused_ops')
  const bias = ops[0] === 'BiasAdd' ? n.floats(2) : undefined
  const after = ops.find((op) => op !== 'BiasAdd')
  const slopes = after === 'Prelu' ? n.floats(bias ? 3 : 2) : undefined
  return {
    bias,
    activate(made) {
      if (after === 'Prelu') return slopes && n.prelu(made, slopes, '/activation')
      if (after === 'LeakyRelu') return n.leakyRelu(made, n.number('leakyrelu_alpha', 0.2), '/activation')
      return n.activation(after === undefined ? 'linear' : FUSED[after], made, '/activation')
    },
  }
}

/** Fused ops that cannot be converted: all but a BiasAdd and one activation after it. */
export function unknownFusedOps(n: NodeReader): readonly string[] {
  const ops = n.texts('fused_ops')
  const rest = ops[0] === 'BiasAdd' ? ops.slice(1) : ops
  return rest.filter((op, i) => i > 0 || !Object.hasOwn(FUSED, op))
}

export const conv: NodeRead = (n) => convolution(n, (x, kernel, window, bias) => n.conv(x, kernel, window, bias))

export const depthwise: NodeRead = (n) =>
  convolution(n, (x, kernel, window, bias) => n.depthwise(x, kernel, window, bias))

function convolution(
  n: NodeReader,
  emit: (...given: Parameters<typeof n.conv>) => Value | undefined,
): TfKnown | undefined {
  const kernel = n.floats(1)
  const x = n.value()
  const { bias, activate } = fused(n)
  const window = n.window()
  if (!kernel || !x || !window || n.failed) return undefined
  const made = emit(x, kernel, window, bias)
  return made && madeOf(activate(made))
}

export const matMul: NodeRead = (n) => {
  const given = n.floats(1)
  const x = n.value()
  const { bias, activate } = fused(n)
  if (n.flag('transpose_a')) return n.fault('transpose_a: expected false')
  if (!given || !x || n.failed) return undefined
  const kernel = n.flag('transpose_b') ? transposed(n, given) : given
  const made = kernel && n.dense(x, kernel, bias)
  return made && madeOf(activate(made))
}

function transposed(n: NodeReader, { shape, data, from }: DraftTensor): DraftTensor | undefined {
  const [rows, columns] = shape
  if (shape.length !== 2) return n.fault(`tensor ${from}: expected a matrix, got ${formatShape(shape)}`)
  const out = n.draft.floats(data.length)
  for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[i++]
  return { shape: [columns, rows], data: out, from }
}

export const batchNorm: NodeRead = (n) => {
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => n.floats(index))
  const x = n.value()
  if (n.flag('is_training')) return n.fault('is_training: expected false; save the model for inference')
  if (!n.window() || !gamma || !beta || !mean || !variance || !x) return undefined
  return madeOf(n.batchNorm(x, n.number('epsilon', 1e-4), { gamma, beta, mean, variance }))
}

export function pool(kind: 'max' | 'avg'): NodeRead {
  return (n) => {
    const x = n.value()
    const kernel = n.spatial('ksize')
    const window = n.window()
    return x && window && madeOf(n.pool(kind, x, kernel, window))
  }
}

/** Mean or Max over height and width. */
export function globalPool(kind: 'max' | 'avg'): NodeRead {
  return (n) => {
    const axes = n.integers(1)
    const x = n.value()
    if (!axes || !x) return undefined
    const rank = x.shape.length + 1
    const places = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))
    const keepDims = n.flag('keep_dims')
    if (rank === 4 && places.size === 2 && places.has(1) && places.has(2))
      return madeOf(n.globalPool(kind, x, keepDims))
    if (kind === 'avg' && !places.has(0)) return summed(n, x, [...places], keepDims, true)
    return n.fault(`axes: expected [1,2], got ${quote(axes)}`)
  }
}

/** Conv2DBackpropInput: the sizes that its result has, the kernel, the value. */
export const convTranspose: NodeRead = (n) => {
  const sizes = n.integers(0)
  const kernel = n.floats(1)
  const x = n.value(2)
  const window = n.window()
  if (!sizes || !kernel || !x || !window || n.failed) return undefined
  // Of four sizes or the two of rows and columns.
  const [height, width] = sizes.length === 4 ? sizes.slice(1) : sizes
  if (!(height >= 1 && width >= 1 && height < 2 ** 24 && width < 2 ** 24)) {
    return n.fault(`input_sizes: expected [batch,height,width,channels], got ${quote(sizes)}`)
  }
  const { padding, stride, dilation } = window
  const reach = reachOf([kernel.shape[0], kernel.shape[1]], dilation)
  // As many steps of the convolution, whose gradient it is, as there are rows and columns.
  const fits = [height, width].every((size, i) => {
    const edges = typeof padding === 'string' ? 0 : padding[i] + padding[i + 2]
    const steps = padding === 'same' ? size / stride[i] : (size + edges - reach[i] + 1) / stride[i]
    return Math.ceil(steps) === x.shape[i + 1]
  })
  const isKernel = kernel.shape.length === 4 && x.shape.length === 3
  if (isKernel && !fits)
    return n.fault(
      `input_sizes: ${quote(sizes)} do not fit padding, strides and dilations over ${formatShape(x.shape)}`,
    )
  return madeOf(n.convTranspose(x, kernel, window, [height, width]))
}

export const pad: NodeRead = (n) => {
  const edges = n.integers(1)
  const fill = n.inputs.length > 2 ? n.scalar(2) : 0
  const x = n.value()
  if (!edges || fill === undefined || !x) return undefined
  const fits = edges.length === 8 && edges.every((size) => size >= 0 && size < 2 ** 24) && edges[0] + edges[1] === 0
  if (!fits || x.shape.length !== 3)
    return n.fault(`paddings: expected two sizes per axis of a map, got ${quote(edges)}`)
  if (fill !== 0 && edges[6] + edges[7] > 0) return n.fault(`paddings: expected channels of zeros, got some of ${fill}`)
  const wide = n.padChannels(x, [edges[6], edges[7]])
  return wide && madeOf(n.padMap(wide, [edges[2], edges[4], edges[3], edges[5]], fill))
}

/** TensorFlow's half-pixel nearest reads the element under the centre: no half is taken off. */
const CENTRE = (scale: number) => (i: number) => (i + 0.5) / scale

export function resize(mode: 'nearest' | 'bilinear'): NodeRead {
  return (n) => {
    const size = n.integers(1)
    const x = n.value()
    if (!size || !x) return undefined
    if (size.length !== 2 || !size.every((side) => side >= 1 && side < 2 ** 24) || x.shape.length !== 3) {
      return n.fault(`size: expected [height,width] for a map, got ${quote(size)}`)
    }
    const [corners, half] = [n.flag('align_corners'), n.flag('half_pixel_centers')]
    const axes = size.map((resized, i) => ({ size: x.shape[i + 1], resized }))
    const place = COORDINATES[corners ? 'align_corners' : half ? 'half_pixel' : 'asymmetric']
    if (mode === 'bilinear') {
      const found = bilinearMode(axes, place)
      if (found) return madeOf(n.resize(x, [size[0], size[1]], found))
    }
    const round = ROUNDINGS[corners ? 'round_prefer_ceil' : 'floor']
    const isNearestHere = axes.every((axis) => {
      const at = half && !corners ? CENTRE(axis.resized / axis.size) : place(axis)
      return axis.size === 1 || isNearest(axis, at, round)
    })
    if (mode === 'nearest' && isNearestHere) return madeOf(n.resize(x, [size[0], size[1]], mode))
    return n.fault(`expected nearest (floor) or bilinear, got align_corners ${corners}, half_pixel_centers ${half}`)
  }
}

export const depthToSpace: NodeRead = (n) => {
  const x = n.value()
  const block = n.integer('block_size')
  if (n.text('data_format', 'NHWC') !== 'NHWC') return n.fault('data_format: expected NHWC (channels last)')
  if (!(block >= 1 && block <= 64)) return n.fault(`block_size: expected an integer from 1 to 64, got ${block}`)
  return x && madeOf(n.layer({ op: 'depthToSpace', block, order: 'dcr' }, [x]))
}
