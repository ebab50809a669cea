// Picture files: PNG, JPEG, and raw planar bytes.
import { type DecodedPng, decode as decodePng } from 'fast-png'
import { RingfenceError } from '../../errors.js'
import { elementCount, formatShape, type Shape } from '../shape.js'
import { boundedPng } from './bounds.js'
import { decodeJpeg } from './jpeg.js'
import { orientationOf, upright } from './jpeg-head.js'
import { BACKGROUND, type Picture } from './picture.js'

/** A picture's file may have this many bytes. */
const MOST_BYTES = 2 ** 26

/**
 * Decodes a PNG or JPEG by its signature, or, when `rawShape` is given and the signature is neither, planar CHW bytes.
 * A picture is turned upright as its EXIF orientation says. Pictures of 16 bits a channel keep the upper 8; transparency is
 * shown on white.
 * @throws RingfenceError BAD_FILE for a damaged, oversized or unknown file; UNSUPPORTED for a rare kind of PNG, and for
 *   WebP, AVIF, HEIC, GIF, BMP and TIFF
 */
export function decodeImage(bytes: Uint8Array, name = 'picture', rawShape?: Shape): Picture {
  const bad = (text: string, cause?: unknown) => new RingfenceError('BAD_FILE', `${name}: ${text}`, [], { cause })
  if (bytes.length > MOST_BYTES) throw bad(`expected at most ${MOST_BYTES} bytes, got ${bytes.length}`)
  try {
    if (startsWith(bytes, [0x89, 0x50, 0x4e, 0x47])) return fromPng(bytes, name)
    if (startsWith(bytes, [0xff, 0xd8, 0xff])) return decodeJpeg(bytes, name)
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    throw bad(`the picture cannot be decoded: ${cause instanceof Error ? cause.message : cause}`, cause)
  }
  if (rawShape && bytes.length === elementCount(rawShape)) return decodeRaw(bytes, rawShape, name)
  const other = otherKind(bytes)
  if (other) {
    throw new RingfenceError(
      'UNSUPPORTED',
      `${name}: expected a PNG or JPEG file, got ${other}, which cannot be read; save it as one of those`,
    )
  }
  if (rawShape) return decodeRaw(bytes, rawShape, name)
  throw bad('expected a PNG or JPEG file, or raw bytes with their shape given')
}

/** Kinds of pictures that are known and not read, by the text at a place of their first bytes. */
const OTHER_KINDS: readonly (readonly [string, number, string])[] = [
  ['WebP', 8, 'WEBP'],
  ['AVIF', 4, 'ftypavi'],
  ['HEIC', 4, 'ftyphei'],
  ['HEIC', 4, 'ftypmif1'],
  ['JPEG 2000', 4, 'jP  '],
  ['JPEG XL', 4, 'JXL '],
  ['GIF', 0, 'GIF8'],
  ['BMP', 0, 'BM'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
]

function otherKind(bytes: Uint8Array): string | undefined {
  const found = OTHER_KINDS.find(([, at, text]) => [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0)))
  return found?.[0]
}

/** Planar bytes, one plane per channel, of shape [1,h,w] or [3,h,w]. */
export function decodeRaw(bytes: Uint8Array, shape: Shape, name = 'picture'): Picture {
  const [channels, height, width] = shape
  if (shape.length !== 3 || (channels !== 1 && channels !== 3)) {
    throw new RingfenceError(
      'BAD_INPUT',
      `expected a raw picture of shape [1,h,w] or [3,h,w], got ${formatShape(shape)}`,
    )
  }
  if (bytes.length !== elementCount(shape)) {
    const expected = `${elementCount(shape)} bytes for a raw picture of shape ${formatShape(shape)}`
    throw new RingfenceError('BAD_FILE', `${name}: expected a PNG, a JPEG or ${expected}, got ${bytes.length} bytes`)
  }
  const plane = width * height
  const data = new Uint8Array(bytes.length)
  for (let c = 0; c < channels; c++) for (let i = 0; i < plane; i++) data[i * channels + c] = bytes[c * plane + i]
  return { width, height, channels, data }
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte)
}

function fromPng(bytes: Uint8Array, name: string): Picture {
  const { file, exif } = boundedPng(bytes, name)
  const png = decodePng(file, { checkCrc: true })
  const levels = unpack(png)
  const stored = png.palette ? fromPalette(png, levels, png.palette) : fromLevels(png, levels)
  return upright(stored, (exif && orientationOf(exif)) ?? 1)
}

/** Samples as they are in the file, one per array element. */
function unpack({ data, depth, width, height }: DecodedPng): ArrayLike<number> {
  if (depth >= 8) return data
  const line = Math.ceil((width * depth) / 8)
  const levels = new Uint8Array(width * height)
  const mask = (1 << depth) - 1
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      levels[y * width + x] = (data[y * line + (bit >> 3)] >> (8 - depth - (bit & 7))) & mask
    }
  }
  return levels
}

function fromPalette({ width, height }: DecodedPng, index: ArrayLike<number>, palette: readonly number[][]): Picture {
  const data = new Uint8Array(3 * width * height)
  for (let i = 0; i < width * height; i++) {
    const colour = palette[index[i]]
    if (!colour) throw new RangeError(`a pixel has no colour in the palette of ${palette.length}`)
    const alpha = (colour[3] ?? 255) / 255
    for (let c = 0; c < 3; c++) data[3 * i + c] = over(colour[c], alpha)
  }
  return { width, height, channels: 3, data }
}

function fromLevels(png: DecodedPng, levels: ArrayLike<number>): Picture {
  const { width, height, depth } = png
  const stored = png.channels
  const channels = stored <= 2 ? 1 : 3
  const key = png.transparency?.length === channels && stored === channels ? png.transparency : undefined
  const most = 2 ** depth - 1
  const data = new Uint8Array(channels * width * height)
  for (let i = 0; i < width * height; i++) {
    const from = i * stored
    let alpha = stored > channels ? levels[from + channels] / most : 1
    if (key?.every((level, c) => level === levels[from + c])) alpha = 0
    for (let c = 0; c < channels; c++) {
      const level = levels[from + c]
      data[i * channels + c] = over(depth === 16 ? level >> 8 : (level * 255) / most, alpha)
    }
  }
  return { width, height, channels, data }
}

function over(level: number, alpha: number): number {
  return Math.round(level * alpha + BACKGROUND * (1 - alpha))
}
