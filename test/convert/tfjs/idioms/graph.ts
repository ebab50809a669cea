// Graph models written node by node, with every attribute that TensorFlow writes, types and defaults included.
import { numbers } from '../../run-converted.js'
import {
  type Attribute,
  encodeAttribute,
  encodeFiles,
  type GraphDefNode,
  type TfjsFiles,
  type Weight,
} from '../encode.js'

/** What TensorFlow writes of every node of an op: attributes at their defaults. */
const FLOAT = { T: { type: 'DT_FLOAT' } }
const WINDOW = { ...FLOAT, strides: [1, 1, 1, 1], padding: 'VALID', data_format: 'NHWC', explicit_paddings: [] }
const CONV = { ...WINDOW, dilations: [1, 1, 1, 1] }
const FUSED = {
  ...{ fused_ops: ['BiasAdd'], num_args: { i: 1 }, epsilon: { f: 0 }, leakyrelu_alpha: { f: 0.2 } },
  TArgs: { types: ['DT_FLOAT'] },
}
const REDUCED = { ...FLOAT, Tidx: { type: 'DT_INT32' }, keep_dims: false }
const NORM = {
  ...FLOAT,
  ...{ U: { type: 'DT_FLOAT' }, epsilon: { f: 0.001 }, data_format: 'NHWC', is_training: false },
  exponential_avg_factor: { f: 1 },
}
const MATRIX = { ...FLOAT, transpose_a: false, transpose_b: false }
const RESIZED = { ...FLOAT, align_corners: false, half_pixel_centers: false }
const MASKS = { begin_mask: 0, end_mask: 0, ellipsis_mask: 0, new_axis_mask: 0, shrink_axis_mask: 0 }
const INDEX = { Index: { type: 'DT_INT32' } }

const DEFAULTS: Readonly<Record<string, Readonly<Record<string, Attribute>>>> = {
  ArgMax: { ...FLOAT, Tidx: { type: 'DT_INT32' }, output_type: { type: 'DT_INT64' } },
  AvgPool: { ...WINDOW, ksize: [1, 2, 2, 1] },
  BatchMatMulV2: { ...FLOAT, adj_x: false, adj_y: false },
  BatchToSpaceND: { ...FLOAT, Tblock_shape: { type: 'DT_INT32' }, Tcrops: { type: 'DT_INT32' } },
  BiasAdd: { ...FLOAT, data_format: 'NHWC' },
  Cast: { SrcT: { type: 'DT_FLOAT' }, DstT: { type: 'DT_FLOAT' }, Truncate: false },
  ConcatV2: { ...FLOAT, Tidx: { type: 'DT_INT32' } },
  Conv2D: { ...CONV, use_cudnn_on_gpu: true },
  Conv2DBackpropInput: { ...CONV, use_cudnn_on_gpu: true },
  DepthToSpace: { ...FLOAT, block_size: { i: 2 }, data_format: 'NHWC' },
  DepthwiseConv2dNative: CONV,
  ExpandDims: { ...FLOAT, Tdim: { type: 'DT_INT32' } },
  FusedBatchNormV3: NORM,
  FusedDepthwiseConv2dNative: { ...CONV, ...FUSED },
  GatherV2: {
    Tparams: { type: 'DT_FLOAT' },
    Tindices: { type: 'DT_INT32' },
    Taxis: { type: 'DT_INT32' },
    batch_dims: { i: 0 },
  },
  LeakyRelu: { ...FLOAT, alpha: { f: 0.2 } },
  MatMul: MATRIX,
  Max: REDUCED,
  MaxPool: { ...WINDOW, ksize: [1, 2, 2, 1] },
  Mean: REDUCED,
  Min: REDUCED,
  MirrorPad: { ...FLOAT, Tpaddings: { type: 'DT_INT32' }, mode: 'REFLECT' },
  Pack: { T: { type: 'DT_INT32' }, axis: { i: 0 } },
  Pad: { ...FLOAT, Tpaddings: { type: 'DT_INT32' } },
  PadV2: { ...FLOAT, Tpaddings: { type: 'DT_INT32' } },
  Prod: REDUCED,
  Reshape: { ...FLOAT, Tshape: { type: 'DT_INT32' } },
  ResizeBilinear: RESIZED,
  ResizeNearestNeighbor: RESIZED,
  Shape: { ...FLOAT, out_type: { type: 'DT_INT32' } },
  Slice: { ...FLOAT, ...INDEX },
  SpaceToBatchND: { ...FLOAT, Tblock_shape: { type: 'DT_INT32' }, Tpaddings: { type: 'DT_INT32' } },
  Split: { ...FLOAT },
  Squeeze: { ...FLOAT, squeeze_dims: [] },
  StridedSlice: {
    T: { type: 'DT_INT32' },
    ...INDEX,
    ...Object.fromEntries(Object.keys(MASKS).map((name) => [name, { i: 0 }])),
  },
  Sum: REDUCED,
  Tile: { ...FLOAT, Tmultiples: { type: 'DT_INT32' } },
  Transpose: { ...FLOAT, Tperm: { type: 'DT_INT32' } },
  Unpack: { ...FLOAT },
  _FusedConv2D: {
    ...CONV,
    ...FUSED,
    use_cudnn_on_gpu: true,
    filter_format: 'HWIO',
    num_host_args: { i: 0 },
    TArgs: { types: ['DT_FLOAT'] },
    host_args: { i: 0 },
  },
  _FusedMatMul: { ...MATRIX, ...FUSED },
}

