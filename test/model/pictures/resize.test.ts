// Pictures in another size, beside Pillow's.
import { describe, expect, it } from 'vitest'
import { pictureToInput } from '../../../src/model/pictures/input.js'
import type { Picture } from '../../../src/model/pictures/picture.js'
import { RESIZES, type Resize, resizePicture } from '../../../src/model/pictures/resize.js'
import { vectors } from '../../fixtures/vectors.js'

interface Known {
  readonly size: readonly [width: number, height: number, channels: 1 | 3]
  readonly to: readonly [width: number, height: number]
  readonly how: Resize
  readonly pixels: string
}
const { source, resized } = vectors<{ source: string; resized: readonly Known[] }>('pictures.json')

/** Waves that no filter leaves as they are; the same formula made the vectors. */
function waves([width, height, channels]: Known['size']): Picture {
  const data = new Uint8Array(width * height * channels)
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) data[to++] = (x * 37 + y * 91 + c * 53 + ((x * y) % 29) * 7) % 256
    }
  }
  return { width, height, channels, data }
}

describe(`as ${source}`, () => {
  it.each(resized.map((one) => [one.size.join('x'), one.to.join('x'), one.how, one] as const))(
    '%s to %s, %s',
    (_, __, how, { size, to, pixels }) => {
      const { width, height, channels, data } = resizePicture(waves(size), ...to, how)
      expect([width, height, channels]).toEqual([...to, size[2]])
      expect(Buffer.from(data).equals(Buffer.from(pixels, 'base64'))).toBe(true)
    },
  )
})

describe('a picture of another shape', () => {
  const wide: Picture = { width: 4, height: 2, channels: 1, data: Uint8Array.of(9, 50, 60, 200, 9, 50, 60, 200) }

  it('is shown whole between bars, in its middle, or squeezed', () => {
    const rows = (how: Resize) => {
      const { data } = resizePicture(wide, 2, 2, how)
      return [[...data.subarray(0, 2)], [...data.subarray(2)]]
    }
    const [fit, cover, stretch] = RESIZES.map(rows)
    expect(fit[0][0]).toBeGreaterThan(9)
    expect(fit[1]).toEqual([0, 0])
    expect(cover).toEqual([[50, 60], [50, 60]]) // biome-ignore format: as the picture looks
    expect(stretch[0]).toEqual(stretch[1])
    expect(stretch[0]).not.toEqual([50, 60])
  })

  it('of the same size is not touched', () => {
    for (const how of RESIZES) expect(resizePicture(wide, 4, 2, how)).toBe(wide)
  })

  it('becomes an input only when asked to', () => {
    const input = { shape: [1, 2, 2], preprocess: { scale: 1, mean: [0], std: [1] } }
    expect(() => pictureToInput(wide, input)).toThrow(
      'expected a picture 2 wide and 2 high, got 4 wide and 2 high; resize (or --resize) makes it fit: fit, cover, stretch',
    )
    expect([...pictureToInput(wide, input, { resize: 'cover' })]).toEqual([50, 60, 50, 60])
  })

  it.each([
    [0, 2],
    [1.5, 2],
    [2 ** 13, 2 ** 12],
    [2 ** 24, 1],
  ])('is refused a size of %d and %d', (width, height) => {
    expect(() => resizePicture(wide, width, height, 'fit')).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
  })

  it('is refused another way', () => {
    expect(() => resizePicture(wide, 2, 2, 'crop' as Resize)).toThrow('expected fit, cover, stretch as the way')
  })
})
