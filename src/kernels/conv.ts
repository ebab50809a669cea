// Convolution of one CHW image with weights packed once: implicit packing, no im2col matrix.
import { RingfenceError } from '../errors.js'
import type { KernelExports } from './abi.js'
import {
  bandOf,
  type ConvGeometry,
  geometryProblems,
  outputSize,
  packedWords,
  tiledBytes,
  tilesOf,
} from './geometry.js'
import { expectDisjoint, expectInstance, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

/** Weights in the order that the kernels read, with the offset tables of their geometry. */
export interface PackedWeights {
  readonly bits: 32 | 64
  readonly geometry: ConvGeometry
  /** @internal The instance whose memory holds `region`. */
  readonly raw: KernelExports
  /** @internal Shape words or offset tables, then weights. */
  readonly region: Region
  /** @internal */ readonly layout: ConvLayout
  /** @internal Whether they are sums of weights, for tiles of outputs. */ readonly tiled: boolean
  /** Gives the memory back, wiped first when `wipe`. */
  release(wipe?: boolean): void
}

/** @internal How a convolution's packed weights lie in memory, whatever the words are. */
export interface ConvLayout {
  readonly depthwise: boolean
  /** Output channels per group, inner dimension, output pixels. */
  readonly rows: number
  readonly depth: number
  readonly n: number
  /** Height and width of the image with its padding. */
  readonly ph: number
  readonly pw: number
  /** Byte offsets inside the region. */
  readonly pixels: number
  readonly weights: number
}

/** @internal */
export function layoutOf(g: ConvGeometry): ConvLayout {
  const [oh, ow] = outputSize(g)
  const n = oh * ow
  const depth = (g.cin / g.groups) * g.kernel[0] * g.kernel[1]
  // With a single output pixel a matrix-vector product per group beats a pass over planes.
  const depthwise = g.groups === g.cin && g.groups > 1 && n > 1
  const tables = depthwise ? 64 : 4 * (depth + n + 8) // whole panels of pixels are read
  return {
    depthwise,
    rows: g.cout / g.groups,
    depth,
    n,
    ph: g.h + g.pad[0] + g.pad[2],
    pw: g.w + g.pad[1] + g.pad[3],
    pixels: 4 * depth,
    weights: (tables + 63) & -64,
  }
}

function weightBytes(k: Kernels, bits: 32 | 64, l: ConvLayout): number {
  if (l.depthwise || l.n === 1) return (l.rows * l.depth * bits) / 8
  return bits === 32 ? k.raw.packedWeightBytes32(l.rows, l.depth) : k.raw.packedWeightBytes64(l.rows, l.depth)
}

/** @internal Byte offsets in the padded image: `taps` of each word under the kernel, `pixels` of each output's first word. */
export function writeTables(table: Uint32Array, g: ConvGeometry, l: ConvLayout, bytes: number): void {
  let at = 0
  for (let c = 0; c < g.cin / g.groups; c++) {
    for (let r = 0; r < g.kernel[0]; r++) {
      for (let s = 0; s < g.kernel[1]; s++) {
        table[at++] = ((c * l.ph + r * g.dilation[0]) * l.pw + s * g.dilation[1]) * bytes
      }
    }
  }
  const [oh, ow] = outputSize(g)
  for (let i = 0; i < oh; i++) {
    for (let j = 0; j < ow; j++) table[at++] = (i * g.stride[0] * l.pw + j * g.stride[1]) * bytes
  }
  table.fill(0, at, at + 8)
}

/** @internal What the depthwise kernels read. */
export function shapeWords(g: ConvGeometry, l: ConvLayout): number[] {
  return [g.cin, g.h, g.w, l.rows, ...g.kernel, ...g.stride, ...g.pad, ...g.dilation, ...outputSize(g)]
}

function pack(bits: 32 | 64, k: Kernels, g: ConvGeometry, weights: Region): PackedWeights {
  const problems = geometryProblems(g)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'not a convolution', problems)
  const bytes = bits === 32 ? 4 : 8
  const l = layoutOf(g)
  expectWords('packConvWeights', 'weights', weights, g.cout * l.depth, bytes)
  if (bits === 32 && k.variant === 'simd' && tilesOf(g)) return packTiled(k, g, l, weights)
  const perGroup = weightBytes(k, bits, l)
  const region = k.memory.alloc(l.weights + g.groups * perGroup)
  if (l.depthwise) region.u32().set(shapeWords(g, l))
  else writeTables(region.u32(), g, l, bytes)
  if (l.depthwise || l.n === 1) {
    region.u8().set(weights.u8().subarray(0, g.cout * l.depth * bytes), l.weights)
  } else {
    const packWeights = bits === 32 ? k.raw.packWeights32 : k.raw.packWeights64
    for (let group = 0; group < g.groups; group++) {
      const from = weights.ptr + group * l.rows * l.depth * bytes
      packWeights(from, l.rows, l.depth, region.ptr + l.weights + group * perGroup)
    }
  }
  return packed(bits, k, g, l, region, false)
}

