// Float32 convolution of CHW maps with weights packed once. Results do not depend on the build (SIMD or scalar): every
// sum has one order.
import { RingfenceError } from '../../errors.js'
import type { KernelExports } from '../abi.js'
import { type ConvLayout, layoutOf, shapeWords, writeTables } from '../conv.js'
import { type ConvGeometry, geometryProblems } from '../geometry.js'
import { expectDisjoint, expectInstance, expectInteger, expectWords } from '../guard.js'
import type { Region } from '../memory.js'
import { embed32 } from '../planes.js'
import type { FloatKernels } from './instance.js'
import { type Bounds, UNBOUNDED } from './maps.js'

/** Weights and biases in the order that `convF32` reads, with the tables of their geometry. */
export interface FloatConv {
  readonly geometry: ConvGeometry
  /** @internal The instance whose memory holds `region`. */
  readonly raw: KernelExports
  /** @internal Tables, weights, biases. */
  readonly region: Region
  /** @internal */ readonly layout: ConvLayout
  /** @internal Where the biases start in the region. */
  readonly bias: number
  release(): void
}

/**
 * Packs a convolution's weights [cout, cin/groups, kh, kw] and biases [cout] (zeros without). A fully connected layer is
 * a 1×1 convolution on [cin, 1, 1].
 *
 * @throws RingfenceError BAD_INPUT with every problem of the geometry
 */
export function packConvF32(k: FloatKernels, g: ConvGeometry, weights: Float32Array, bias?: Float32Array): FloatConv {
  const problems = geometryProblems(g)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'not a convolution', problems)
  const l = layoutOf(g)
  expectLengths(g, l, weights, bias)
  const at = l.weights + g.groups * groupBytes(k, l)
  const region = k.memory.alloc(at + 4 * (g.cout + 3)) // whole tiles of biases are read
  if (l.depthwise) region.u32().set(shapeWords(g, l))
  else writeTables(region.u32(), g, l, 4)
  const conv = { geometry: g, raw: k.raw, region, layout: l, bias: at, release: () => region.release() }
  write(k, conv, weights, bias)
  return conv
}

/** Other weights and biases for a packed convolution, of the same lengths. */
export function repackConvF32(k: FloatKernels, conv: FloatConv, weights: Float32Array, bias?: Float32Array): void {
  expectInstance('repackConvF32', 'weights', conv.raw, k)
  expectLengths(conv.geometry, conv.layout, weights, bias)
  write(k, conv, weights, bias)
}

function expectLengths(g: ConvGeometry, l: ConvLayout, weights: Float32Array, bias: Float32Array | undefined): void {
  if (weights.length !== g.cout * l.depth) {
    throw new RangeError(`weights: expected ${g.cout * l.depth} words, got ${weights.length}`)
  }
  if (bias && bias.length !== g.cout) throw new RangeError(`bias: expected ${g.cout} words, got ${bias.length}`)
}

const isFlat = (l: ConvLayout): boolean => l.depthwise || l.n === 1

/** Bytes of a group's packed weights. */
function groupBytes(k: FloatKernels, l: ConvLayout): number {
  return isFlat(l) ? l.rows * l.depth * 4 : k.raw.packedWeightBytes32(l.rows, l.depth)
}

function write(k: FloatKernels, conv: FloatConv, weights: Float32Array, bias: Float32Array | undefined): void {
  const { region, layout: l, geometry: g } = conv
  const biases = region.part(conv.bias, 4 * (g.cout + 3)).f32()
  biases.fill(0)
  if (bias) biases.set(bias)
  if (isFlat(l)) {
    region
      .part(l.weights, 4 * weights.length)
      .f32()
      .set(weights)
    return
  }
  const group = l.rows * l.depth
  const plain = k.memory.alloc(4 * group)
  for (let i = 0; i < g.groups; i++) {
    plain.f32().set(weights.subarray(i * group, (i + 1) * group))
    k.raw.packWeights32(plain.ptr, l.rows, l.depth, region.ptr + l.weights + i * groupBytes(k, l))
  }
  plain.release()
}

