// What each node of a TF.js graph model becomes.
import { quote } from '../../../model/json/fields.js'
import * as blocks from './blocks.js'
import { FOLDS } from './constants.js'
import * as elements from './elements.js'
import * as matrices from './matrices.js'
import { formOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'
import * as reductions from './reductions.js'
import * as shapes from './shapes.js'
import * as slices from './slices.js'
import * as windows from './windows.js'

export const NODE_READERS: ReadonlyMap<string, NodeRead> = new Map(
  Object.entries({
    Abs: elements.absolute,
    Add: elements.add,
    AddN: elements.add,
    AddV2: elements.add,
    ArgMax: reductions.argMax,
    ArgMin: reductions.argMin,
    AvgPool: windows.pool('avg'),
    BatchMatMul: matrices.batchMatMul,
    BatchMatMulV2: matrices.batchMatMul,
    BatchToSpaceND: blocks.batchToSpace,
    BiasAdd: elements.biasAdd,
    BroadcastTo: shapes.broadcastTo,
    Cast: shapes.cast,
    ClipByValue: elements.clip,
    ConcatV2: shapes.concat,
    Conv2D: windows.conv,
    Conv2DBackpropInput: windows.convTranspose,
    DepthToSpace: windows.depthToSpace,
    DepthwiseConv2dNative: windows.depthwise,
    Div: elements.divide,
    DivNoNan: elements.divideOrZero,
    Einsum: matrices.einsum,
    Elu: elements.activation('elu'),
    EnsureShape: shapes.ensured,
    Erf: elements.pointwise('erf'),
    Exp: elements.pointwise('exp'),
    ExpandDims: shapes.expandDims,
    FusedBatchNorm: windows.batchNorm,
    FusedBatchNormV2: windows.batchNorm,
    FusedBatchNormV3: windows.batchNorm,
    FusedDepthwiseConv2dNative: windows.depthwise,
    GatherV2: slices.gather,
    Identity: shapes.same,
    IdentityN: shapes.same,
    LeakyRelu: elements.leakyRelu,
    Expm1: elements.expm1,
    Log: elements.pointwise('log'),
    Log1p: elements.log1p,
    LogSoftmax: elements.logSoftmax,
    MatMul: matrices.matMul,
    Max: reductions.reduce('max'),
    MaxPool: windows.maxPool,
    Maximum: elements.extreme('max'),
    Mean: reductions.reduce('mean'),
    Min: reductions.reduce('min'),
    Minimum: elements.extreme('min'),
    MirrorPad: windows.mirrorPad,
    Mul: elements.multiply,
    Neg: elements.negate,
    Pack: shapes.pack,
    Pad: windows.pad,
    PadV2: windows.pad,
    PlaceholderWithDefault: shapes.same,
    Pow: elements.power,
    Prelu: elements.prelu,
    Rank: shapes.rank,
    RealDiv: elements.divide,
    Reciprocal: elements.pointwise('reciprocal'),
    Relu: elements.activation('relu'),
    Relu6: elements.activation('relu6'),
    Reshape: shapes.reshape,
    ResizeBilinear: windows.resize('bilinear'),
    ResizeNearestNeighbor: windows.resize('nearest'),
    ReverseV2: slices.reverse,
    Rsqrt: elements.rsqrt,
    Selu: elements.activation('selu'),
    Shape: shapes.shape,
    Sigmoid: elements.activation('sigmoid'),
    Size: shapes.size,
    Slice: slices.slice,
    Snapshot: shapes.same,
    Softmax: elements.softmax,
    Softplus: elements.pointwise('softplus'),
    SpaceToBatchND: blocks.spaceToBatch,
    Split: slices.split(false),
    SplitV: slices.split(true),
    Sqrt: elements.pointwise('sqrt'),
    Square: elements.pointwise('square'),
    SquaredDifference: elements.squaredDifference,
    Squeeze: shapes.squeeze,
    StopGradient: shapes.same,
    StridedSlice: slices.stridedSlice,
    Sub: elements.subtract,
    Sum: reductions.reduce('sum'),
    Tanh: elements.pointwise('tanh'),
    Tile: shapes.tile,
    Transpose: shapes.transpose,
    Unpack: slices.unpack,
    _FusedConv2D: windows.conv,
    _FusedMatMul: matrices.matMul,
  } satisfies Record<string, NodeRead>),
)

/** Ops that work on every element alone, or along the last axis: of whatever form a value is, the result is of that. */
const KEEPS_FORM: ReadonlySet<string> = new Set([
  ...['Abs', 'Add', 'AddN', 'AddV2', 'BiasAdd', 'Cast', 'ClipByValue', 'Div', 'DivNoNan', 'Elu', 'Erf', 'Exp', 'Expm1'],
  ...[
    'LeakyRelu',
    'Log',
    'Log1p',
    'LogSoftmax',
    'Maximum',
    'Minimum',
    'Mul',
    'Neg',
    'Pow',
    'Prelu',
    'RealDiv',
    'Reciprocal',
  ],
  ...['Relu', 'Relu6', 'Rsqrt', 'Selu', 'Sigmoid', 'Softmax', 'Softplus', 'Sqrt', 'Square', 'SquaredDifference', 'Sub'],
  ...['Tanh', 'BatchMatMul', 'BatchMatMulV2'],
])
const OF_BLOCKS: ReadonlySet<string> = new Set([
  ...['BatchToSpaceND', 'Conv2D', 'DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative', '_FusedConv2D'],
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'],
])
const OF_UNBATCHED: ReadonlySet<string> = new Set([
  ...['Einsum', 'EnsureShape', 'ExpandDims', 'MatMul', 'Rank', 'Reshape', 'Shape', 'Size', 'Slice', 'Squeeze'],
  ...['StridedSlice', 'Unpack', '_FusedMatMul'],
])
const SAME: ReadonlySet<string> = new Set([
  'Identity',
  'IdentityN',
  'PlaceholderWithDefault',
  'Snapshot',
  'StopGradient',
])

/** @param isOfConstants whether all that the node reads is known before anything is computed */
export function isKnownOp(op: string, isOfConstants: boolean): boolean {
  return NODE_READERS.has(op) || (isOfConstants && FOLDS.has(op))
}

/** What a node makes: of constants alone a constant, where its op can be computed now. */
export function readNode(n: NodeReader): ReturnType<NodeRead> {
  const { op } = n.node
  const places = Array.from({ length: n.count }, (_, index) => index)
  const fold = places.length > 0 && places.every((index) => n.isConstant(index)) ? FOLDS.get(op) : undefined
  if (fold) return fold(n)
  const read = NODE_READERS.get(op)
  if (!read) {
    if (places.every((index) => n.known(index))) n.refuse('expected constants, got a computed value')
    return undefined
  }
  if (SAME.has(op)) return read(n)
  const form = n.form()
  if (!form) return n.refuse('expected inputs of one batch; some have it joined with other axes, or not at all')
  const isAllowed = KEEPS_FORM.has(op)
  if (form.isUnbatched && !isAllowed && !OF_UNBATCHED.has(op))
    return n.refuse('expected the batch as the first axis; a node before joins it with others, or takes it away')
  if (form.blocks && !isAllowed && !OF_BLOCKS.has(op))
    return n.refuse('expected a BatchToSpaceND after SpaceToBatchND and convolutions, before other nodes')
  if (form.lowest && op !== 'MaxPool')
    return n.refuse(`expected a MaxPool after padding by ${quote(Number.NEGATIVE_INFINITY)}`)
  const made = read(n)
  if (!isAllowed || !made || 'length' in made || !('value' in made)) return made
  return { ...formOf(form), value: made.value } satisfies TfKnown
}
