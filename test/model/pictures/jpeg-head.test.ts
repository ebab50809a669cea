// Pictures as cameras and drawing programs write them: turned by EXIF, or in red, green and blue.
import { existsSync, readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { encode } from 'fast-png'
import jpeg from 'jpeg-js'
import { describe, expect, it } from 'vitest'
import { decodeImage } from '../../../src/model/pictures/decode.js'
import { readJpegHead, upright } from '../../../src/model/pictures/jpeg-head.js'

/** Two pixels by three: 0 1 / 2 3 / 4 5. */
const stored = { width: 2, height: 3, channels: 1, data: Uint8Array.of(0, 1, 2, 3, 4, 5) } as const
/** Rows as EXIF 2.3 (table of tag 274H) means them. */
const UPRIGHT: readonly (readonly number[][])[] = [
  [[0, 1], [2, 3], [4, 5]],
  [[1, 0], [3, 2], [5, 4]],
  [[5, 4], [3, 2], [1, 0]],
  [[4, 5], [2, 3], [0, 1]],
  [[0, 2, 4], [1, 3, 5]],
  [[4, 2, 0], [5, 3, 1]],
  [[5, 3, 1], [4, 2, 0]],
  [[1, 3, 5], [0, 2, 4]],
] // biome-ignore format: as the pictures look

describe('orientation', () => {
  it.each(UPRIGHT.map((rows, i) => [i + 1, rows] as const))('%i', (orientation, rows) => {
    const { width, height, data } = upright(stored, orientation)
    expect([width, height]).toEqual([rows[0].length, rows.length])
    expect([...data]).toEqual(rows.flat())
  })

  const segment = (marker: number, body: readonly number[]) => [
    0xff,
    marker,
    (body.length + 2) >> 8,
    (body.length + 2) & 255,
    ...body,
  ]
  const text = (value: string) => [...value].map((c) => c.charCodeAt(0))
  const exif = (orientation: number, little: boolean) => {
    const two = (x: number) => (little ? [x & 255, x >> 8] : [x >> 8, x & 255])
    const four = (x: number) => (little ? [...two(x), 0, 0] : [0, 0, ...two(x)])
    const tag = [...two(0x0112), ...two(3), ...four(1), ...two(orientation), 0, 0]
    const head = [...text(little ? 'II' : 'MM'), ...two(42), ...four(8)]
    return segment(0xe1, [...text('Exif'), 0, 0, ...head, ...two(1), ...tag, ...four(0)])
  }
  const plain = jpeg.encode(
    { width: 16, height: 8, data: new Uint8Array(16 * 8 * 4).map((_, i) => (i % 64 < 32 ? 250 : 5)) },
    95,
  ).data
  const withSegment = (bytes: readonly number[]) =>
    Uint8Array.from([...plain.subarray(0, 2), ...bytes, ...plain.subarray(2)])

  it.each([true, false])('is read from EXIF, little-endian %s', (little) => {
    const turned = decodeImage(withSegment(exif(6, little)))
    const lying = decodeImage(Uint8Array.from(plain))
    expect([turned.width, turned.height]).toEqual([8, 16])
    expect(turned.data).toEqual(upright(lying, 6).data)
  })

  it.each(UPRIGHT.map((_, i) => i + 1))('%i of a PNG', (orientation) => {
    const turned = decodeImage(pngWithExif(orientation))
    expect([...turned.data].map((v) => v / 40)).toEqual(UPRIGHT[orientation - 1].flat())
  })

  it('of a PNG whose EXIF data are damaged is refused by their checksum', () => {
    const damaged = pngWithExif(6)
    damaged[33 + 8 + 19] ^= 1 // the orientation: 7
    expect(() => decodeImage(damaged, 'a.png')).toThrow(/^a\.png: .*CRC.*eXIf/)
  })

  function pngWithExif(orientation: number): Uint8Array {
    const file = encode({ ...stored, data: stored.data.map((v) => 40 * v) })
    const tiff = exif(orientation, false).slice(10)
    const body = Uint8Array.from([...text('eXIf'), ...tiff])
    const chunk = Buffer.alloc(8 + body.length)
    chunk.writeUInt32BE(tiff.length)
    chunk.set(body, 4)
    chunk.writeUInt32BE(crc32(body), 4 + body.length)
    return new Uint8Array(Buffer.concat([file.subarray(0, 33), chunk, file.subarray(33)]))
  }

  it('of a damaged EXIF segment is none', () => {
    const whole = exif(6, true)
    for (let length = 0; length < whole.length - 4; length++) {
      const cut = segment(0xe1, whole.slice(4, 4 + length))
      expect([1, 6]).toContain(readJpegHead(withSegment(cut)).orientation)
    }
    expect(readJpegHead(withSegment(exif(9, true))).orientation).toBe(1)
  })

  it('components named R, G, B, or an Adobe segment that says so, are no luma and chroma', () => {
    const frame = (ids: string) =>
      segment(0xc0, [8, 0, 8, 0, 16, 3, ...[...ids].flatMap((id) => [id.charCodeAt(0), 0x11, 0])])
    const head = (...segments: number[][]) =>
      readJpegHead(Uint8Array.from([0xff, 0xd8, ...segments.flat(), 0xff, 0xda, 0, 2]))
    const adobe = (transform: number) => segment(0xee, [...text('Adobe'), 0, 100, 0, 0, 0, 0, transform])
    expect(head(frame('RGB')).isRgb).toBe(true)
    expect(head(frame('\u0001\u0002\u0003')).isRgb).toBe(false)
    expect(head(adobe(0), frame('\u0001\u0002\u0003')).isRgb).toBe(true)
    expect(head(adobe(1), frame('RGB')).isRgb).toBe(false)
    expect(head(segment(0xe0, [...text('JFIF'), 0]), frame('RGB')).isRgb).toBe(false)
  })

  const photo = new URL('../../../../shared/cases/images/exif6.jpg', import.meta.url)
  it.skipIf(!existsSync(photo))('of a photograph beside the checkout (skipped where it is not)', () => {
    const { width, height } = decodeImage(readFileSync(photo))
    expect([width, height]).toEqual([64, 96])
  })
})

it.each([
  ['WebP', [...'RIFF....WEBPVP8 ']],
  ['AVIF', [...'....ftypavif']],
  ['HEIC', [...'....ftypheic']],
  ['JPEG 2000', [...'....jP  ']],
  ['GIF', [...'GIF89a']],
  ['BMP', [...'BM....']],
])('%s is refused by its name', (kind, letters) => {
  const bytes = Uint8Array.from(letters, (c) => c.charCodeAt(0))
  expect(() => decodeImage(bytes)).toThrow(new RegExp(`expected a PNG or JPEG file, got ${kind}, which cannot be read`))
})