/**
 * y[cout, oh, ow] = bias + conv(x[cin, h, w], weights), cut to `bounds`. Grouped, depthwise, strided, dilated, asymmetric
 * padding.
 *
 * @throws RangeError when a region is too short, y overlaps x, or the weights belong to another instance
 */
export function convF32(k: FloatKernels, conv: FloatConv, x: Region, y: Region, bounds: Bounds = UNBOUNDED): void {
  const { geometry: g, layout: l } = conv
  expectConv('convF32', k, conv, x, g.cin * g.h * g.w, y)
  if (l.depthwise) {
    const scratch = k.memory.alloc(4 * l.ph * l.pw + 16 * g.stride[1] + 16)
    const { ptr } = conv.region
    const { low, high } = bounds
    k.float.depthwiseF32(x.ptr, ptr + l.weights, ptr + conv.bias, y.ptr, ptr, low, high, scratch.ptr)
    scratch.release()
    return
  }
  const image = padded(k, g, l, g.cin, x)
  product(k, conv, image.ptr, y, 0, l.depth, conv.region.ptr + conv.bias, bounds)
  if (image !== x) image.release()
}

/**
 * y += what one input channel `x` [h, w] contributes: with a channel's change it turns the outputs before the change
 * into those after it. Only for convolutions of one group.
 *
 * @throws RangeError as `convF32`, and for grouped convolutions
 */
export function addConvChannelF32(k: FloatKernels, conv: FloatConv, channel: number, x: Region, y: Region): void {
  const { geometry: g, layout: l } = conv
  expectConv('addConvChannelF32', k, conv, x, g.h * g.w, y)
  if (g.groups !== 1) throw new RangeError('addConvChannelF32: expected a convolution of one group')
  expectInteger('addConvChannelF32', 'channel', channel, 0, g.cin - 1)
  const image = padded(k, g, l, 1, x)
  const taps = g.kernel[0] * g.kernel[1]
  // Tap offsets count from channel 0, which would stand this far before the one channel there is.
  const origin = image.ptr - 4 * channel * l.ph * l.pw
  product(k, conv, origin, y, channel * taps, (channel + 1) * taps, 0, UNBOUNDED)
  if (image !== x) image.release()
}

function expectConv(call: string, k: FloatKernels, conv: FloatConv, x: Region, words: number, y: Region): void {
  const { geometry: g, layout: l } = conv
  expectInstance(call, 'weights', conv.raw, k)
  expectWords(call, 'x', x, words, 4)
  expectWords(call, 'y', y, g.cout * l.n, 4)
  expectDisjoint(call, y, 4 * g.cout * l.n, x, 4 * words)
  expectDisjoint(call, y, 4 * g.cout * l.n, conv.region, conv.region.byteLength)
}

function padded(k: FloatKernels, g: ConvGeometry, l: ConvLayout, channels: number, x: Region): Region {
  if (g.pad.every((edge) => edge === 0)) return x
  const image = k.memory.alloc(4 * channels * l.ph * l.pw)
  const from = { c: channels, h: g.h, w: g.w, stride: [1, 1], offset: [0, 0] } as const
  embed32(k, from, x, { channels, h: l.ph, w: l.pw, channelOffset: 0, top: g.pad[0], left: g.pad[1] }, image)
  return image
}

/** The taps first ≤ t < last of every group. */
function product(
  k: FloatKernels,
  { geometry: g, layout: l, region }: FloatConv,
  image: number,
  y: Region,
  first: number,
  last: number,
  bias: number,
  { low, high }: Bounds,
): void {
  const scratch = k.memory.alloc(k.raw.convScratch(l.depth) + 128)
  const { ptr } = region
  const imageBytes = 4 * (g.cin / g.groups) * l.ph * l.pw
  k.float.convF32(
    ...([image, ptr + l.weights, ptr, ptr + l.pixels, y.ptr, g.groups, l.rows, l.depth, l.n] as const),
    ...([imageBytes, first, last, bias, low, high, scratch.ptr] as const),
  )
  scratch.release()
}

export * from './maps.js'