type Attributes = Readonly<Record<string, Attribute>>

export class Graph {
  readonly nodes: GraphDefNode[] = []
  readonly weights: Record<string, Weight> = {}
  readonly inputs: { name: string; shape: readonly number[] }[] = []
  outputs: string[] = []
  #seed: number
  constructor(seed: number) {
    this.#seed = seed
  }

  /** A picture, or a vector, without its batch. */
  image(...shape: number[]): string {
    const name = this.inputs.length === 0 ? 'image' : `image${this.inputs.length}`
    this.inputs.push({ name, shape })
    return name
  }

  #constant(weight: Weight): string {
    const name = `c${Object.keys(this.weights).length}`
    this.weights[name] = weight
    return name
  }

  /** Learnt numbers. */
  w(...shape: number[]): string {
    const count = shape.reduce((a, b) => a * b, 1)
    return this.#constant({ shape, data: numbers(count, ++this.#seed) })
  }

  /** Positive ones: variances, factors. */
  p(...shape: number[]): string {
    const count = shape.reduce((a, b) => a * b, 1)
    return this.#constant({ shape, data: numbers(count, ++this.#seed).map((x) => Math.abs(x) + 0.5) })
  }

  /** Integers: a list, or one alone. */
  ints(...data: number[]): string {
    return this.#constant({ shape: [data.length], data, as: 'int32' })
  }

  int(value: number): string {
    return this.#constant({ shape: [], data: [value], as: 'int32' })
  }

  pairs(...data: number[]): string {
    return this.#constant({ shape: [data.length / 2, 2], data, as: 'int32' })
  }

  num(value: number): string {
    return this.#constant({ shape: [], data: [value] })
  }

  floats(shape: readonly number[], ...data: number[]): string {
    return this.#constant({ shape, data })
  }

  stored(as: Weight['as'], ...shape: number[]): string {
    const count = shape.reduce((a, b) => a * b, 1)
    return this.#constant({ shape, data: numbers(count, ++this.#seed), as })
  }

  op(op: string, input: readonly string[], attr: Attributes = {}): string {
    const name = `${op}_${this.nodes.length}`
    const list = ['AddN', 'ConcatV2', 'Pack'].includes(op)
      ? { N: { i: input.length - (op === 'ConcatV2' ? 1 : 0) } }
      : undefined
    this.nodes.push({ name, op, input, attr: { ...(DEFAULTS[op] ?? FLOAT), ...list, ...attr } })
    return name
  }
}

/** The files of a graph; its signature names what it gives. */
export function filesOf({ inputs, weights, nodes }: Graph, outputs: readonly string[]): TfjsFiles {
  const shapeOf = (sizes: readonly number[]) => ({ dim: sizes.map((size) => ({ size: String(size) })) })
  const node = [
    ...inputs.map(({ name, shape }) => ({
      name,
      op: 'Placeholder',
      attr: { shape: { shape: shapeOf([-1, ...shape]) }, dtype: { type: 'DT_FLOAT' } },
    })),
    ...Object.entries(weights).map(([name, { shape, as }]) => {
      const dtype = as === 'int32' ? 'DT_INT32' : 'DT_FLOAT'
      return {
        name,
        op: 'Const',
        attr: { dtype: { type: dtype }, value: { tensor: { dtype, tensorShape: shapeOf(shape) } } },
      }
    }),
    ...nodes.map(({ name, op, input, attr = {} }) => ({
      name,
      op,
      input,
      attr: Object.fromEntries(
        Object.entries(attr).flatMap(([key, value]) => (value === undefined ? [] : [[key, encodeAttribute(value)]])),
      ),
    })),
  ]
  const signature = {
    inputs: Object.fromEntries(
      inputs.map(({ name, shape }) => [
        name,
        { name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: shapeOf([-1, ...shape]) },
      ]),
    ),
    outputs: Object.fromEntries(
      outputs.map((name, i) => [`out${i}`, { name: name.includes(':') ? name : `${name}:0` }]),
    ),
  }
  return encodeFiles('graph-model', { node, versions: { producer: 1395 } }, weights, { signature })
}

export interface Idiom {
  readonly name: string
  readonly build: (g: Graph) => string | readonly string[]
}
