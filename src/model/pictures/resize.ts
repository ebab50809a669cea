// Pictures of another size, with a filter that averages what it shrinks.
import { RingfenceError } from '../../errors.js'
import { MOST_PIXELS, type Picture } from './picture.js'

/**
 * How a picture of another shape is made to fit: `fit` shows all of the picture, between black bars; `cover` its middle, as large as fits, without bars; `stretch` all of it,
 * its sides scaled apart.
 */
export type Resize = 'fit' | 'cover' | 'stretch'
export const RESIZES: readonly Resize[] = ['fit', 'cover', 'stretch']

interface Size {
  readonly width: number
  readonly height: number
}

/**
 * A picture in another size, by a triangle filter that is as wide as what it shrinks: to the bit what Pillow's `BILINEAR` gives,
 * hence torchvision's `Resize` of a picture; `cover` is Pillow's `ImageOps.fit`.
 * @param width of the result, in pixels
 * @param height likewise
 * @throws RingfenceError BAD_INPUT for a size that is no positive whole number, or with which more than 2^24 pixels come out
 *   or lie between the two passes
 */
export function resizePicture(picture: Picture, width: number, height: number, how: Resize): Picture {
  const size = { width, height }
  const most = width * Math.max(height, picture.height)
  if (![width, height].every((n) => Number.isInteger(n) && n > 0) || most > MOST_PIXELS) {
    const expected = `a width and a height of at least 1 pixel, ${MOST_PIXELS} in all`
    const from = `a picture ${picture.width} wide and ${picture.height} high`
    throw new RingfenceError('BAD_INPUT', `expected ${expected}, got ${width} and ${height} for ${from}`)
  }
  if (!RESIZES.includes(how)) {
    throw new RingfenceError('BAD_INPUT', `expected ${RESIZES.join(', ')} as the way to resize, got ${how}`)
  }
  if (picture.width === width && picture.height === height) return picture
  if (how === 'stretch') return sampled(picture, size, { left: 0, top: 0, ...extent(picture) })
  return how === 'cover' ? sampled(picture, size, middle(picture, size)) : surrounded(contained(picture, size), size)
}

const extent = ({ width, height }: Size): Size => ({ width, height })

interface Box extends Size {
  readonly left: number
  readonly top: number
}

/** The largest box of the wanted shape. Pillow holds corners in single precision. */
function middle({ width, height }: Size, wanted: Size): Box {
  const ratio = wanted.width / wanted.height
  const wide = width / height >= ratio
  const [across, down] = wide ? [ratio * height, height] : [width, width / ratio]
  const [left, top] = [(width - across) / 2, (height - down) / 2]
  const [l, t] = [Math.fround(left), Math.fround(top)]
  return { left: l, top: t, width: Math.fround(left + across) - l, height: Math.fround(top + down) - t }
}

function contained(picture: Picture, { width, height }: Size): Picture {
  const wide = picture.width / picture.height > width / height
  const size = wide
    ? { width, height: Math.max(1, Math.round((picture.height / picture.width) * width)) }
    : { width: Math.max(1, Math.round((picture.width / picture.height) * height)), height }
  return sampled(picture, size, { left: 0, top: 0, ...extent(picture) })
}

/** In the middle of black. */
function surrounded(picture: Picture, { width, height }: Size): Picture {
  const { channels } = picture
  const data = new Uint8Array(width * height * channels)
  const [left, top] = [(width - picture.width) >> 1, (height - picture.height) >> 1]
  const row = picture.width * channels
  for (let y = 0; y < picture.height; y++) {
    data.set(picture.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * channels)
  }
  return { width, height, channels, data }
}

/** A box of the picture in another size: along rows first, then along columns, each rounded to 8 bits. */
function sampled(picture: Picture, { width, height }: Size, box: Box): Picture {
  const { channels } = picture
  const across = weightsOf(picture.width, box.left, box.width, width)
  const narrow = new Uint8Array(width * picture.height * channels)
  const stride = picture.width * channels
  for (let y = 0, to = 0; y < picture.height; y++) {
    for (const { from, weights } of across) {
      for (let c = 0; c < channels; c++) {
        narrow[to++] = weighted(picture.data, y * stride + from * channels + c, channels, weights)
      }
    }
  }
  const data = new Uint8Array(width * height * channels)
  const row = width * channels
  const down = weightsOf(picture.height, box.top, box.height, height)
  down.forEach(({ from, weights }, y) => {
    for (let x = 0; x < row; x++) data[y * row + x] = weighted(narrow, from * row + x, row, weights)
  })
  return { width, height, channels, data }
}

/** Fractional bits of a weight. */
const BITS = 22

/** Weights are not negative and sum to about 1. */
function weighted(values: Uint8Array, from: number, step: number, weights: Int32Array): number {
  let sum = 2 ** (BITS - 1)
  for (let i = 0, at = from; i < weights.length; i++, at += step) sum += values[at] * weights[i]
  return Math.min(255, sum >> BITS)
}

interface Taps {
  /** The first sample that counts. */
  readonly from: number
  readonly weights: Int32Array
}

/** Per new sample a triangle over what it stands for, and at least over its two neighbours. */
function weightsOf(count: number, start: number, length: number, wanted: number): Taps[] {
  const scale = length / wanted
  const support = Math.max(scale, 1)
  return Array.from({ length: wanted }, (_, i) => {
    const centre = start + (i + 0.5) * scale
    const from = Math.max(0, Math.trunc(centre - support + 0.5))
    const end = Math.min(count, Math.trunc(centre + support + 0.5))
    const shares = Array.from({ length: end - from }, (_, k) =>
      Math.max(0, 1 - Math.abs((k + from - centre + 0.5) / support)),
    )
    const sum = shares.reduce((total, share) => total + share, 0)
    return { from, weights: Int32Array.from(shares, (share) => Math.trunc((share / sum) * 2 ** BITS + 0.5)) }
  })
}
