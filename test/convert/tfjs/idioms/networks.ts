// Random networks of what converters write: blocks one behind another, then a head.
import type { Graph, Idiom } from './graph.js'

/** A map in the making. */
interface At {
  readonly x: string
  readonly side: number
  readonly channels: number
}

class Draw {
  constructor(private state: number) {}
  upTo(count: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0
    return (this.state >>> 10) % count
  }
  of<T>(list: readonly T[]): T {
    return list[this.upTo(list.length)]
  }
}

type Block = (g: Graph, at: At, draw: Draw) => At

const SAME = { padding: 'SAME' }
const activationOf = (draw: Draw) => draw.of(['Relu', 'Relu6', 'Elu', 'Sigmoid', 'Prelu'])

const conv: Block = (g, { x, side, channels }, draw) => {
  const [k, cout, stride] = [draw.of([1, 3]), draw.of([4, 6, 8]), side > 4 ? draw.of([1, 2]) : 1]
  const name = activationOf(draw)
  const slopes = name === 'Prelu' ? [g.w(1, 1, cout)] : []
  const made = g.op('_FusedConv2D', [x, g.w(k, k, channels, cout), g.w(cout), ...slopes], {
    ...SAME,
    ...{ strides: [1, stride, stride, 1], fused_ops: ['BiasAdd', name], num_args: { i: 1 + slopes.length } },
  })
  return { x: made, side: Math.ceil(side / stride), channels: cout }
}

const depthwise: Block = (g, { x, side, channels }, draw) => {
  const dilation = draw.of([1, 2])
  const attr = { ...SAME, dilations: [1, dilation, dilation, 1], fused_ops: ['BiasAdd', 'Relu6'] }
  return { x: g.op('FusedDepthwiseConv2dNative', [x, g.w(3, 3, channels, 1), g.w(channels)], attr), side, channels }
}

const atrous: Block = (g, { x, side, channels }) => {
  const more = side % 2
  const apart = g.op('SpaceToBatchND', [x, g.ints(2, 2), g.pairs(2, 2 + more, 2, 2 + more)])
  const made = g.op('Relu', [g.op('BiasAdd', [g.op('Conv2D', [apart, g.w(3, 3, channels, 4)]), g.w(4)])])
  return { x: g.op('BatchToSpaceND', [made, g.ints(2, 2), g.pairs(0, more, 0, more)]), side, channels: 4 }
}

const norm: Block = (g, { x, side, channels }, draw) => {
  const folded = draw.upTo(2) === 0
  const made = folded
    ? g.op('AddV2', [g.op('Mul', [x, g.p(channels)]), g.w(channels)])
    : g.op('FusedBatchNormV3', [x, g.p(channels), g.w(channels), g.w(channels), g.p(channels)])
  return { x: made, side, channels }
}

const residual: Block = (g, { x, side, channels }, draw) => {
  const inner = g.op('Conv2D', [x, g.w(3, 3, channels, channels)], SAME)
  const made = draw.upTo(2) === 0 ? g.op('AddV2', [inner, x]) : g.op('AddN', [x, inner, g.op('Tanh', [x])])
  return { x: g.op(draw.of(['Relu', 'LeakyRelu', 'Identity']), [made]), side, channels }
}

/** All channels so far and three more. */
const dense: Block = (g, { x, side, channels }, draw) => {
  const grown = g.op('ConcatV2', [x, g.op('Conv2D', [x, g.w(1, 1, channels, 3)]), g.int(draw.of([3, -1]))])
  return { x: grown, side, channels: channels + 3 }
}

const excited: Block = (g, { x, side, channels }, draw) => {
  const keep_dims = draw.upTo(2) === 0
  const mean = g.op('Mean', [x, g.ints(1, 2)], { keep_dims })
  const small = keep_dims ? mean : g.op('Reshape', [mean, g.ints(-1, 1, 1, channels)])
  const inner = g.op('_FusedConv2D', [small, g.w(1, 1, channels, 2), g.w(2)], { fused_ops: ['BiasAdd', 'Relu'] })
  const gate = g.op('Sigmoid', [g.op('_FusedConv2D', [inner, g.w(1, 1, 2, channels), g.w(channels)])])
  return { x: g.op('Mul', draw.upTo(2) === 0 ? [x, gate] : [gate, x]), side, channels }
}

