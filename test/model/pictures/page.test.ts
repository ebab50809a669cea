// What pages hold: pixels, and what only a page can draw.
import { afterEach, expect, it, vi } from 'vitest'
import { toPicture } from '../../../src/model/pictures/page.js'

afterEach(() => vi.unstubAllGlobals())

it('ImageData becomes colours on white', () => {
  const data = Uint8ClampedArray.of(1, 2, 3, 255, 0, 100, 255, 128, 9, 9, 9, 0)
  const picture = toPicture({ width: 3, height: 1, data, colorSpace: 'srgb' })
  expect(picture).toEqual({
    width: 3,
    height: 1,
    channels: 3,
    data: Uint8Array.of(1, 2, 3, 127, 177, 255, 255, 255, 255),
  })
})

it('pixels of another kind are refused', () => {
  const data = new Uint8ClampedArray(4)
  expect(() => toPicture({ width: 1, height: 1, data, colorSpace: 'display-p3' })).toThrow('got display-p3')
  expect(() => toPicture({ width: 1, height: 1, data: new Float32Array(4) })).toThrow('pixels of 8 bits')
  expect(() => toPicture({ width: 2, height: 1, data })).toThrow('4 bytes for each pixel of 2 x 1, got 4')
  expect(() => toPicture({} as never, 'it')).toThrow(/^it: expected a picture as decodeImage gives it/)
})

it('a bitmap needs a host that draws', () => {
  const bitmap = { width: 1, height: 1, close() {} }
  expect(() => toPicture(bitmap)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  expect(() => toPicture({ ...bitmap, width: 0 })).toThrow('was it closed?')
  expect(() => toPicture({ ...bitmap, width: 2 ** 13, height: 2 ** 12 })).toThrow('expected 1 to 16777216 pixels')
})

it('a frame of a video is drawn in the size in which it is displayed', () => {
  const drawn: unknown[][] = []
  class OffscreenCanvas {
    constructor(
      readonly width: number,
      readonly height: number,
    ) {}
    getContext() {
      return {
        drawImage: (...order: unknown[]) => void drawn.push(order.slice(1)),
        getImageData: (_: number, __: number, width: number, height: number) => ({
          ...{ width, height, colorSpace: 'srgb' },
          data: new Uint8ClampedArray(4 * width * height).fill(255),
        }),
      }
    }
  }
  vi.stubGlobal('OffscreenCanvas', OffscreenCanvas)
  const frame = { codedWidth: 16, codedHeight: 16, displayWidth: 3, displayHeight: 2, close() {} }
  expect(toPicture(frame)).toMatchObject({ width: 3, height: 2, channels: 3 })
  expect(drawn).toEqual([[0, 0, 3, 2]])
})
