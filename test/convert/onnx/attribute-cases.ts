// A node of every op that the ONNX reader knows, and its attributes at values other than their defaults.
import { numbers } from '../run-converted.js'
import type { Attribute, NodeOf, TensorOf } from './encode.js'
import { ints, node, scalar } from './small-graphs.js'

/** An attribute that inference does not depend on. */
export interface Idle {
  readonly value: Attribute
  readonly because: string
}
const idle = (value: Attribute, because: string): Idle => ({ value, because })

export interface Case {
  /** Names of inputs; `x` is a map [1,4,3,2]. */
  readonly inputs?: string
  readonly tensors?: Readonly<Record<string, TensorOf>>
  readonly opset?: number
  /** Whether it is without the attributes that it is refused. */
  readonly isRefused?: boolean
  /** Attributes of the node as it is. */
  readonly has?: Readonly<Record<string, Attribute>>
  /** What stands before the node, and behind it from `z` to `y`. */
  readonly before?: readonly NodeOf[]
  readonly behind?: readonly NodeOf[]
  /** Values other than the defaults, or several. */
  readonly set: Readonly<Record<string, Attribute | Idle>>
}

const tensor = (seed: number, ...dims: number[]): TensorOf => ({
  dims,
  data: numbers(
    dims.reduce((a, b) => a * b, 1),
    seed,
  ),
})
const positive = (seed: number, ...dims: number[]): TensorOf => {
  const { data } = tensor(seed, ...dims)
  return { dims, data: data.map((v) => Math.abs(v) + 0.5) }
}
const float = (x: number) => ({ float: x })

export const SECOND = { k: tensor(3, 1, 4, 1, 1) }
/** Broadcasting before operator set 7. */
const OLD_AXIS: Case = {
  inputs: 'x k',
  tensors: SECOND,
  set: { axis: 1, broadcast: idle(1, 'what broadcasts does so since set 7') },
}
const WINDOW = { pads: [1, 1, 0, 1], strides: [2, 1], auto_pad: 'SAME_UPPER' }
const POOL: Case = {
  has: { kernel_shape: [2, 2] },
  set: { ...WINDOW, dilations: [1, 2], kernel_shape: [3, 1] },
}
const REDUCE: Case = {
  has: { axes: [2, 3] },
  set: { axes: [2], keepdims: 0 },
}
/** Without axes everything is reduced, or with this one nothing. */
const NOOP: Case = {
  before: [node('Relu', 'x', 'a')],
  inputs: 'a',
  has: { axes: [] },
  set: { noop_with_empty_axes: 1 },
}
const NONE: Case = { set: {} }
const OF_TWO: Case = { inputs: 'x half', tensors: { half: scalar(0.5) }, set: {} }
/** Tells sizes from each other under which the same elements lie. */
const SUMMED = [node('ReduceSum', 'z', 'y', { axes: [1], keepdims: 0 })]
const SIZES_BEHIND = [
  node('ReduceProd', 'z', 'a', { keepdims: 0 }),
  node('Cast', 'a', 'b', { to: 1 }),
  node('Mul', 'x b', 'y'),
]
const DOUBLE = { opset: 10, tensors: { scales: { dims: [4], data: [1, 1, 2, 2] } }, inputs: 'x scales' } as const
const UP: Case = {
  inputs: 'x  scales',
  tensors: { scales: { dims: [4], data: [1, 1, 2, 2] }, sizes: ints(1, 4, 6, 8), less: ints(1, 4, 2, 1) },
  set: {},
}

