// What each node of a TF.js graph model becomes.
import { quote } from '../../model/json/fields.js'
import { formatShape } from '../../model/shape.js'
import type { DraftTensor, Value } from '../arch-draft.js'
import { bilinearMode, COORDINATES, isNearest, ROUNDINGS } from '../resize-sampling.js'
import { channelsLast, madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

/** What can be fused after a bias, by Keras's names. */
const FUSED: Readonly<Record<string, string>> = {
  Relu: 'relu',
  Relu6: 'relu6',
  LeakyRelu: 'leaky_relu',
  Prelu: 'prelu',
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
      return n.activation(after === undefined ? 'linear' : FUSED[after], made, n.isLast, '/activation')
    },
  }
}

/** Fused ops that cannot be converted: all but a BiasAdd and one activation after it. */
export function unknownFusedOps(n: NodeReader): readonly string[] {
  const ops = n.texts('fused_ops')
  const rest = ops[0] === 'BiasAdd' ? ops.slice(1) : ops
  return rest.filter((op, i) => i > 0 || !Object.hasOwn(FUSED, op))
}

const conv: NodeRead = (n) => convolution(n, (x, kernel, window, bias) => n.conv(x, kernel, window, bias))
const depthwise: NodeRead = (n) => convolution(n, (x, kernel, window, bias) => n.depthwise(x, kernel, window, bias))

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

const matMul: NodeRead = (n) => {
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

const batchNorm: NodeRead = (n) => {
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => n.floats(index))
  const x = n.value()
  if (n.flag('is_training')) return n.fault('is_training: expected false; save the model for inference')
  if (!n.window() || !gamma || !beta || !mean || !variance || !x) return undefined
  return madeOf(n.batchNorm(x, n.number('epsilon', 1e-4), { gamma, beta, mean, variance }))
}

function pool(kind: 'max' | 'avg'): NodeRead {
  return (n) => {
    const x = n.value()
    const kernel = n.spatial('ksize')
    const window = n.window()
    return x && window && madeOf(n.pool(kind, x, kernel, window))
  }
}

/** Mean or Max over height and width. */
function globalPool(kind: 'max' | 'avg'): NodeRead {
  return (n) => {
    const axes = n.integers(1)
    const x = n.value()
    if (!axes || !x) return undefined
    const places = new Set(axes.map((axis) => (axis < 0 ? axis + 4 : axis)))
    if (places.size !== 2 || !places.has(1) || !places.has(2))
      return n.fault(`axes: expected [1,2], got ${quote(axes)}`)
    return madeOf(n.globalPool(kind, x, n.flag('keep_dims')))
  }
}

const isTensor = (n: NodeReader, index: number) => {
  const known = n.inputs[index]
  return known !== undefined && 'tensor' in known
}

const add: NodeRead = (n) => {
  const side = n.inputs.length === 2 ? [1, 0].find((index) => isTensor(n, index)) : undefined
  if (side !== undefined) return offset(n, 1 - side, side, (v) => v)
  const values = n.inputs.map((_, index) => n.value(index))
  return n.failed || values.length === 0 ? undefined : madeOf(n.add(values as Value[]))
}

/** Of a constant, from a constant, or of two values. */
const subtract: NodeRead = (n) => {
  if (isTensor(n, 1)) return offset(n, 0, 1, (v) => -v)
  const x = n.value(1)
  const negative = x && n.negative(x)
  if (!negative) return undefined
  if (!isTensor(n, 0)) {
    const first = n.value(0)
    return first && madeOf(n.add([first, negative]))
  }
  const bias = n.perChannel(0, x)
  return bias && madeOf(n.bias(negative, bias))
}

const negate: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.negative(x))
}

