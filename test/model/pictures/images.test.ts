import fc from 'fast-check'
import { encode } from 'fast-png'
import jpeg from 'jpeg-js'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { decodeImage } from '../../../src/model/pictures/decode.js'
import { checkInput, pictureToInput } from '../../../src/model/pictures/input.js'
import { cifarPictures, digitPictures } from '../../fixtures/pictures.js'
import { committed } from '../../fixtures/reference-files.js'

const png = (width: number, height: number, channels: number, data: Uint8Array | Uint16Array, more: object = {}) =>
  encode({ width, height, channels, data, ...more })

const asIs = (shape: number[]) => {
  const each = (value: number) => Array<number>(shape[0]).fill(value)
  return { shape, preprocess: { scale: 1, mean: each(0), std: each(1) } }
}

describe('PNG', () => {
  it('grey, colour, and either with alpha shown on white', () => {
    expect(decodeImage(png(2, 1, 1, Uint8Array.of(7, 200)))).toMatchObject({ channels: 1, data: Uint8Array.of(7, 200) })
    expect(decodeImage(png(1, 1, 3, Uint8Array.of(1, 2, 3))).data).toEqual(Uint8Array.of(1, 2, 3))
    expect(decodeImage(png(2, 1, 2, Uint8Array.of(9, 255, 9, 0))).data).toEqual(Uint8Array.of(9, 255))
    expect(decodeImage(png(1, 1, 4, Uint8Array.of(0, 100, 255, 128))).data).toEqual(Uint8Array.of(127, 177, 255))
  })

  it('16 bits keep the upper 8', () => {
    const data = Uint16Array.of(0x1234, 0xffff)
    expect(decodeImage(png(2, 1, 1, data, { depth: 16 })).data).toEqual(Uint8Array.of(0x12, 0xff))
  })

  it('a palette, and one bit a pixel, from bytes of other encoders', () => {
    // 3x2 pixels, palette red/green/blue, two bits a pixel: r g b / b b r
    const palette = bytes(
      'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAgMAAADgGo6JAAAACVBMVEX/AAAA/wAAAP8tSs2KAAAADElEQVR4nGOQYFgAAADsALmZJqpcAAAAAElFTkSuQmCC',
    )
    expect([...decodeImage(palette).data]).toEqual([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 255, 0, 0, 255, 255, 0, 0])
    // 9x2 grey pixels of one bit: on at 0, 7 and 8 of the first row
    const bilevel = bytes(
      'iVBORw0KGgoAAAANSUhEUgAAAAkAAAACAQAAAACiLct+AAAADklEQVR4nGNobGBgYAAABIsBAjTg514AAAAASUVORK5CYII=',
    )
    expect([...decodeImage(bilevel).data.entries()].filter(([, v]) => v === 255).map(([i]) => i)).toEqual([0, 7, 8])
  })

  it('the sample pictures have the sizes their networks take', () => {
    expect(decodeImage(committed('models/samples/cat-chelsea.png'))).toMatchObject({
      width: 32,
      height: 32,
      channels: 3,
    })
    expect(decodeImage(committed('models/samples/digit-7.png'))).toMatchObject({ width: 28, height: 28, channels: 1 })
  })

  it('a header that claims a huge picture is refused before it is decoded', () => {
    const file = png(1, 1, 1, Uint8Array.of(0)).slice()
    new DataView(file.buffer).setUint32(16, 2 ** 30)
    expect(() => decodeImage(file, 'big.png')).toThrow(expect.objectContaining({ code: 'BAD_FILE' }))
  })
})

describe('JPEG and raw bytes', () => {
  it('a JPEG of one colour', () => {
    const data = new Uint8Array(8 * 8 * 4).fill(100)
    const {
      width,
      height,
      channels,
      data: pixels,
    } = decodeImage(new Uint8Array(jpeg.encode({ width: 8, height: 8, data }, 95).data))
    expect([width, height, channels, pixels.length]).toEqual([8, 8, 3, 192])
    for (const level of pixels) expect(Math.abs(level - 100)).toBeLessThan(4)
  })

  it('planar bytes become pixels', () => {
    const raw = Uint8Array.of(1, 2, 3, 4, 5, 6)
    expect(decodeImage(raw, 'x.bin', [3, 1, 2])).toEqual({
      width: 2,
      height: 1,
      channels: 3,
      data: Uint8Array.of(1, 3, 5, 2, 4, 6),
    })
    expect(() => decodeImage(raw, 'x.bin', [3, 2, 2])).toThrow('expected a PNG, a JPEG or 12 bytes')
    expect(() => decodeImage(raw, 'x.bin')).toThrow('expected a PNG or JPEG file')
  })

  it('damaged files are typed errors', () => {
    const good = [png(3, 3, 3, new Uint8Array(27)), new Uint8Array(jpeg.encode({ width: 8, height: 8, data: new Uint8Array(256) }, 50).data)] // biome-ignore format: one line
    for (const file of good) {
      fc.assert(
        fc.property(fc.nat(file.length - 1), fc.nat(255), fc.nat(file.length), (at, byte, length) => {
          const bad = file.slice(0, length)
          if (at < length) bad[at] = byte
          try {
            decodeImage(bad)
          } catch (error) {
            expect(error).toBeInstanceOf(RingfenceError)
          }
        }),
      )
    }
  })

  it('label and picture, record after record', () => {
    const file = new Uint8Array(2 * 3073)
    file[3073] = 9
    file[3073 + 1 + 2048] = 77
    const [, second] = cifarPictures(file)
    expect(second.label).toBe(9)
    expect(second.picture.data[2]).toBe(77)
    expect(digitPictures(new Uint8Array(785))).toHaveLength(1)
    expect(() => digitPictures(new Uint8Array(787))).toThrow(
      'expected records of a label of one or two bytes and 784 pixels',
    )
  })
})

describe('network inputs', () => {
  const colour = { width: 2, height: 1, channels: 3, data: Uint8Array.of(10, 20, 30, 40, 50, 60) } as const
  const grey = { width: 2, height: 1, channels: 1, data: Uint8Array.of(10, 40) } as const

  it('planes in order, scaled, shifted, divided', () => {
    const preprocess = { scale: 0.5, mean: [1, 2, 3], std: [1, 2, 4] }
    expect([...pictureToInput(colour, { shape: [3, 1, 2], preprocess })]).toEqual([4, 19, 4, 11.5, 3, 6.75])
  })

  it('blue first where the network takes it so; mean and std are in that order', () => {
    const preprocess = { scale: 1, mean: [1, 2, 3], std: [1, 1, 1], order: 'bgr' } as const
    expect([...pictureToInput(colour, { shape: [3, 1, 2], preprocess })]).toEqual([29, 59, 18, 48, 7, 37])
  })

  it('grey is repeated, colour becomes luma', () => {
    expect([...pictureToInput(grey, asIs([3, 1, 2]))]).toEqual([10, 40, 10, 40, 10, 40])
    expect([...pictureToInput(colour, asIs([1, 1, 2]))].map((x) => Math.round(100 * x) / 100)).toEqual([18.15, 48.15])
  })

  it('says which size was expected and which came', () => {
    expect(() => pictureToInput(grey, asIs([1, 28, 28]), { name: 'a.png' })).toThrow(
      'a.png: expected a picture 28 wide and 28 high, got 2 wide and 1 high',
    )
    expect(() => pictureToInput(grey, asIs([5]))).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
  })

  it('checkInput never quotes a value', () => {
    expect(() => checkInput(Float32Array.of(1.25, Number.NaN), [2])).toThrow(/^expected an input of 2 finite[^.]*$/)
  })
})

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
}