export const CASES: Readonly<Record<string, readonly Case[]>> = {
  Abs: [NONE],
  Add: [OLD_AXIS],
  ArgMax: [{ set: { axis: 2, keepdims: 0, select_last_index: 1 }, has: { axis: 1 } }],
  AveragePool: [
    POOL,
    { has: { kernel_shape: [2, 2], strides: [2, 2] }, set: { ceil_mode: 1 } },
    {
      has: { kernel_shape: [2, 2], pads: [1, 1, 1, 1] },
      set: { count_include_pad: 1 },
    },
  ],
  BatchNormalization: [
    {
      inputs: 'x g b m v',
      tensors: { g: tensor(1, 4), b: tensor(2, 4), m: tensor(3, 4), v: positive(4, 4) },
      set: {
        epsilon: float(0.5),
        spatial: 0,
        is_test: 0,
        training_mode: 1,
        momentum: idle(float(0.5), 'of running statistics, which training alone updates'),
      },
    },
  ],
  Cast: [
    {
      has: { to: 1 },
      set: { to: 7, saturate: idle(0, 'of casts to 8-bit floats'), round_mode: idle('down', 'likewise') },
    },
  ],
  CastLike: [
    {
      inputs: 'x one',
      tensors: { one: scalar(1) },
      set: { saturate: idle(0, 'of casts to 8-bit floats'), round_mode: idle('down', 'likewise') },
    },
  ],
  Celu: [{ set: { alpha: float(0.5) } }],
  Clip: [{ opset: 6, has: { min: float(-1), max: float(1) }, set: { min: float(-0.5), max: float(0.5) } }],
  Concat: [{ inputs: 'x x', has: { axis: 1 }, set: { axis: 2 } }],
  Constant: [
    {
      inputs: '',
      behind: [node('Mul', 'x z', 'y')],
      has: { value_float: float(2) },
      set: {
        value_float: float(3),
        value_int: 3,
        value_floats: { floats: [3] },
        value_ints: [3],
        value_string: 'text',
        value_strings: 'texts',
        value: { tensor: scalar(3) },
        sparse_value: 'of another kind than any that is read',
      },
    },
  ],
  ConstantOfShape: [
    {
      inputs: 'one',
      tensors: { one: ints(1) },
      behind: [node('Add', 'x z', 'y')],
      set: { value: { tensor: { dims: [1], data: [2] } } },
    },
  ],
  Conv: [
    {
      inputs: 'x w',
      tensors: { w: tensor(5, 4, 4, 2, 2) },
      set: { ...WINDOW, dilations: [2, 1], group: 2, kernel_shape: [3, 3] },
    },
  ],
  ConvTranspose: [
    {
      inputs: 'x w',
      tensors: { w: tensor(5, 4, 4, 3, 3) },
      has: { strides: [2, 2] },
      set: {
        ...{ pads: [1, 0, 0, 0], strides: [1, 2], auto_pad: 'SAME_LOWER', dilations: [2, 1], group: 2 },
        ...{ kernel_shape: [2, 2], output_padding: [1, 0], output_shape: [5, 4] },
      },
    },
  ],
  DepthToSpace: [
    { has: { blocksize: 2 }, set: { blocksize: 1 } },
    {
      // One channel per place has the same order in both modes.
      before: [node('Concat', 'x x', 'a', { axis: 1 })],
      inputs: 'a',
      has: { blocksize: 2 },
      set: { mode: 'CRD' },
    },
  ],
  Div: [OLD_AXIS],
  Dropout: [
    {
      set: {
        is_test: 0,
        ratio: idle(float(0.9), 'nothing is dropped at inference'),
        seed: idle(7, 'nothing is drawn at inference'),
      },
    },
  ],
  Elu: [{ set: { alpha: float(0.5) } }],
  Erf: [NONE],
  Exp: [NONE],
  Expand: [{ inputs: 'x to', tensors: { to: ints(1, 1, 3, 2) }, set: {} }],
  Flatten: [{ behind: SUMMED, set: { axis: 2 } }],
  Gather: [{ inputs: 'x one', tensors: { one: ints(1) }, has: { axis: 1 }, set: { axis: 2 } }],
  GatherND: [{ inputs: 'x o', tensors: { o: { dims: [1, 1], data: [0], as: 'int64' } }, set: { batch_dims: 1 } }],
  Gelu: [{ set: { approximate: 'tanh' } }],
  Gemm: [
    {
      before: [node('Flatten', 'x', 'a')],
      inputs: 'a w c',
      tensors: { w: tensor(6, 24, 24), c: tensor(7, 24) },
      set: {
        alpha: float(2),
        beta: float(2),
        transA: 1,
        transB: 1,
        broadcast: idle(1, 'what broadcasts does so since set 7'),
      },
    },
  ],
  GlobalAveragePool: [NONE],
  GlobalMaxPool: [NONE],
  HardSigmoid: [{ set: { alpha: float(0.5), beta: float(0.25) } }],
  HardSwish: [NONE],
  Identity: [NONE],
  LeakyRelu: [{ set: { alpha: float(0.5) } }],
  Log: [NONE],
  LogSoftmax: [{ set: { axis: 1 } }, { opset: 11, has: { axis: 3 }, set: { axis: 2 } }],
  MatMul: [{ before: [node('Flatten', 'x', 'a')], inputs: 'a w', tensors: { w: tensor(6, 24, 3) }, set: {} }],
  Max: [OF_TWO],
  MaxPool: [
    POOL,
    { has: { kernel_shape: [2, 2], strides: [2, 2] }, set: { ceil_mode: 1 } },
    {
      has: { kernel_shape: [2, 2] },
      set: { storage_order: idle(1, 'of the indices, a second output, that is not read') },
    },
  ],
  Mean: [{ inputs: 'x k', tensors: SECOND, set: {} }],
  Min: [OF_TWO],
  Mish: [NONE],
  Mul: [OLD_AXIS],
  Neg: [NONE],
  PRelu: [{ inputs: 'x k', tensors: SECOND, set: {} }],
  Pad: [
    {
      opset: 2,
      has: { pads: [0, 0, 1, 1, 0, 0, 1, 1] },
      set: { mode: 'reflect', pads: [0, 0, 1, 1, 0, 0, 0, 1], value: float(2) },
    },
    { opset: 1, has: { paddings: [0, 0, 1, 1, 0, 0, 1, 1] }, set: { paddings: [0, 0, 1, 1, 0, 0, 0, 1] } },
  ],
  Pow: [{ inputs: 'x two', tensors: { two: scalar(2) }, set: { axis: 1, broadcast: 1 } }],
  Range: [
    {
      inputs: 'o f o',
      tensors: { o: scalar(1), f: scalar(5), k: ints(1, 4, 1, 1) },
      behind: [node('Reshape', 'z k', 'a'), node('Mul', 'x a', 'y')],
      set: {},
    },
  ],
  Reciprocal: [NONE],
  ReduceL1: [REDUCE, NOOP],
  ReduceL2: [REDUCE, NOOP],
  ReduceMax: [REDUCE, { ...NOOP, isRefused: true }],
  ReduceMean: [REDUCE, NOOP],
  ReduceMin: [REDUCE, { ...NOOP, isRefused: true }],
  ReduceSum: [REDUCE, NOOP],
  ReduceSumSquare: [REDUCE, NOOP],
  Relu: [NONE],
  Reshape: [
    { inputs: 'x to', tensors: { to: ints(0, -1) }, set: { allowzero: 1 } },
    { opset: 1, behind: SUMMED, has: { shape: [1, 24] }, set: { shape: [1, 12, 2] } },
  ],
  Resize: [
    {
      ...UP,
      set: {
        coordinate_transformation_mode: 'tf_crop_and_resize',
        exclude_outside: 1,
        mode: 'linear',
        nearest_mode: 'ceil',
        cubic_coeff_a: idle(float(-0.5), 'of cubic resizing, which is refused'),
        extrapolation_value: idle(float(1), 'of tf_crop_and_resize, which is refused'),
      },
    },
    { ...UP, has: { mode: 'linear' }, set: { coordinate_transformation_mode: 'align_corners', mode: 'cubic' } },
    { ...UP, inputs: 'x   sizes', set: { keep_aspect_ratio_policy: 'not_larger' } },
    { ...UP, tensors: { scales: { dims: [4], data: [1, 1, 2, 3] } }, set: { axes: [0, 1, 3, 2] } },
    { ...UP, inputs: 'x   less', has: { mode: 'linear' }, set: { antialias: 1 } },
  ],
  Selu: [{ set: { alpha: float(0.5), gamma: float(0.5) } }],
  Shape: [{ behind: SIZES_BEHIND, set: { start: 2, end: 2 } }],
  Sigmoid: [NONE],
  Size: [{ behind: [node('Cast', 'z', 'a', { to: 1 }), node('Mul', 'x a', 'y')], set: {} }],
  Slice: [{ opset: 9, has: { starts: [1], ends: [3], axes: [1] }, set: { starts: [0], ends: [2], axes: [2] } }],
  Softmax: [{ set: { axis: 1 } }, { opset: 11, has: { axis: 3 }, set: { axis: 2 } }],
  Softplus: [NONE],
  Softsign: [NONE],
  SpaceToDepth: [
    {
      before: [node('Pad', 'x edge', 'a', { mode: 'constant' })],
      inputs: 'a',
      tensors: { edge: ints(0, 0, 1, 0, 0, 0, 0, 0) },
      has: { blocksize: 2 },
      set: { blocksize: 1, mode: 'CRD' },
    },
  ],
  Split: [
    { opset: 11, has: { axis: 1 }, set: { axis: 3, split: [1, 3] } },
    { opset: 18, has: { axis: 1, num_outputs: 2 }, set: { num_outputs: 3 } },
  ],
  Sqrt: [NONE],
  Squeeze: [
    {
      before: [node('GlobalAveragePool', 'x', 'a')],
      inputs: 'a',
      behind: [node('Concat', 'z z', 'y', { axis: -1 })],
      opset: 11,
      has: { axes: [2, 3] },
      set: { axes: [2] },
    },
  ],
  Sub: [OLD_AXIS],
  Sum: [{ inputs: 'x k', tensors: SECOND, set: {} }],
  Swish: [{ set: { alpha: float(0.5) } }],
  Tanh: [NONE],
  Tile: [{ inputs: 'x once', tensors: { once: ints(1, 1, 1, 1) }, set: {} }],
  Transpose: [{ has: { perm: [0, 1, 3, 2] }, set: { perm: [0, 2, 1, 3] } }],
  Unsqueeze: [
    {
      opset: 11,
      behind: [node('ReduceSum', 'z', 'y', { axes: [2], keepdims: 0 })],
      has: { axes: [2] },
      set: { axes: [3] },
    },
  ],
  Upsample: [
    { ...DOUBLE, set: { mode: 'linear' } },
    {
      opset: 7,
      has: { scales: [1, 1, 2, 2] },
      set: { scales: [1, 1, 2, 1], height_scale: float(3), width_scale: float(3) },
    },
  ],
}
