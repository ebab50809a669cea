// Picture files that ask for more memory or time than their pixels need.
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { allocationsOf } from '../../convert/allocation.js'

// Imported behind it, so that what they allocate is counted.
const { encode } = await import('fast-png')
const { zlibSync } = await import('fflate')
const { default: jpeg } = await import('jpeg-js')
const { decodeImage } = await import('../../../src/model/pictures/decode.js')

const png = (width: number, height: number, channels: number, data: Uint8Array) =>
  encode({ width, height, channels, data })

const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

describe('picture files that ask for more than they show', () => {
  const chunk = (type: string, data: Uint8Array) => {
    const out = new Uint8Array(12 + data.length)
    const view = new DataView(out.buffer)
    view.setUint32(0, data.length)
    out.set(new TextEncoder().encode(type), 4)
    out.set(data, 8)
    view.setUint32(8 + data.length, crc32(out.subarray(4, -4)))
    return out
  }
  const inserted = (file: Uint8Array, at: number, more: Uint8Array) =>
    joined(file.subarray(0, at), more, file.subarray(at))
  const HEADER_END = 33
  const bomb = zlibSync(new Uint8Array(2 ** 27), { level: 9 })
  const named = (...parts: number[]) => joined(Uint8Array.from(parts), bomb)

  it.each([
    ['a colour profile', 'iCCP', named(0x70, 0, 0)],
    ['compressed text', 'zTXt', named(0x70, 0, 0)],
    ['international text', 'iTXt', named(0x70, 0, 1, 0, 0, 0)],
  ])('%s is not read at all', (_, type, data) => {
    const file = inserted(png(1, 1, 1, Uint8Array.of(7)), HEADER_END, chunk(type, data))
    const allocated = allocationsOf(() => expect([...decodeImage(file).data]).toEqual([7]))
    expect(allocated).toBeLessThan(2 ** 20)
  })

  it('image data that inflate beyond their pixels are refused before they have', () => {
    const file = inserted(png(1, 1, 1, Uint8Array.of(7)), HEADER_END, chunk('IDAT', bomb))
    const allocated = allocationsOf(() =>
      expect(() => decodeImage(file, 'bomb.png')).toThrow(/bomb.png: its image data inflate to more than the 2 bytes/),
    )
    expect(allocated).toBeLessThan(2 ** 25)
  })

  it('image data that were damaged on the way are refused by their checksum', () => {
    const file = png(4, 1, 1, Uint8Array.of(1, 2, 3, 4))
    const broken = Uint8Array.from(file)
    broken[HEADER_END + 8 + 10] ^= 1
    expect(() => decodeImage(broken, 'broken.png')).toThrow(/broken.png: the picture cannot be decoded: CRC mismatch/)
  })

  it('a second header is refused', () => {
    const file = inserted(png(1, 1, 1, Uint8Array.of(7)), HEADER_END, png(9, 9, 1, new Uint8Array(81)).subarray(8, 33))
    expect(() => decodeImage(file)).toThrow(/more than one header/)
  })

  it('an interlaced picture may have the bytes of its seven passes', () => {
    // 4x4 grey ramp, interlaced by another encoder.
    const file = pngOf(4, 4, Uint8Array.of(0, 0, 0, 2, 0, 8, 10, 0, 1, 3, 0, 9, 11, 0, 4, 5, 6, 7, 0, 12, 13, 14, 15))
    expect([...decodeImage(file).data]).toEqual(Array.from({ length: 16 }, (_, i) => i))
  })

  it('a JPEG of a thousand scans is refused, one of a few is not', () => {
    const { data } = jpeg.encode({ width: 8, height: 8, data: new Uint8Array(256).fill(90) }, 50)
    const at = data.findIndex((byte, i) => byte === 0xff && data[i + 1] === 0xda)
    const scan = data.subarray(at, -2)
    const scans = (count: number) =>
      Uint8Array.from([...data.subarray(0, at), ...Array.from({ length: count }, () => [...scan]).flat(), 0xff, 0xd9])
    expect(decodeImage(scans(10))).toMatchObject({ width: 8, height: 8 })
    expect(() => decodeImage(scans(1000), 'long.jpg')).toThrow(/long.jpg: expected at most 64 scans .* got 1000/)
  })

  /** A PNG of 8-bit grey, interlaced, with filter bytes in place. */
  function pngOf(width: number, height: number, rows: Uint8Array): Uint8Array {
    const file = png(width, height, 1, new Uint8Array(width * height))
    const header = file.slice(16, HEADER_END - 4)
    header[12] = 1
    return Uint8Array.of(
      ...file.subarray(0, 8),
      ...chunk('IHDR', header),
      ...chunk('IDAT', zlibSync(rows)),
      ...chunk('IEND', new Uint8Array(0)),
    )
  }
})
