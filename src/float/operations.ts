// What every op of `arch/1` does to regions of memory. An entry reads its layer and weights once and returns what is run
// for every input.
import {
  addF32,
  addScaledF32,
  affineF32,
  avgPoolF32,
  type Bounds,
  blendTable,
  convF32,
  type FloatConv,
  type FloatPool,
  maskActivationF32,
  maxPoolF32,
  packConvF32,
  padF32,
  resizeF32,
  subF32,
  UNBOUNDED,
} from '../kernels/float/conv.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import type { ConvGeometry } from '../kernels/geometry.js'
import { type Region, upload } from '../kernels/instance.js'
import { embed32 } from '../kernels/ring.js'
import { blendsOf } from '../model/layers/blends.js'
import type { Layer, LayerOf, Op } from '../model/layers/layers.js'
import { spreadLines, spreadMap, turnedWeights } from '../model/layers/transposed.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'
import { computeElements } from '../model/tail/elements.js'
import { tensorOf, type Weights } from '../model/weights.js'
import { prepareActivation, toMapSize } from './activation.js'
import { type Affine, affineOf, foldAffine } from './affine.js'

export interface Operation {
  /** Writes all of `out`, which overlaps no input. */
  run(inputs: readonly Region[], out: Region): void
  release(): void
  /** The packed weights, for operations that are one convolution without a bound. */
  readonly conv?: FloatConv
}

/** What an operation is made of besides its layer. */
export interface Parts {
  readonly k: FloatKernels
  readonly weights: Weights
  /** Per-channel maps behind a convolution that become part of it. */
  readonly affine: Affine | undefined
  /** The plain activation behind that becomes part of it. */
  readonly bounds: Bounds
  /** Kind of an activation layer. */
  readonly relu: LayerRelu
}

/** The operation of a layer, whose choice, if it is one, has been made. */
export function operationOf(layer: Layer, parts: Parts): Operation {
  const build = BUILDERS[layer.op as Exclude<Op, 'choice'>] as (layer: Layer, parts: Parts) => Operation
  return build(layer, parts)
}

const BUILDERS: { readonly [O in Exclude<Op, 'choice'>]: (layer: LayerOf<O>, parts: Parts) => Operation } = {
  conv2d: (layer, parts) => convolution(geometryOf(layer), layer, parts),
  convTranspose2d: transposedConvolution,
  linear: (layer, parts) => convolution(fullGeometry(layer.inShapes[0][0], layer.cout), layer, parts),
  batchNorm: perChannel,
  channelScale: perChannel,
  relu: activation,
  clip: activation,
  leakyRelu: (layer, parts) => leaky(layer, () => layer.slope, parts),
  prelu: (layer, parts) => {
    const slopes = tensorOf(parts.weights, layer.id, 'weight')
    return leaky(layer, (c) => slopes[c], parts)
  },
  add,
  weightedSum,
  concat: (layer) => (layer.axis === 0 ? concat() : elements(layer)),
  avgPool: (layer, { k }) => {
    const pool = poolOf(layer)
    return stateless(([x], out) => avgPoolF32(k, pool, x, layer.countPad, out))
  },
  globalAvgPool: (layer, { k }) => {
    const size = toMapSize(layer.inShapes[0])
    const pool = { ...size, kernel: [size.h, size.w], stride: [1, 1], pad: [0, 0, 0, 0], out: [1, 1] } as const
    return stateless(([x], out) => avgPoolF32(k, pool, x, true, out))
  },
  maxPool: (layer, { k }) => {
    const pool = poolOf(layer)
    return stateless(([x], out) => maxPoolF32(k, pool, x, out))
  },
  resize,
  pad: (layer, { k }) => {
    const size = toMapSize(layer.inShapes[0])
    const [top, left] = layer.pad
    const out = [layer.out[1], layer.out[2]] as const
    return stateless(([x], y) => padF32(k, size, x, [top, left], layer.fill, out, y))
  },
  subsample: (layer, { k }) => shrink(k, layer, layer.stride, layer.offset, 0),
  shortcutA: (layer, { k }) => shrink(k, layer, layer.stride, [0, 0], layer.padChannels[0]),
  zero: () => stateless((_, out) => void out.u8().fill(0)),
  identity: copy,
  flatten: copy,
  ...{ sigmoid: elements, tanh: elements, exp: elements, log: elements, sqrt: elements, square: elements },
  ...{ reciprocal: elements, softplus: elements, erf: elements, multiply: elements, affine: elements },
  ...{ softmax: elements, logSoftmax: elements, argMax: elements, sum: elements },
  ...{ slice: elements, transpose: elements, reshape: elements, depthToSpace: elements },
}

