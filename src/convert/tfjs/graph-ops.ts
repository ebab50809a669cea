// What each node of a TF.js graph model becomes.
import * as elements from './graph-elements.js'
import * as shapes from './graph-shapes.js'
import * as windows from './graph-windows.js'
import type { NodeRead } from './node.js'

/** Of two constants the arithmetic on sizes that stands before a reshape; else of values. */
const sizesOr =
  (f: (a: number, b: number) => number, read: NodeRead): NodeRead =>
  (n) => {
    const isSizes = n.inputs.length === 2 && n.inputs.every((known) => known && 'tensor' in known)
    return isSizes ? shapes.ofSizes(n, f) : read(n)
  }

export const NODE_READERS: ReadonlyMap<string, NodeRead> = new Map(
  Object.entries({
    Abs: elements.absolute,
    ArgMax: elements.argMax,
    Add: sizesOr((a, b) => a + b, elements.add),
    AddN: elements.add,
    AddV2: sizesOr((a, b) => a + b, elements.add),
    AvgPool: windows.pool('avg'),
    BiasAdd: (n) => elements.offset(n, 0, 1, (v) => v),
    Cast: shapes.cast,
    ClipByValue: elements.clip,
    ConcatV2: shapes.concat,
    Conv2D: windows.conv,
    Conv2DBackpropInput: windows.convTranspose,
    DepthToSpace: windows.depthToSpace,
    Elu: elements.activation('elu'),
    Erf: elements.pointwise('erf'),
    Exp: elements.pointwise('exp'),
    ExpandDims: shapes.expandDims,
    DepthwiseConv2dNative: windows.depthwise,
    FusedBatchNorm: windows.batchNorm,
    FusedBatchNormV2: windows.batchNorm,
    FusedBatchNormV3: windows.batchNorm,
    FusedDepthwiseConv2dNative: windows.depthwise,
    Identity: elements.same,
    LeakyRelu: elements.leakyRelu,
    Log: elements.pointwise('log'),
    LogSoftmax: elements.logSoftmax,
    MatMul: windows.matMul,
    Max: windows.globalPool('max'),
    Maximum: elements.extreme('max'),
    MaxPool: windows.pool('max'),
    Mean: windows.globalPool('avg'),
    Minimum: elements.extreme('min'),
    Mul: sizesOr((a, b) => a * b, elements.multiply),
    Neg: elements.negate,
    Pack: shapes.pack,
    Pad: windows.pad,
    PadV2: windows.pad,
    Prelu: elements.prelu,
    RealDiv: elements.divide,
    Reciprocal: elements.pointwise('reciprocal'),
    Relu: elements.activation('relu'),
    Relu6: elements.activation('relu6'),
    Reshape: shapes.reshape,
    ResizeBilinear: windows.resize('bilinear'),
    ResizeNearestNeighbor: windows.resize('nearest'),
    Rsqrt: elements.rsqrt,
    Selu: elements.activation('selu'),
    Shape: shapes.shape,
    Sigmoid: elements.activation('sigmoid'),
    Slice: shapes.slice,
    Softmax: elements.softmax,
    Softplus: elements.pointwise('softplus'),
    Split: shapes.split(false),
    SplitV: shapes.split(true),
    Sqrt: elements.pointwise('sqrt'),
    Square: elements.pointwise('square'),
    Squeeze: shapes.squeeze,
    StopGradient: elements.same,
    StridedSlice: shapes.stridedSlice,
    Sub: sizesOr((a, b) => a - b, elements.subtract),
    Sum: elements.sum,
    Tanh: elements.pointwise('tanh'),
    Transpose: shapes.transpose,
    Unpack: shapes.unpack,
    _FusedConv2D: windows.conv,
    _FusedMatMul: windows.matMul,
  } satisfies Record<string, NodeRead>),
)
