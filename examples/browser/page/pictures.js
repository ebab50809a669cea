// From a file to the picture the network takes, and from numbers to pictures.
import chelsea from '../../../models/samples/cat-chelsea.png'
import whole from '../../../models/samples/cat-chelsea-whole.png'
import horse from '../../../models/samples/horse-silhouette.png'

export const SAMPLES = [
  { name: 'cat', url: chelsea, alt: 'A cat’s face, 32 by 32 pixels' },
  { name: 'whole cat', url: whole, alt: 'The same cat, its whole photograph squeezed to a square' },
  { name: 'horse', url: horse, alt: 'The black silhouette of a horse' },
]

/** The middle square of a picture, scaled, on white. @returns Picture (of ringfence), three channels */
export async function pictureOf(blob, width, height) {
  const all = await createImageBitmap(blob)
  const side = Math.min(all.width, all.height)
  const [left, top] = [(all.width - side) >> 1, (all.height - side) >> 1]
  const scaled = { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' }
  const square = await createImageBitmap(all, left, top, side, side, side === width && side === height ? {} : scaled)
  const pen = new OffscreenCanvas(width, height).getContext('2d')
  pen.fillStyle = 'white'
  pen.fillRect(0, 0, width, height)
  pen.drawImage(square, 0, 0)
  const rgba = pen.getImageData(0, 0, width, height).data
  return { width, height, channels: 3, data: rgba.filter((_, i) => i % 4 !== 3) }
}

/** Draws pixels of red, green, blue. */
export function draw(canvas, { width, height, data }, label) {
  const image = new ImageData(width, height)
  for (let i = 0; i < width * height; i++) {
    image.data.set(data.subarray(3 * i, 3 * i + 3), 4 * i)
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