/**
 * The words that weights were packed from, [cout, cin/groups, kh, kw]; null where they lie as sums for tiles. The caller
 * releases them.
 */
export function unpackConvWeights(k: Kernels, packed: PackedWeights): Region | null {
  const { bits, geometry: g, layout: l, region, tiled, raw } = packed
  expectInstance('unpackConvWeights', 'weights', raw, k)
  if (tiled) return null
  const bytes = bits === 32 ? 4 : 8
  const words = k.memory.alloc(g.cout * l.depth * bytes)
  if (l.depthwise || l.n === 1) {
    words.u8().set(region.u8().subarray(l.weights, l.weights + words.byteLength))
    return words
  }
  const [unpackWeights, perGroup] = [bits === 32 ? raw.unpackWeights32 : raw.unpackWeights64, weightBytes(k, bits, l)]
  for (let group = 0; group < g.groups; group++) {
    const to = words.ptr + group * l.rows * l.depth * bytes
    unpackWeights(region.ptr + l.weights + group * perGroup, l.rows, l.depth, to)
  }
  return words
}

function packTiled(k: Kernels, g: ConvGeometry, layout: ConvLayout, weights: Region): PackedWeights {
  const region = k.memory.alloc(4 * packedWords(g, 32))
  const scratch = k.memory.alloc(4 * g.cin * g.cout)
  for (let i = 0; i < 36; i++) k.raw.pack3x3Weights(weights.ptr, g.cout, g.cin, i, region.ptr, scratch.ptr)
  scratch.release(true)
  return packed(32, k, g, layout, region, true)
}

const packed = (
  bits: 32 | 64,
  { raw }: Kernels,
  geometry: ConvGeometry,
  layout: ConvLayout,
  region: Region,
  tiled: boolean,
): PackedWeights => ({ bits, geometry, raw, region, layout, tiled, release: (wipe) => region.release(wipe) })

function padded(k: Kernels, bits: 32 | 64, g: ConvGeometry, l: ConvLayout, x: Region): Region {
  const y = k.memory.alloc((g.cin * l.ph * l.pw * bits) / 8)
  const embed = bits === 32 ? k.raw.embed32 : k.raw.embed64
  embed(x.ptr, g.cin, g.h, g.w, 1, 1, 0, 0, y.ptr, g.cin, l.ph, l.pw, 0, g.pad[0], g.pad[1])
  return y
}

function convGrouped(k: Kernels, x: Region, w: PackedWeights, y: Region, accumulate: boolean): void {
  const { geometry: g, layout: l, bits, region } = w
  const image = g.pad.some((p) => p > 0) ? padded(k, bits, g, l, x) : x
  const scratch = k.memory.alloc(k.raw.convScratch(l.depth))
  try {
    const conv = bits === 32 ? k.raw.conv32 : k.raw.conv64
    const groupBytes = ((g.cin / g.groups) * l.ph * l.pw * bits) / 8
    const { ptr } = region
    conv(
      ...([image.ptr, ptr + l.weights, ptr, ptr + l.pixels, y.ptr] as const),
      ...([g.groups, l.rows, l.depth, l.n, groupBytes, Number(accumulate), scratch.ptr] as const),
    )
  } finally {
    scratch.release()
    if (image !== x) image.release()
  }
}

