// Binary image sets: one label byte and then the planar bytes of the picture, record after record.
import { RingfenceError } from '../../errors.js'
import { elementCount, formatShape, type Shape } from '../shape.js'
import { decodeRaw } from './decode.js'
import type { Picture } from './input.js'

export interface LabelledPicture {
  /** Index of the class. */
  readonly label: number
  readonly picture: Picture
}

/** CIFAR-10's binary format: label, then 32 x 32 red, green and blue planes. */
export function readCifar(bytes: Uint8Array, source = 'CIFAR-10 file'): LabelledPicture[] {
  return readRecords(bytes, [3, 32, 32], source)
}

/** Label, then 28 x 28 grey pixels. */
export function readMnistBin(bytes: Uint8Array, source = 'digits file'): LabelledPicture[] {
  return readRecords(bytes, [1, 28, 28], source)
}

function readRecords(bytes: Uint8Array, shape: Shape, source: string): LabelledPicture[] {
  const size = 1 + elementCount(shape)
  if (bytes.length === 0 || bytes.length % size !== 0) {
    const expected = `records of ${size} bytes (label and ${formatShape(shape)})`
    throw new RingfenceError('BAD_FILE', `${source}: expected ${expected}, got ${bytes.length} bytes in all`)
  }
  return Array.from({ length: bytes.length / size }, (_, i) => ({
    label: bytes[i * size],
    picture: decodeRaw(bytes.subarray(i * size + 1, (i + 1) * size), shape, source),
  }))
}
