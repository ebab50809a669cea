// From a picture to a network's input, and the checks every input passes.
import { RingfenceError } from '../../errors.js'
import type { NetworkInput } from '../architecture.js'
import { elementCount, formatShape, type Shape } from '../shape.js'
import { type PictureSource, toPicture } from './page.js'
import type { Picture } from './picture.js'
import { type Resize, resizePicture } from './resize.js'

/** What `pictureToInput` does besides. */
export interface PictureInputOptions {
  /** Without it a picture has to have the network's size. */
  readonly resize?: Resize
  /** What errors call the picture. */
  readonly name?: string
}

/** Luma weights of ITU-R BT.601. */
const LUMA = [0.299, 0.587, 0.114] as const

/**
 * CHW float32 (HWC where the input says so), `(value * scale - mean) / std` with value 0..255. Grey is repeated for three
 * channels, colour becomes luma for one. In a page it also takes `ImageData`, `ImageBitmap` and `VideoFrame`.
 * @throws RingfenceError BAD_INPUT when width, height or channels do not fit, and as `toPicture` for what is no picture
 */
export function pictureToInput(
  source: PictureSource,
  input: Pick<NetworkInput, 'shape' | 'preprocess' | 'layout'>,
  { resize, name = 'picture' }: PictureInputOptions = {},
): Float32Array {
  const { shape, preprocess } = input
  const [channels, height, width] = shape
  if (shape.length !== 3 || (channels !== 1 && channels !== 3)) {
    throw new RingfenceError('BAD_INPUT', `the network takes an input of shape ${formatShape(shape)}, not a picture`)
  }
  const given = toPicture(source, name)
  const picture = resize ? resizePicture(given, width, height, resize) : given
  if (picture.width !== width || picture.height !== height) {
    const got = `${picture.width} wide and ${picture.height} high`
    throw new RingfenceError(
      'BAD_INPUT',
      `${name}: expected a picture ${width} wide and ${height} high, got ${got}; resize (or --resize) makes it fit: fit, cover, stretch`,
    )
  }
  const plane = width * height
  const out = new Float32Array(channels * plane)
  const [apart, next] = input.layout === 'hwc' ? [1, channels] : [plane, 1]
  for (let c = 0; c < channels; c++) {
    const factor = preprocess.scale / preprocess.std[c]
    const shift = preprocess.mean[c] / preprocess.std[c]
    const level = channels === 1 && picture.channels === 3 ? luma : sample
    const from = preprocess.order === 'bgr' ? 2 - c : c
    for (let i = 0; i < plane; i++) out[c * apart + i * next] = level(picture, i, from) * factor - shift
  }
  return out
}

/** HWC values as CHW. */
export function channelsFirst(values: Float32Array, [channels, height, width]: Shape): Float32Array {
  const out = new Float32Array(values.length)
  const plane = height * width
  for (let c = 0; c < channels; c++) for (let i = 0; i < plane; i++) out[c * plane + i] = values[i * channels + c]
  return out
}

function sample({ data, channels }: Picture, pixel: number, channel: number): number {
  return channels === 1 ? data[pixel] : data[3 * pixel + channel]
}

function luma({ data }: Picture, pixel: number): number {
  return LUMA[0] * data[3 * pixel] + LUMA[1] * data[3 * pixel + 1] + LUMA[2] * data[3 * pixel + 2]
}

/**
 * Returns when `values` is a finite tensor of `shape`.
 * @throws RingfenceError BAD_INPUT for a wrong length, NaN or infinity; the message holds no value of the input
 */
export function checkInput(values: Float32Array, shape: Shape): void {
  const expected = `expected an input of ${elementCount(shape)} finite values, shape ${formatShape(shape)}`
  if (!(values instanceof Float32Array)) throw new RingfenceError('BAD_INPUT', `${expected}, as a Float32Array`)
  if (values.length !== elementCount(shape)) throw new RingfenceError('BAD_INPUT', `${expected}; got ${values.length}`)
  let wrong = 0
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) wrong++
  if (wrong > 0) throw new RingfenceError('BAD_INPUT', `${expected}; got ${wrong} that are NaN or infinite`)
}
