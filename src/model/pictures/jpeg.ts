// JPEG files as libjpeg reads them: chroma spread by triangles, not repeated, and colours rounded, not cut off.
import jpeg from 'jpeg-js'
import { checkJpegScans } from './bounds.js'
import { type JpegHead, readJpegHead, upright } from './jpeg-head.js'
import { MOST_PIXELS, type Picture } from './picture.js'

/**
 * Upright, three channels.
 * @throws RingfenceError BAD_FILE for a file of more scans than encoders write; the decoder's own errors for a damaged one
 */
export function decodeJpeg(bytes: Uint8Array, name: string): Picture {
  checkJpegScans(bytes, name)
  const limits = { maxResolutionInMP: MOST_PIXELS / 1e6, maxMemoryUsageInMB: 512 }
  const head = readJpegHead(bytes)
  const isYcc = head.sampling.length === 3 && !head.isRgb
  // Components as they are stored; four of them (CMYK) the decoder converts by itself.
  const colours = head.sampling.length === 3 ? { colorTransform: false } : {}
  const options = { useTArray: true, formatAsRGBA: false, tolerantDecoding: false, ...colours, ...limits } as const
  const { width, height, data } = jpeg.decode(isYcc ? unmarked(bytes, head) : bytes, options)
  if (head.sampling.length === 3) {
    for (let component = 0; component < 3; component++) spread(data, width, height, component, head.sampling)
  }
  if (isYcc) toRgb(data)
  return upright({ width, height, channels: 3, data }, head.orientation)
}

/** The decoder converts colours whatever it is told where Adobe's segment says that they are luma and chroma. */
function unmarked(bytes: Uint8Array, { adobeAt }: JpegHead): Uint8Array {
  if (adobeAt === undefined) return bytes
  const out = bytes.slice()
  out[adobeAt] = 0
  return out
}

/** libjpeg repeats the samples of a plane that is no wider than this. */
const NARROW = 2

/**
 * Replaces repeated samples by a triangle filter, to the bit as libjpeg-turbo does ("fancy upsampling"): each new sample is
 * 3/4 of the near and 1/4 of the far one along each halved axis, rounded down and up by turns. Other ratios stay repeated.
 */
function spread(
  data: Uint8Array,
  width: number,
  height: number,
  component: number,
  sampling: JpegHead['sampling'],
): void {
  const [across, down] = [0, 1].map((axis) => Math.max(...sampling.map((of) => of[axis])) / sampling[component][axis])
  const halved = { x: across === 2, y: down === 2 }
  if ((!halved.x && !halved.y) || (!halved.x && across !== 1) || (!halved.y && down !== 1)) return
  const [columns, rows] = [Math.ceil(width / across), Math.ceil(height / down)]
  if (halved.x && columns <= NARROW) return
  const stored = new Uint8Array(columns * rows)
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) stored[to++] = data[3 * (y * down * width + x * across) + component]
  }
  const line = new Int32Array(columns)
  const shift = 2 * (Number(halved.x) + Number(halved.y))
  const half = 2 ** (shift - 1)
  for (let y = 0; y < height; y++) {
    const near = (halved.y ? y >> 1 : y) * columns
    const far = halved.y ? columns * neighbour(y, rows) : near
    for (let x = 0; x < columns; x++) line[x] = halved.y ? 3 * stored[near + x] + stored[far + x] : stored[near + x]
    for (let x = 0, to = 3 * y * width + component; x < width; x++, to += 3) {
      const sum = halved.x ? 3 * line[x >> 1] + line[neighbour(x, columns)] : line[x]
      // Halved along both axes, the first of two is rounded up at the half; along one, the second.
      const late = ((halved.x ? x : y) & 1) === 1
      data[to] = (sum + (late === (shift === 4) ? half - 1 : half)) >> shift
    }
  }
}

/** The stored sample that is second nearest to place `at` of a doubled axis. */
function neighbour(at: number, count: number): number {
  return Math.min(count - 1, Math.max(0, (at >> 1) + ((at & 1) === 0 ? -1 : 1)))
}

/** Factors of ITU-R BT.601 over the full range (JFIF 1.02), in units of 2^-16. */
const [RED, GREEN_OF_BLUE, GREEN_OF_RED, BLUE] = [1.402, 0.34414, 0.71414, 1.772].map((x) => Math.round(x * 2 ** 16))
const HALF = 2 ** 15

/** Luma and chroma in place to red, green and blue. */
function toRgb(data: Uint8Array): void {
  const pixels = new Uint8ClampedArray(data.buffer, data.byteOffset, data.length)
  for (let i = 0; i < data.length; i += 3) {
    const [y, cb, cr] = [data[i], data[i + 1] - 128, data[i + 2] - 128]
    pixels[i] = y + ((RED * cr + HALF) >> 16)
    pixels[i + 1] = y + ((HALF - GREEN_OF_BLUE * cb - GREEN_OF_RED * cr) >> 16)
    pixels[i + 2] = y + ((BLUE * cb + HALF) >> 16)
  }
}