function stateless(run: Operation['run']): Operation {
  return { run, release: () => {} }
}

/** What has no kernel of its own. */
function elements(layer: Layer): Operation {
  return stateless((inputs, out) =>
    computeElements(
      layer,
      inputs.map((x) => x.f32()),
      out.f32(),
    ),
  )
}

function copy(): Operation {
  return stateless(([x], out) => out.u8().set(x.u8()))
}

/** The convolution of a layer on its input. */
export function geometryOf(layer: LayerOf<'conv2d'>): ConvGeometry {
  const { kernel, stride, pad, dilation, groups, cout } = layer
  const { c, h, w } = toMapSize(layer.inShapes[0])
  return { cin: c, h, w, cout, kernel, stride, pad, dilation, groups }
}

/** A matrix as a convolution of one pixel. */
export function fullGeometry(cin: number, cout: number): ConvGeometry {
  const one = [1, 1] as const
  return { cin, h: 1, w: 1, cout, kernel: one, stride: one, pad: [0, 0, 0, 0], dilation: one, groups: 1 }
}

function transposedConvolution(layer: LayerOf<'convTranspose2d'>, parts: Parts): Operation {
  const { k } = parts
  const spread = spreadMap(layer)
  const { c, h, w } = toMapSize(layer.inShapes[0])
  const { cout, kernel, dilation, groups } = layer
  const [height, width] = spread.size
  const geometry = { cin: c, h: height, w: width, cout, kernel, stride: ONE, pad: NO_PAD, dilation, groups }
  const weight = turnedWeights(tensorOf(parts.weights, layer.id, 'weight'), layer)
  const inner = convolution(geometry, layer, parts, weight)
  const rows = spreadLines(spread, 0, h)
  const columns = spreadLines(spread, 1, w)
  return {
    run([x], out) {
      const map = k.memory.allocZero(4 * c * height * width)
      const [from, to] = [x.f32(), map.f32()]
      for (let channel = 0; channel < c; channel++) {
        for (const [y, row] of rows.entries()) {
          if (row < 0) continue
          const [source, target] = [(channel * h + row) * w, (channel * height + y) * width]
          for (let i = 0; i < width; i++) if (columns[i] >= 0) to[target + i] = from[source + columns[i]]
        }
      }
      inner.run([map], out)
      map.release()
    },
    release: () => inner.release(),
  }
}

const ONE = [1, 1] as const
const NO_PAD = [0, 0, 0, 0] as const

function convolution(
  g: ConvGeometry,
  layer: LayerOf<'conv2d'> | LayerOf<'linear'> | LayerOf<'convTranspose2d'>,
  parts: Parts,
  weight = tensorOf(parts.weights, layer.id, 'weight'),
): Operation {
  const { k, weights, affine, bounds } = parts
  const bias = layer.bias ? tensorOf(weights, layer.id, 'bias') : undefined
  const folded = affine ? foldAffine(weight, bias, affine) : { weight, bias }
  const conv = packConvF32(k, g, folded.weight, folded.bias)
  const plain = bounds.low === Number.NEGATIVE_INFINITY && bounds.high === Number.POSITIVE_INFINITY
  return {
    run: ([x], out) => convF32(k, conv, x, out, bounds),
    release: () => conv.release(),
    ...(plain ? { conv } : {}),
  }
}

/** A per-channel map that stands alone; those behind it have been folded into `parts.affine`. */
function perChannel(layer: Layer, { k, weights, affine, bounds }: Parts): Operation {
  const { factor, shift } = affine ?? affineOf([layer], weights)
  const factors = upload(k.memory, Float32Array.from(factor))
  const shifts = upload(k.memory, Float32Array.from(shift))
  const channels = layer.out[0]
  const plane = elementCount(layer.out) / channels
  return {
    run: ([x], out) => affineF32(k, x, factors, shifts, out, channels, plane, bounds),
    release: () => {
      factors.release()
      shifts.release()
    },
  }
}