const swish: Block = (g, { x, side, channels }, draw) => {
  const hard = g.op('Mul', [g.op('Relu6', [g.op('AddV2', [x, g.num(3)])]), g.num(1 / 6)])
  return { x: g.op('Mul', [x, draw.upTo(2) === 0 ? hard : g.op('Sigmoid', [x])]), side, channels }
}

const pool: Block = (g, { x, side, channels }, draw) => {
  const [k, padding] = [draw.of([2, 3]), draw.of(['SAME', 'VALID'])]
  if (side < 4) return { x, side, channels }
  const attr = { ksize: [1, k, k, 1], strides: [1, 2, 2, 1], padding }
  const made = padding === 'SAME' ? Math.ceil(side / 2) : Math.floor((side - k) / 2) + 1
  return { x: g.op(draw.of(['MaxPool', 'AvgPool']), [x], attr), side: made, channels }
}

const shuffled: Block = (g, { x, side, channels }, draw) => {
  if (channels % 2 !== 0) return { x, side, channels }
  const parts = g.op('Split', [g.int(draw.of([3, -1])), x], { num_split: { i: 2 } })
  const joined = g.op('ConcatV2', [g.op('Relu', [`${parts}:1`]), parts, g.int(3)])
  const shape = g.op('Reshape', [joined, g.ints(-1, side, side, 2, channels / 2)])
  return {
    x: g.op('Reshape', [g.op('Transpose', [shape, g.ints(0, 1, 2, 4, 3)]), g.ints(-1, side, side, channels)]),
    side,
    channels,
  }
}

const layerNorm: Block = (g, { x, side, channels }) => {
  const mean = g.op('Mean', [x, g.ints(3)], { keep_dims: true })
  const square = g.op('SquaredDifference', [x, mean])
  const root = g.op('Rsqrt', [g.op('AddV2', [g.op('Mean', [square, g.ints(3)], { keep_dims: true }), g.num(0.01)])])
  const factor = g.op('Mul', [root, g.p(channels)])
  const shift = g.op('Sub', [g.w(channels), g.op('Mul', [mean, factor])])
  return { x: g.op('AddV2', [g.op('Mul', [x, factor]), shift]), side, channels }
}

/** A dense layer of every pixel, as Keras writes it. */
const tensordot: Block = (g, { x, side, channels }) => {
  const rows = g.op('MatMul', [g.op('Reshape', [x, g.ints(-1, channels)]), g.w(channels, 5)])
  return { x: g.op('BiasAdd', [g.op('Reshape', [rows, g.ints(-1, side, side, 5)]), g.w(5)]), side, channels: 5 }
}

const tokens: Block = (g, { x, side, channels }) => {
  const rows = g.op('AddV2', [g.op('Reshape', [x, g.ints(-1, side * side, channels)]), g.w(1, side * side, channels)])
  const wide = g.op('BatchMatMulV2', [rows, g.w(channels, 6)])
  const made = g.op('Relu', [g.op('BiasAdd', [wide, g.w(6)])])
  return { x: g.op('Reshape', [made, g.ints(-1, side, side, 6)]), side, channels: 6 }
}

const padded: Block = (g, { x, side, channels }, draw) => {
  const edges = g.pairs(0, 0, 1, 0, 0, 1, 0, 0)
  const made = draw.upTo(2) === 0 ? g.op('Pad', [x, edges]) : g.op('MirrorPad', [x, edges], { mode: 'REFLECT' })
  return { x: made, side: side + 1, channels }
}

