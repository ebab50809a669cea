// Pictures as pages hold them: pixels of a canvas, bitmaps, frames of a video.
import { RingfenceError } from '../../errors.js'
import { BACKGROUND, MOST_PIXELS, type Picture } from './picture.js'

/** `ImageData`: red, green, blue and alpha, 8 bits each. */
export interface PixelData {
  readonly width: number
  readonly height: number
  readonly data: ArrayLike<number>
  /** Only `srgb` is read, which it is unless a page asks for another. */
  readonly colorSpace?: string
}

/** What a page can draw: `ImageBitmap`, or `VideoFrame`, which says how large it is displayed. It is not closed. */
export type DrawablePicture = Closable &
  (
    | { readonly width: number; readonly height: number }
    | { readonly displayWidth: number; readonly displayHeight: number }
  )

/** What holds memory until it is closed, whoever made it. */
export interface Closable {
  /** Lets its pixels go. */
  close(): void
}

/** What `pictureToInput` takes; the browser's types are named by what is used of them, so that none is needed. */
export type PictureSource = Picture | PixelData | DrawablePicture

/**
 * Any of them as a picture: colour, on white where it is transparent.
 * @throws RingfenceError BAD_INPUT for what is none of them, or for more than 2^24 pixels; UNSUPPORTED for a bitmap or a frame
 *   where the host cannot draw, and for pixels that are not 8 bits of sRGB
 */
export function toPicture(source: PictureSource, name = 'picture'): Picture {
  if ('channels' in source) return source
  if ('data' in source) return fromPixels(source, name)
  if ('close' in source) return fromPixels(drawn(source, name), name)
  const expected = 'a picture as decodeImage gives it, ImageData, an ImageBitmap or a VideoFrame'
  throw new RingfenceError('BAD_INPUT', `${name}: expected ${expected}`)
}

function fromPixels({ width, height, data: rgba, colorSpace }: PixelData, name: string): Picture {
  const isBytes = rgba instanceof Uint8ClampedArray || rgba instanceof Uint8Array
  if (!isBytes || (colorSpace ?? 'srgb') !== 'srgb') {
    throw new RingfenceError('UNSUPPORTED', `${name}: expected pixels of 8 bits in srgb, got ${colorSpace ?? 'others'}`)
  }
  if (rgba.length !== 4 * width * height) {
    const expected = `4 bytes for each pixel of ${width} x ${height}`
    throw new RingfenceError('BAD_INPUT', `${name}: expected ${expected}, got ${rgba.length}`)
  }
  const data = new Uint8ClampedArray(3 * width * height)
  for (let i = 0, to = 0; to < data.length; i += 4) {
    const alpha = rgba[i + 3] / 255
    for (let c = 0; c < 3; c++) data[to++] = rgba[i + c] * alpha + BACKGROUND * (1 - alpha)
  }
  return { width, height, channels: 3, data: new Uint8Array(data.buffer) }
}

/** The part of `OffscreenCanvas` that is used. */
interface Canvas {
  getContext(
    kind: '2d',
    options: object,
  ): {
    drawImage(image: unknown, left: number, top: number, width: number, height: number): void
    getImageData(left: number, top: number, width: number, height: number, settings: object): PixelData
  } | null
}

/** A video's frame is drawn the way up, and in the shape, in which it is displayed. */
function drawn(source: DrawablePicture, name: string): PixelData {
  const [width, height] =
    'displayWidth' in source ? [source.displayWidth, source.displayHeight] : [source.width, source.height]
  if (!(width * height > 0 && width * height <= MOST_PIXELS)) {
    const got = `${width} x ${height}; was it closed?`
    throw new RingfenceError('BAD_INPUT', `${name}: expected 1 to ${MOST_PIXELS} pixels, got ${got}`)
  }
  const { OffscreenCanvas } = globalThis as { OffscreenCanvas?: new (width: number, height: number) => Canvas }
  const pen = OffscreenCanvas && new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!pen) {
    const instead = 'pass its pixels as { width, height, channels, data }'
    throw new RingfenceError('UNSUPPORTED', `${name}: this host has no OffscreenCanvas to draw it on; ${instead}`)
  }
  pen.drawImage(source, 0, 0, width, height)
  return pen.getImageData(0, 0, width, height, { colorSpace: 'srgb' })
}