/** Maximum or Minimum of a value and a number: max(x, a) is relu(x - a) + a, min(x, b) is b - relu(b - x). */
function extreme(kind: 'max' | 'min'): NodeRead {
  return (n) => {
    const side = [0, 1].find((index) => isTensor(n, index))
    if (side === undefined) return n.fault('expected a value and a constant; of two values it cannot be computed')
    const bound = n.scalar(side)
    const x = n.value(1 - side)
    return x && bound !== undefined
      ? madeOf(n.bounded(x, kind === 'max' ? { low: bound } : { high: bound }))
      : undefined
  }
}

function offset(n: NodeReader, of: number, constant: number, change: (v: number) => number): TfKnown | undefined {
  const x = n.value(of)
  const bias = x && n.perChannel(constant, x, change)
  return bias && madeOf(n.bias(x, bias))
}

const PRODUCT =
  'it multiplies two computed values, which no layer can: gates, squeeze-excite, hard-swish and SiLU take such products; train the network with ReLU or ReLU6 in their place'

const multiply: NodeRead = (n) => {
  const side = isTensor(n, 1) ? 1 : 0
  if (!isTensor(n, side) && n.inputs.every((known) => known)) {
    n.draft.code = 'UNSUPPORTED'
    return n.fault(PRODUCT)
  }
  return factor(n, 1 - side, side, (v) => v)
}

const divide: NodeRead = (n) => factor(n, 0, 1, (v) => 1 / v)

function factor(n: NodeReader, of: number, constant: number, change: (v: number) => number): TfKnown | undefined {
  const x = n.value(of)
  const weight = x && n.perChannel(constant, x, change)
  return weight && madeOf(n.scale(x, weight))
}

function activation(kind: string): NodeRead {
  return (n) => {
    const x = n.value()
    return x && madeOf(n.activation(kind, x, n.isLast))
  }
}

const leakyRelu: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.leakyRelu(x, n.number('alpha', 0.2)))
}

const prelu: NodeRead = (n) => {
  const x = n.value()
  const slopes = n.floats(1)
  return x && slopes && madeOf(n.prelu(x, slopes))
}

const clip: NodeRead = (n) => {
  const x = n.value()
  const [min, max] = [n.scalar(1), n.scalar(2)]
  return x && min !== undefined && max !== undefined ? madeOf(n.layer({ op: 'clip', min, max }, [x])) : undefined
}