const cut: Block = (g, { x, side, channels }, draw) => {
  if (side < 4) return { x, side, channels }
  const step = draw.of([1, 2])
  const lists = [
    [0, 1, 1, 0],
    [0, 0, 0, 0],
    [1, step, step, 1],
  ].map((list) => g.ints(...list))
  const masks = { T: { type: 'DT_FLOAT' }, begin_mask: { i: 9 }, end_mask: { i: 15 } }
  return { x: g.op('StridedSlice', [x, ...lists], masks), side: Math.ceil((side - 1) / step), channels }
}

const resized: Block = (g, { x, side, channels }, draw) => {
  if (side > 6) return { x, side, channels }
  const size = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(1), g.ints(3), g.ints(1)])
  const twice = g.op('Mul', [size, g.ints(2, 2)], { T: { type: 'DT_INT32' } })
  const op = draw.of(['ResizeBilinear', 'ResizeNearestNeighbor'])
  return { x: g.op(op, [x, twice], { half_pixel_centers: true }), side: 2 * side, channels }
}

const grown: Block = (g, { x, side, channels }) => {
  if (side > 6) return { x, side, channels }
  const batch = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(0), g.ints(1), g.ints(1)], {
    shrink_axis_mask: { i: 1 },
  })
  const size = g.op('Pack', [batch, g.int(2 * side), g.int(2 * side), g.int(3)])
  const attr = { ...SAME, strides: [1, 2, 2, 1] }
  return { x: g.op('Conv2DBackpropInput', [size, g.w(3, 3, 3, channels), x], attr), side: 2 * side, channels: 3 }
}

const flipped: Block = (g, { x, side, channels }) => ({ x: g.op('ReverseV2', [x, g.ints(-1)]), side, channels })

const attention: Block = (g, { x, side, channels }) => {
  const of = (op: string) => g.op(op, [x, g.ints(3)], { keep_dims: true })
  const both = g.op('ConcatV2', [of('Mean'), of('Max'), g.int(3)])
  const gate = g.op('Sigmoid', [g.op('Conv2D', [both, g.w(3, 3, 2, 1)], SAME)])
  return { x: g.op('Mul', [x, gate]), side, channels }
}

const BLOCKS: readonly Block[] = [
  ...[conv, conv, depthwise, atrous, norm, residual, dense, excited, swish, pool, shuffled, layerNorm, tensordot],
  ...[tokens, padded, cut, resized, grown, flipped, attention],
]

const HEADS: readonly ((g: Graph, at: At) => string)[] = [
  (g, { x, channels }) => g.op('Softmax', [g.op('MatMul', [g.op('Mean', [x, g.ints(1, 2)]), g.w(channels, 4)])]),
  (g, { x, side, channels }) => {
    const flat = g.op('Reshape', [x, g.ints(-1, side * side * channels)])
    return g.op('_FusedMatMul', [flat, g.w(side * side * channels, 4), g.w(4)])
  },
  (g, { x, channels }) => {
    const pooled = g.op('Max', [x, g.ints(1, 2)], { keep_dims: true })
    return g.op('Squeeze', [g.op('Conv2D', [pooled, g.w(1, 1, channels, 4)])], { squeeze_dims: [1, 2] })
  },
  (g, { x, side, channels }) => g.op('Reshape', [x, g.ints(1, side * side, channels)]),
  (g, { x }) => g.op('Squeeze', [x]),
  (_, { x }) => x,
]

/** The network of a number. */
export const networkOf = (seed: number): Idiom => ({
  name: `network ${seed}`,
  build: (g) => {
    const draw = new Draw(seed * 2654435761 + 12345)
    let at: At = { x: g.image(9, 9, 3), side: 9, channels: 3 }
    for (let count = 3 + draw.upTo(6); count > 0; count--) at = draw.of(BLOCKS)(g, at, draw)
    // Values stay of the size of one, for what differs to be seen.
    const head = draw.of(HEADS)(g, { ...at, x: g.op('Tanh', [g.op('Mul', [at.x, g.num(0.25)])]) })
    return [head]
  },
})
