// Pictures as pages hold them, in Chromium: pixels of a canvas, bitmaps, frames of a video.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as esbuild from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { decodeImage } from '../../src/model/pictures/decode.js'
import type { pictureToInput } from '../../src/model/pictures/input.js'
import { committed } from '../fixtures/reference-files.js'
import { CHROMIUM, hasChromium, launch, serveFolder } from './site.js'

declare const window: { pictureToInput: typeof pictureToInput; decodeImage: typeof decodeImage }

const SCRIPT = `export * from '../../src/model/pictures/input.ts'; export * from '../../src/model/pictures/decode.ts'`

describe.skipIf(!hasChromium)(hasChromium ? 'a page' : `a page (skipped: no ${CHROMIUM})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringfence-pictures-'))
  let browser: Browser
  let page: Page
  let site: { url: string; close(): void }
  beforeAll(async () => {
    const built = await esbuild.build({
      stdin: { contents: SCRIPT, resolveDir: import.meta.dirname },
      ...{ bundle: true, write: false, format: 'iife', globalName: 'pictures', footer: { js: FOOTER } },
    })
    writeFileSync(join(folder, 'main.js'), built.outputFiles[0].contents)
    writeFileSync(join(folder, 'index.html'), '<!doctype html><script src="main.js"></script>')
    site = await serveFolder(folder, [])
    browser = await launch()
    page = await browser.newPage()
    await page.goto(site.url)
  })
  afterAll(async () => {
    await browser?.close()
    site?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const FOOTER = 'Object.assign(window, pictures)'

  it('gives the same input for ImageData, ImageBitmap and VideoFrame', async () => {
    const inputs = await page.evaluate(async () => {
      const pixels = new ImageData(3, 2)
      pixels.data.set([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 9, 9, 9, 255, 99, 99, 99, 255, 200, 100, 0, 255])
      const input = { shape: [3, 2, 3], preprocess: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } }
      const bitmap = await createImageBitmap(pixels)
      const frame = new VideoFrame(pixels.data, { format: 'RGBA', codedWidth: 3, codedHeight: 2, timestamp: 0 })
      return [pixels, bitmap, frame].map((source) => [...window.pictureToInput(source, input)])
    })
    expect(inputs[0]).toEqual([255, 0, 0, 9, 99, 200, 0, 255, 0, 9, 99, 100, 0, 0, 255, 9, 99, 0])
    expect(inputs[1]).toEqual(inputs[0])
    expect(inputs[2]).toEqual(inputs[0])
  })

  it('reads a JPEG as decodeImage does, but for the rounding of the transform', async () => {
    const file = await page.evaluate(
      async (png) => {
        const bitmap = await createImageBitmap(new Blob([Uint8Array.from(png)]))
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
        canvas.getContext('2d')!.drawImage(bitmap, 0, 0)
        const jpeg = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 })
        return [...new Uint8Array(await jpeg.arrayBuffer())]
      },
      [...committed('models/samples/cat-chelsea.png')],
    )
    const [own, browsers] = await page.evaluate(async (bytes) => {
      const input = { shape: [3, 32, 32], preprocess: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } }
      const bitmap = await createImageBitmap(new Blob([Uint8Array.from(bytes)]))
      const picture = window.decodeImage(Uint8Array.from(bytes))
      return [picture, bitmap].map((source) => [...window.pictureToInput(source, input)])
    }, file)
    const apart = own.map((level, i) => Math.abs(level - browsers[i]))
    console.log(`mean ${apart.reduce((a, b) => a + b) / apart.length}, largest ${Math.max(...apart)}`)
    expect(apart.reduce((a, b) => a + b) / apart.length).toBeLessThan(0.5)
    expect(Math.max(...apart)).toBeLessThanOrEqual(4)
  })

  it('draws any bitmap in the size of the network', async () => {
    const values = await page.evaluate(async () => {
      const bitmap = await createImageBitmap(new ImageData(new Uint8ClampedArray(4 * 80 * 40).fill(255), 80, 40))
      const input = { shape: [1, 10, 10], preprocess: { scale: 1 / 255, mean: [0], std: [1] } }
      return [...window.pictureToInput(bitmap, input, { resize: 'fit' })]
    })
    expect(values.filter((value) => Math.abs(value - 1) < 1e-6)).toHaveLength(50)
    expect(values.filter((value) => value === 0)).toHaveLength(50)
  })
})
