// JPEGs beside what libjpeg-turbo reads of them: blocks of one level, whose transforms are exact, so that pixels are equal.
import { inflateSync } from 'node:zlib'
import jpeg from 'jpeg-js'
import { describe, expect, it } from 'vitest'
import { decodeImage } from '../../../src/model/pictures/decode.js'
import { vectors } from '../../fixtures/vectors.js'

interface Known {
  readonly kind: string
  readonly width: number
  readonly height: number
  readonly file: string
  /** Red, green and blue, deflated. */
  readonly pixels: string
}
const { source, jpeg: files } = vectors<{ source: string; jpeg: readonly Known[] }>('pictures.json')
const fileOf = ({ file }: Known) => new Uint8Array(Buffer.from(file, 'base64'))

describe(`colours as ${source} reads them`, () => {
  it.each(files.map((one) => [one.kind, one] as const))('%s', (_, one) => {
    const { width, height, channels, data } = decodeImage(fileOf(one))
    expect([width, height, channels]).toEqual([one.width, one.height, 3])
    expect(Buffer.from(data).equals(inflateSync(Buffer.from(one.pixels, 'base64')))).toBe(true)
  })

  it('are not those of repeated samples', () => {
    const { data } = jpeg.decode(fileOf(files[0]), { useTArray: true, formatAsRGBA: false })
    const wanted = inflateSync(Buffer.from(files[0].pixels, 'base64'))
    expect(data.filter((level, i) => Math.abs(level - wanted[i]) > 8).length).toBeGreaterThan(100)
  })
})

it('factors of no meaning make an error or a picture, never a wait', () => {
  const file = fileOf(files[0])
  const at = file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xc0) + 11
  for (let factors = 0; factors < 256; factors++) {
    for (const component of [0, 1]) {
      const bad = file.slice()
      bad[at + 3 * component] = factors
      try {
        expect(decodeImage(bad).data).toHaveLength(40 * 24 * 3)
      } catch (error) {
        expect((error as Error & { code: string }).code).toBe('BAD_FILE')
      }
    }
  }
})