const pad: NodeRead = (n) => {
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

function resize(mode: 'nearest' | 'bilinear'): NodeRead {
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

const reshape: NodeRead = (n) => {
  const target = n.integers(1)
  const known = n.inputs[0]
  if (!target || !known) return undefined
  if ('tensor' in known) return n.fault('expected a computed value, got a constant')
  if (target[0] !== -1 && target[0] !== n.batch) return n.fault(`shape: expected the batch first, got ${quote(target)}`)
  return madeOf(n.reshape(known.value, target.slice(1)))
}

const squeeze: NodeRead = (n) => {
  const x = n.value()
  if (!x) return undefined
  const dims = channelsLast(n.batch, x)
  const given = n.integerList('squeeze_dims')
  const axes =
    given.length > 0 ? given.map((axis) => (axis < 0 ? axis + dims.length : axis)) : dims.map((_, i) => i).slice(1)
  const gone = new Set(axes.filter((axis) => given.length > 0 || dims[axis] === 1))
  if ([...gone].some((axis) => axis === 0 || dims[axis] !== 1))
    return n.fault(`squeeze_dims: expected axes of size 1, got ${quote(given)}`)
  return madeOf(
    n.reshape(
      x,
      dims.filter((_, axis) => axis > 0 && !gone.has(axis)),
    ),
  )
}

const concat: NodeRead = (n) => {
  const last = n.inputs.length - 1
  const axis = n.scalar(Math.max(last, 0))
  const places = [...n.inputs.keys()].filter((index) => index < last)
  if (isTensor(n, 0))
    return list(
      n,
      places.map((index) => n.integers(index)),
    )
  const values = places.map((index) => n.value(index))
  if (n.failed || axis === undefined) return undefined
  if (values.length === 0) return n.fault('expected values and an axis, got one input')
  const inputs = values as Value[]
  if (axis !== -1 && axis !== inputs[0].shape.length) return n.fault(`axis: expected the last, got ${axis}`)
  return madeOf(n.concat(inputs))
}

/** Integers of known lists one after another. */
function list(n: NodeReader, lists: readonly (readonly number[] | undefined)[]): TfKnown | undefined {
  if (lists.some((part) => part === undefined)) return undefined
  const integers = lists.flatMap((part) => part!)
  if (integers.length > 64) return n.fault(`expected a short list of sizes, got ${integers.length}`)
  return { tensor: { shape: [integers.length], integers, from: quote(n.name) } }
}

const pack: NodeRead = (n) =>
  list(
    n,
    n.inputs.map((_, index) => n.integers(index)),
  )

/** Sizes of a value, for a reshape that keeps the batch. */
const shape: NodeRead = (n) => {
  const x = n.value()
  return x && list(n, [channelsLast(n.batch, x)])
}

/** One element or a run of a list of sizes. */
const stridedSlice: NodeRead = (n) => {
  const known = n.inputs[0]
  if (known && 'value' in known) return n.fault('expected a slice of a list of sizes, got one of a map')
  const [sizes, begin, end, step] = [0, 1, 2, 3].map((index) => n.integers(index))
  if (!sizes || !begin || !end || !step) return undefined
  if (begin.length !== 1 || end.length !== 1 || step[0] !== 1) return n.fault('expected a run of a list of sizes')
  const place = (i: number) => (i < 0 ? i + sizes.length : i)
  const first = n.integer('begin_mask') === 1 ? 0 : place(begin[0])
  if (n.integer('shrink_axis_mask') === 1) {
    const size = sizes[first]
    if (size === undefined) return n.fault(`begin: expected a place in ${quote(sizes)}, got ${begin[0]}`)
    return { tensor: { shape: [], integers: [size], from: quote(n.name) } }
  }
  return list(n, [sizes.slice(first, n.integer('end_mask') === 1 ? sizes.length : place(end[0]))])
}

const same: NodeRead = (n) =>
  n.inputs[0] ?? (n.node.inputs.length === 0 ? n.fault('expected an input, got none') : undefined)

const softmax: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.softmax(x, n.isLast))
}

/** |x| is x where it is positive, -x elsewhere. */
const absolute: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.leakyRelu(x, -1))
}

export const NODE_READERS: ReadonlyMap<string, NodeRead> = new Map(
  Object.entries({
    Abs: absolute,
    Add: add,
    AddN: add,
    AddV2: add,
    AvgPool: pool('avg'),
    BiasAdd: (n) => offset(n, 0, 1, (v) => v),
    ClipByValue: clip,
    ConcatV2: concat,
    Conv2D: conv,
    DepthwiseConv2dNative: depthwise,
    FusedBatchNorm: batchNorm,
    FusedBatchNormV2: batchNorm,
    FusedBatchNormV3: batchNorm,
    FusedDepthwiseConv2dNative: depthwise,
    Identity: same,
    LeakyRelu: leakyRelu,
    MatMul: matMul,
    Max: globalPool('max'),
    Maximum: extreme('max'),
    MaxPool: pool('max'),
    Mean: globalPool('avg'),
    Minimum: extreme('min'),
    Mul: multiply,
    Neg: negate,
    Pack: pack,
    Pad: pad,
    PadV2: pad,
    Prelu: prelu,
    RealDiv: divide,
    Relu: activation('relu'),
    Relu6: activation('relu6'),
    Reshape: reshape,
    ResizeBilinear: resize('bilinear'),
    ResizeNearestNeighbor: resize('nearest'),
    Shape: shape,
    Sigmoid: activation('sigmoid'),
    Softmax: softmax,
    Squeeze: squeeze,
    StopGradient: same,
    StridedSlice: stridedSlice,
    Sub: subtract,
    _FusedConv2D: conv,
    _FusedMatMul: matMul,
  } satisfies Record<string, NodeRead>),
)
