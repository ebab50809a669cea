// Float convolution and matrix-vector product: direct loops over a padded copy of the input, four output channels by
// two positions at a time. Sums are kept in double precision and rounded once.
import type { LayerOf } from '../model/layers.js'

/** x [n] times weight [cout, n], plus bias [cout]. */
export function matVec(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | undefined,
  cout: number,
): Float32Array {
  const out = new Float32Array(cout)
  const n = x.length
  for (let o = 0, w = 0; o < cout; o++) {
    let sum = bias ? bias[o] : 0
    for (let i = 0; i < n; i++) sum += weight[w++] * x[i]
    out[o] = sum
  }
  return out
}

/** x [cin,h,w], weight [cout, cin/groups, kh, kw], bias [cout]. */
export function convolve(
  layer: LayerOf<'conv2d'>,
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | undefined,
): Float32Array {
  const { groups, cout } = layer
  const cin = layer.inShapes[0][0] / groups
  const padded = padInput(layer, x)
  const taps = tapOffsets(layer, cin, padded.height * padded.width, padded.width)
  const positions = windowStarts(layer, padded.width)
  const out = new Float32Array(cout * positions.length)
  const perGroup = cout / groups
  for (let o = 0; o < cout; ) {
    const group = Math.floor(o / perGroup)
    const input = padded.data.subarray(group * cin * padded.height * padded.width)
    const four = o + 4 <= (group + 1) * perGroup
    if (four) fourChannels(input, weight, taps, positions, out, o)
    else oneChannel(input, weight, taps, positions, out, o)
    o += four ? 4 : 1
  }
  if (bias) addBias(out, bias, positions.length)
  return out
}

interface PaddedInput {
  readonly data: Float32Array
  readonly height: number
  readonly width: number
}

function padInput({ pad: [top, left, bottom, right], inShapes }: LayerOf<'conv2d'>, x: Float32Array): PaddedInput {
  const [c, h, w] = inShapes[0]
  const height = top + h + bottom
  const width = left + w + right
  if (height === h && width === w) return { data: x, height, width }
  const data = new Float32Array(c * height * width)
  for (let row = 0; row < c * h; row++) {
    const to = (Math.floor(row / h) * height + top + (row % h)) * width + left
    data.set(x.subarray(row * w, (row + 1) * w), to)
  }
  return { data, height, width }
}

/** Distance of every (channel, row, column) of the kernel from its first element, in the order of the weights. */
function tapOffsets({ kernel, dilation }: LayerOf<'conv2d'>, cin: number, plane: number, width: number): Int32Array {
  const taps = new Int32Array(cin * kernel[0] * kernel[1])
  let t = 0
  for (let c = 0; c < cin; c++) {
    for (let ky = 0; ky < kernel[0]; ky++) {
      for (let kx = 0; kx < kernel[1]; kx++) taps[t++] = c * plane + ky * dilation[0] * width + kx * dilation[1]
    }
  }
  return taps
}

/** Where the window of every output position starts in the padded plane. */
function windowStarts({ out: [, oh, ow], stride }: LayerOf<'conv2d'>, width: number): Int32Array {
  const starts = new Int32Array(oh * ow)
  for (let y = 0, i = 0; y < oh; y++) for (let x = 0; x < ow; x++) starts[i++] = y * stride[0] * width + x * stride[1]
  return starts
}

function oneChannel(
  input: Float32Array,
  weight: Float32Array,
  taps: Int32Array,
  starts: Int32Array,
  out: Float32Array,
  o: number,
): void {
  const n = taps.length
  for (let p = 0; p < starts.length; p++) {
    const at = starts[p]
    let sum = 0
    for (let t = 0, w = o * n; t < n; t++, w++) sum += weight[w] * input[at + taps[t]]
    out[o * starts.length + p] = sum
  }
}

function fourChannels(
  input: Float32Array,
  weight: Float32Array,
  taps: Int32Array,
  starts: Int32Array,
  out: Float32Array,
  o: number,
): void {
  const n = taps.length
  const count = starts.length
  const w0 = o * n
  for (let p = 0; p < count; p += 2) {
    const q = p + 1 < count ? p + 1 : p // an odd last position is computed twice
    const atP = starts[p]
    const atQ = starts[q]
    let p0 = 0, p1 = 0, p2 = 0, p3 = 0, q0 = 0, q1 = 0, q2 = 0, q3 = 0 // biome-ignore format: eight sums in registers
    for (let t = 0; t < n; t++) {
      const tap = taps[t]
      const a = input[atP + tap]
      const b = input[atQ + tap]
      const w = w0 + t
      const k0 = weight[w]
      const k1 = weight[w + n]
      const k2 = weight[w + 2 * n]
      const k3 = weight[w + 3 * n]
      p0 += k0 * a
      p1 += k1 * a
      p2 += k2 * a
      p3 += k3 * a
      q0 += k0 * b
      q1 += k1 * b
      q2 += k2 * b
      q3 += k3 * b
    }
    let to = o * count
    out[to + p] = p0
    out[to + q] = q0
    out[(to += count) + p] = p1
    out[to + q] = q1
    out[(to += count) + p] = p2
    out[to + q] = q2
    out[(to += count) + p] = p3
    out[to + q] = q3
  }
}

function addBias(out: Float32Array, bias: Float32Array, plane: number): void {
  for (let o = 0, i = 0; o < bias.length; o++) for (const end = i + plane; i < end; i++) out[i] += bias[o]
}