function convTiled(k: Kernels, x: Region, w: PackedWeights, y: Region, accumulate: boolean): void {
  const { geometry: g, region } = w
  const tiles = tilesOf(g)!
  const [oh, ow] = outputSize(g)
  const bytes = tiledBytes(g)
  const image = k.memory.alloc(bytes.image)
  const scratch = k.memory.alloc(bytes.scratch)
  try {
    const [ph, pw] = [4 * tiles.high + 2, 4 * tiles.wide + 2]
    k.raw.embed32(x.ptr, g.cin, g.h, g.w, 1, 1, 0, 0, image.ptr, g.cin, ph, pw, 0, g.pad[0], g.pad[1])
    k.raw.conv3x3(
      ...([image.ptr, region.ptr, y.ptr, g.cin, g.cout, oh, ow, bandOf(g, tiles)] as const),
      ...([Number(accumulate), scratch.ptr] as const),
    )
  } finally {
    scratch.release()
    image.release()
  }
}

function convDepthwise(k: Kernels, x: Region, w: PackedWeights, y: Region, accumulate: boolean): void {
  const { geometry: g, layout: l, bits, region } = w
  const scratch = k.memory.alloc((l.ph * l.pw * bits) / 8 + 16 * g.stride[1] + 16)
  try {
    const depthwise = bits === 32 ? k.raw.depthwise32 : k.raw.depthwise64
    depthwise(x.ptr, region.ptr + l.weights, y.ptr, region.ptr, Number(accumulate), scratch.ptr)
  } finally {
    scratch.release()
  }
}

function conv(bits: 32 | 64) {
  const call = `conv${bits}`
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, g: ConvGeometry, x: Region, w: PackedWeights, y: Region, accumulate = false): void => {
    if (w.bits !== bits) throw new RangeError(`${call}: weights were packed for u${w.bits} words`)
    expectInstance(call, 'weights', w.raw, k)
    if (g !== w.geometry && !sameGeometry(g, w.geometry)) {
      throw new RangeError(`${call}: weights were packed for another geometry`)
    }
    const words = g.cin * g.h * g.w
    expectWords(call, 'x', x, words, bytes)
    expectWords(call, 'y', y, g.cout * w.layout.n, bytes)
    expectDisjoint(call, y, g.cout * w.layout.n * bytes, x, words * bytes)
    expectDisjoint(call, y, g.cout * w.layout.n * bytes, w.region, w.region.byteLength)
    if (w.tiled) convTiled(k, x, w, y, accumulate)
    else if (w.layout.depthwise) convDepthwise(k, x, w, y, accumulate)
    else convGrouped(k, x, w, y, accumulate)
  }
}

function sameGeometry(a: ConvGeometry, b: ConvGeometry): boolean {
  const words = (g: ConvGeometry) =>
    [g.cin, g.h, g.w, g.cout, g.groups, ...g.kernel, ...g.stride, ...g.pad, ...g.dilation].join()
  return words(a) === words(b)
}

/**
 * Copies `weights` (u32, [cout, cin/groups, kh, kw]) into the order that `conv32` reads. Pack once per layer.
 *
 * @throws RingfenceError BAD_INPUT with every problem of the geometry
 */
export function packConvWeights32(k: Kernels, g: ConvGeometry, weights: Region): PackedWeights {
  return pack(32, k, g, weights)
}

/** As `packConvWeights32`, for u64 words. */
export function packConvWeights64(k: Kernels, g: ConvGeometry, weights: Region): PackedWeights {
  return pack(64, k, g, weights)
}

/**
 * y[cout, oh, ow] = conv(x[cin, h, w], weights) mod 2^32, or += with `accumulate`. Grouped, depthwise, strided, dilated,
 * asymmetric padding; a fully connected layer is a 1×1 convolution on [cin, 1, 1].
 *
 * @throws RangeError when a region is too short, y overlaps x, or the weights belong elsewhere
 */
export const conv32 = conv(32)
/** As `conv32`, mod 2^64. */
export const conv64 = conv(64)