function activation(layer: Layer, { k, relu }: Parts): Operation {
  const prepared = prepareActivation(k, layer, relu)
  return { run: ([x], out) => prepared.run(x, out), release: () => prepared.release() }
}

/** relu(x) + slope · (x - relu(x)), whatever the spec makes of relu; what it makes zero stays zero. */
function leaky(layer: Layer, slope: (channel: number) => number, { k, relu }: Parts): Operation {
  const n = elementCount(layer.out)
  const channels = layer.out[0]
  const prepared = prepareActivation(k, layer, relu)
  const off = (c: number) => relu.kind === 'zero' || (relu.kind === 'block' && relu.blocks[c][1] === 0)
  const slopes = upload(
    k.memory,
    Float32Array.from({ length: channels }, (_, c) => (off(c) ? 0 : slope(c))),
  )
  const shifts = upload(k.memory, new Float32Array(channels))
  const kept = relu.kind === 'mask' && relu.off === 'zero' ? upload(k.memory, relu.bits) : null
  return {
    run([x], out) {
      prepared.run(x, out)
      const rest = k.memory.alloc(n * 4)
      subF32(k, x, out, rest, n)
      affineF32(k, rest, slopes, shifts, rest, channels, n / channels)
      if (kept) maskActivationF32(k, rest, kept, false, UNBOUNDED, rest, n)
      addF32(k, out, rest, out, n)
      rest.release()
    },
    release() {
      for (const held of [prepared, slopes, shifts, kept]) held?.release()
    },
  }
}

function add(layer: Layer, { k, bounds }: Parts): Operation {
  const n = elementCount(layer.out)
  return stateless((inputs, out) => {
    for (let i = 1; i < inputs.length; i++) {
      addF32(k, i === 1 ? inputs[0] : out, inputs[i], out, n, i === inputs.length - 1 ? bounds : undefined)
    }
  })
}

function weightedSum(layer: LayerOf<'weightedSum'>, { k, weights }: Parts): Operation {
  const raw = tensorOf(weights, layer.id, 'coef')
  const factors = layer.norm === 'softmax' ? softmax(raw) : Array.from(raw)
  const n = elementCount(layer.out)
  return stateless((inputs, out) => {
    out.u8().fill(0)
    inputs.forEach((x, i) => {
      addScaledF32(k, x, factors[i], out, n)
    })
  })
}

function softmax(values: Float32Array): number[] {
  const most = values.reduce((a, b) => Math.max(a, b))
  const powers = Array.from(values, (v) => Math.exp(v - most))
  const sum = powers.reduce((a, b) => a + b)
  return powers.map((power) => power / sum)
}

function concat(): Operation {
  return stateless((inputs, out) => {
    let at = 0
    for (const x of inputs) {
      out.part(at, x.byteLength).u8().set(x.u8())
      at += x.byteLength
    }
  })
}

/** Of a pooling layer. */
export function poolOf(layer: LayerOf<'avgPool'> | LayerOf<'maxPool'>): FloatPool {
  const { kernel, stride, pad } = layer
  return { ...toMapSize(layer.inShapes[0]), kernel, stride, pad, out: [layer.out[1], layer.out[2]] }
}

function resize(layer: LayerOf<'resize'>, { k }: Parts): Operation {
  const size = toMapSize(layer.inShapes[0])
  const [oh, ow] = layer.size
  const rows = blendTable(k, blendsOf(layer.mode, size.h, oh)!) // `requireFloat` has refused what cannot be blended
  const columns = blendTable(k, blendsOf(layer.mode, size.w, ow)!)
  return {
    run: ([x], out) => resizeF32(k, size, x, rows, columns, [oh, ow], out),
    release: () => {
      rows.release()
      columns.release()
    },
  }
}

/** Every stride-th row and column, between channels of zeros. */
function shrink(
  k: FloatKernels,
  layer: Layer,
  stride: readonly [number, number],
  offset: readonly [number, number],
  channelOffset: number,
): Operation {
  const from = { ...toMapSize(layer.inShapes[0]), stride, offset }
  const { c: channels, h, w } = toMapSize(layer.out)
  const to = { channels, h, w, channelOffset, top: 0, left: 0 }
  return stateless(([x], out) => embed32(k, from, x, to, out))
}
