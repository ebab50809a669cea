// What a JPEG's segments say before its pixels: which way up the picture is, and which colours its components are.
import type { Picture } from './picture.js'

export interface JpegHead {
  /** EXIF's orientation, 1 … 8; 1 where there is none. */
  readonly orientation: number
  /** Whether the components are red, green and blue, not luma and chroma. */
  readonly isRgb: boolean
  /** Samples across and down per component, in the units of the frame: `[[2, 2], [1, 1], [1, 1]]` has halved chroma. */
  readonly sampling: readonly (readonly [across: number, down: number])[]
  /** Where the byte is by which Adobe's segment says what the components are; undefined without one. */
  readonly adobeAt: number | undefined
}

const ascii = (bytes: Uint8Array, at: number, text: string): boolean =>
  [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0))

/** Reads the segments up to the first scan; what is damaged there is the decoder's to report. */
export function readJpegHead(bytes: Uint8Array): JpegHead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let orientation = 1
  let adobeAt: number | undefined
  let isJfif = false
  let ids = ''
  let sampling: JpegHead['sampling'] = []
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]
    if (marker === 0xff) {
      at++ // fill
      continue
    }
    const end = at + 2 + view.getUint16(at + 2)
    if (marker === 0xda || end > bytes.length) break
    const body = bytes.subarray(at + 4, end)
    if (marker === 0xe0 && ascii(body, 0, 'JFIF')) isJfif = true
    if (marker === 0xe1 && ascii(body, 0, 'Exif\0\0')) orientation = orientationOf(body.subarray(6)) ?? orientation
    if (marker === 0xee && ascii(body, 0, 'Adobe') && body.length > 11) adobeAt = at + 4 + 11
    if (marker >= 0xc0 && marker <= 0xc2) {
      const components = Array.from({ length: body[5] ?? 0 }, (_, i) => body.subarray(6 + 3 * i, 9 + 3 * i))
      ids = String.fromCharCode(...components.map(([id = 0]) => id))
      sampling = components.map(([, factors = 0x11]) => [factors >> 4, factors & 15])
    }
    at = end
  }
  const adobe = adobeAt === undefined ? undefined : bytes[adobeAt]
  const isRgb = !isJfif && (adobe === undefined ? ids === 'RGB' : adobe === 0)
  return { orientation, isRgb, sampling, adobeAt }
}

const ORIENTATION = 0x0112
/** Type and count of the tag: one unsigned short. */
const SHORT = 3

/** The tag in the first directory of a TIFF file (EXIF 2.3, 4.6.4). */
export function orientationOf(tiff: Uint8Array): number | undefined {
  if (tiff.length < 8) return undefined
  const little = ascii(tiff, 0, 'II')
  if (!little && !ascii(tiff, 0, 'MM')) return undefined
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const start = view.getUint32(4, little)
  if (start + 2 > tiff.length) return undefined
  const count = view.getUint16(start, little)
  for (let i = 0, at = start + 2; i < count && at + 12 <= tiff.length; i++, at += 12) {
    if (view.getUint16(at, little) !== ORIENTATION || view.getUint16(at + 2, little) !== SHORT) continue
    const value = view.getUint16(at + 8, little)
    return value >= 1 && value <= 8 ? value : undefined
  }
  return undefined
}

/** The picture as it is meant to be looked at. */
export function upright(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture
  const { width, height, channels, data } = picture
  const [turned, fromRight, fromBottom] = PLACES[orientation - 1]
  const [w, h] = turned ? [height, width] : [width, height]
  const out = new Uint8Array(data.length)
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const [column, row] = turned ? [y, x] : [x, y]
      const from =
        ((fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column)) * channels
      for (let c = 0; c < channels; c++) out[to++] = data[from + c]
    }
  }
  return { width: w, height: h, channels, data: out }
}

/** Per orientation: whether rows are columns of the stored picture, and from which ends its columns and rows count. */
const PLACES: readonly (readonly [turned: boolean, fromRight: boolean, fromBottom: boolean])[] = [
  [false, false, false],
  [false, true, false],
  [false, true, true],
  [false, false, true],
  [true, false, false],
  [true, false, true],
  [true, true, true],
  [true, true, false],
]
