// From a file to the picture the network takes, and from numbers to pictures.
import { resizePicture } from 'ringfence'
import chelsea from '../../../models/samples/cat-chelsea.png'
import whole from '../../../models/samples/cat-chelsea-whole.png'
import two from '../../../models/samples/digit-2.png'
import four from '../../../models/samples/digit-4.png'
import seven from '../../../models/samples/digit-7.png'
import horse from '../../../models/samples/horse-silhouette.png'

const PHOTOS = [
  { name: 'cat', url: chelsea, alt: 'A cat’s face, 32 by 32 pixels' },
  { name: 'whole cat', url: whole, alt: 'The same cat, its whole photograph squeezed to a square' },
  { name: 'horse', url: horse, alt: 'The black silhouette of a horse' },
]
const DIGITS = [
  { name: 'two', url: two, alt: 'A hand-written 2, white on black' },
  { name: 'four', url: four, alt: 'A hand-written 4, white on black' },
  { name: 'seven', url: seven, alt: 'A hand-written 7, white on black' },
]

/** Pictures that a network knows, by the colours it takes. */
export const samplesFor = ([channels]) => (channels === 1 ? DIGITS : PHOTOS)

/** The middle of a picture in the network's size and colours, on white. @returns Picture (of ringfence) */
export async function pictureOf(blob, [channels, height, width]) {
  const bitmap = await createImageBitmap(blob)
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
  pen.fillStyle = 'white'
  pen.fillRect(0, 0, bitmap.width, bitmap.height)
  pen.drawImage(bitmap, 0, 0)
  const rgba = pen.getImageData(0, 0, bitmap.width, bitmap.height).data
  const colour = { width: bitmap.width, height: bitmap.height, channels: 3, data: rgba.filter((_, i) => i % 4 !== 3) }
  const small = resizePicture(colour, width, height, 'cover')
  return channels === 1 ? grey(small) : small
}

/** Luma, as ITU-R BT.601 has it. */
function grey({ width, height, data }) {
  const levels = Uint8Array.from({ length: width * height }, (_, i) =>
    Math.round(0.299 * data[3 * i] + 0.587 * data[3 * i + 1] + 0.114 * data[3 * i + 2]),
  )
  return { width, height, channels: 1, data: levels }
}

/** Draws pixels, grey or of red, green, blue. */
export function draw(canvas, { width, height, channels, data }, label) {
  const image = new ImageData(width, height)
  for (let i = 0; i < width * height; i++) {
    const pixel = channels === 1 ? Array(3).fill(data[i]) : data.subarray(3 * i, 3 * i + 3)
    image.data.set(pixel, 4 * i)
    image.data[4 * i + 3] = 255
  }
  canvas.width = width
  canvas.height = height
  canvas.getContext('2d').putImageData(image, 0, 0)
  canvas.setAttribute('aria-label', label)
}

/**
 * A tensor of ring words as a picture: of every word its 8 highest bits.
 * @param bytes little-endian bit stream of words of `ring` bits, CHW
 */
export function pictureOfWords(bytes, ring, [channels, height, width]) {
  const data = new Uint8Array(channels * height * width)
  for (let i = 0; i < data.length; i++) {
    const bit = (i + 1) * ring - 8
    const [pixel, channel] = [i % (height * width), Math.floor(i / (height * width))]
    data[pixel * channels + channel] = (bytes[bit >> 3] | (bytes[(bit >> 3) + 1] << 8)) >> (bit & 7)
  }
  return { width, height, channels, data }
}

/** Pearson's correlation of two pictures' values: 1 for the same, about 0 for picture and noise. */
export function correlation({ data: a }, { data: b }) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanA, meanB] = [mean(a), mean(b)]
  const sums = { ab: 0, aa: 0, bb: 0 }
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] - meanA, b[i] - meanB]
    sums.ab += x * y
    sums.aa += x * x
    sums.bb += y * y
  }
  return sums.ab / Math.sqrt(sums.aa * sums.bb) || 0
}
