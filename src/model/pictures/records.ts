// Files that hold many pictures of one size: CIFAR's and MNIST's binary formats and their like.
import { RingfenceError } from '../../errors.js'
import { elementCount, formatShape, type Shape } from '../shape.js'
import { decodeRaw } from './decode.js'
import type { Picture } from './picture.js'

export interface ImageRecords {
  readonly count: number
  /** Index of the class, per picture; undefined where the file has none. */
  readonly labels: readonly number[] | undefined
  picture(index: number): Picture
}

/** First four bytes of MNIST's files of images and of labels (http://yann.lecun.com/exdb/mnist). */
const IDX_IMAGES = 0x0803
const IDX_LABELS = 0x0801
const CIFAR = [3, 32, 32]

/**
 * Reads planar pictures of a network's input shape: MNIST's IDX file, or records of a label and the pixels. The label is
 * one byte (CIFAR-10), two where the second is the class (CIFAR-100), or two with the low byte first (other shapes).
 * @throws RingfenceError BAD_FILE when the bytes are no such file or the pictures have another size
 */
export function readImageRecords(bytes: Uint8Array, shape: Shape, source: string): ImageRecords {
  const size = elementCount(shape)
  if (bytes.length >= 16 && word(bytes, 0) === IDX_IMAGES) return readIdx(bytes, shape, source)
  const head = [1, 2].find((length) => bytes.length > 0 && bytes.length % (length + size) === 0)
  if (head === undefined) {
    const expected = `records of a label of one or two bytes and ${size} pixels (${formatShape(shape)})`
    throw new RingfenceError('BAD_FILE', `${source}: expected ${expected}, got ${bytes.length} bytes in all`)
  }
  const record = head + size
  const isCifar = CIFAR.every((length, i) => length === shape[i])
  const label = (at: number): number => {
    if (head === 1) return bytes[at]
    return isCifar ? bytes[at + 1] : bytes[at] + 256 * bytes[at + 1]
  }
  return {
    count: bytes.length / record,
    labels: Array.from({ length: bytes.length / record }, (_, i) => label(i * record)),
    picture: (i) => decodeRaw(bytes.subarray(i * record + head, (i + 1) * record), shape, source),
  }
}

function readIdx(bytes: Uint8Array, shape: Shape, source: string): ImageRecords {
  const [count, height, width] = [4, 8, 12].map((at) => word(bytes, at))
  if (shape.length !== 3 || shape[0] !== 1 || shape[1] !== height || shape[2] !== width) {
    throw new RingfenceError(
      'BAD_FILE',
      `${source}: expected pictures of shape ${formatShape(shape)}, got ${formatShape([1, height, width])}`,
    )
  }
  const size = height * width
  if (bytes.length !== 16 + count * size) {
    const expected = `${count} pictures in ${16 + count * size} bytes, as its head says`
    throw new RingfenceError('BAD_FILE', `${source}: expected ${expected}, got ${bytes.length} bytes`)
  }
  const picture = (i: number) => decodeRaw(bytes.subarray(16 + i * size, 16 + (i + 1) * size), shape, source)
  return { count, labels: undefined, picture }
}

/** Labels of an IDX file. @throws RingfenceError BAD_FILE */
export function readIdxLabels(bytes: Uint8Array, source: string): readonly number[] {
  const isIdx = bytes.length >= 8 && word(bytes, 0) === IDX_LABELS
  if (isIdx && bytes.length === 8 + word(bytes, 4)) return [...bytes.subarray(8)]
  throw new RingfenceError('BAD_FILE', `${source}: expected an IDX file of labels (magic number 2049), whole`)
}

/** High byte first. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}
