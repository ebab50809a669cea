// A browser party in real pages: Chromium, three bundlers, a strict content security policy, parties over WebSockets.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addWorkerFile, type Bundler, bundle } from './bundles.js'
import { CHROMIUM, hasChromium, launch, type Parties, partiesFor, serveFolder } from './site.js'

declare const window: {
  ready?: boolean
  warnings: string[]
  client: { memoryInUse: number; release(): Promise<void> }
  connect(server: string, helper: string, worker?: string): Promise<string>
  classify(input: readonly number[], signal?: AbortSignal): Promise<{ logits: number[]; prediction: number }>
  failure(call: () => Promise<unknown>): Promise<{ typed: boolean; code: string; message: string } | null>
}

const input = Array.from({ length: 28 * 28 }, (_, i) => Math.sin(i * 1.7))
/** Two runs differ by the carries their masks lose: a few units of the last bit. */
const CARRIES = 0.1

const describeWithBrowser = hasChromium ? describe : describe.skip
const title = (text: string) => (hasChromium ? text : `${text} (skipped: no ${CHROMIUM})`)

describeWithBrowser(title('a client in a page'), () => {
  let browser: Browser
  let parties: Parties
  const folders = new Map<Bundler, string>()
  const sites: { close(): void }[] = []

  beforeAll(async () => {
    browser = await launch()
    parties = await partiesFor('mnist-cnn3')
    for (const bundler of ['vite', 'webpack', 'esbuild'] as const) folders.set(bundler, await bundle(bundler))
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    for (const site of sites) site.close()
    await parties?.close()
  })

  async function open(bundler: Bundler, at: Parties = parties): Promise<Page> {
    const site = await serveFolder(folders.get(bundler)!, [at.server.url, at.helper.url])
    sites.push(site)
    const page = await browser.newPage()
    page.on('pageerror', (error) => expect.fail(`the page threw: ${error.message}`))
    await page.goto(site.url)
    await page.waitForFunction(() => window.ready)
    return page
  }
  const connect = (page: Page, worker?: string, at: Parties = parties) =>
    page.evaluate(([s, h, w]) => window.connect(s!, h!, w), [at.server.url, at.helper.url, worker])
  const classify = (page: Page) => page.evaluate((values) => window.classify(values), input)

  async function expectRight(page: Page): Promise<void> {
    const wanted = await parties.reference(Float32Array.from(input))
    const { logits, prediction } = await classify(page)
    expect(prediction).toBe(wanted.indexOf(Math.max(...wanted)))
    for (const [i, logit] of logits.entries()) expect(Math.abs(logit - wanted[i])).toBeLessThan(CARRIES)
  }

  for (const bundler of ['vite', 'webpack'] as const) {
    it(`bundled by ${bundler} works in its own worker and answers as a Node client does`, async () => {
      const page = await open(bundler)
      expect(await connect(page)).toBe('mnist-cnn3')
      expect(await page.evaluate(() => window.warnings)).toEqual([])
      expect(page.workers()).toHaveLength(1)
      await expectRight(page)
      await page.close()
    })
  }

  it('bundled by esbuild, which ships no worker, works in the page after one warning', async () => {
    const page = await open('esbuild')
    await connect(page)
    const warnings = await page.evaluate(() => window.warnings)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('worker')
    expect(page.workers()).toHaveLength(0)
    await expectRight(page)
    await page.close()
  })

  it('bundled by esbuild works in a worker whose file the application serves', async () => {
    await addWorkerFile(folders.get('esbuild')!)
    const page = await open('esbuild')
    await connect(page, 'own file')
    expect(await page.evaluate(() => window.warnings)).toEqual([])
    expect(page.workers()).toHaveLength(1)
    await expectRight(page)
    await page.close()
  })

  it('can be cancelled: the call ends with ABORTED', async () => {
    const page = await open('vite')
    await connect(page)
    const failure = await page.evaluate(async (values) => {
      const controller = new AbortController()
      const call = window.failure(() => window.classify(values, controller.signal))
      setTimeout(() => controller.abort(), 1)
      return call
    }, input)
    expect(failure).toMatchObject({ typed: true, code: 'ABORTED' })
    await page.close()
  })

  it('gets a typed error when the server goes away', async () => {
    const others = await partiesFor('mnist-cnn3')
    const page = await open('vite', others)
    await connect(page, undefined, others)
    const failure = page.evaluate(
      (values) =>
        window.failure(async () => {
          for (;;) await window.classify(values)
        }),
      input,
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    await others.stopServer()
    const { typed, code } = (await failure)!
    expect(typed).toBe(true)
    expect(['PEER_GONE', 'PEER_FAILED']).toContain(code)
    await page.close()
    await others.close()
  })

  it('keeps its memory over 200 inferences', { timeout: 600_000 }, async () => {
    const page = await open('vite')
    await connect(page, 'none')
    const session = await page.context().newCDPSession(page)
    const used = async () => {
      await session.send('HeapProfiler.collectGarbage')
      const { usedSize } = (await session.send('Runtime.getHeapUsage')) as { usedSize: number }
      return { heap: usedSize, wasm: await page.evaluate(() => window.client.memoryInUse) }
    }
    const repeat = (times: number) =>
      page.evaluate(
        async ([values, count]) => {
          for (let i = 0; i < (count as number); i++) await window.classify(values as number[])
        },
        [input, times],
      )
    await repeat(250) // code that V8 compiles and profiles takes 0.4 MB in the first hundreds, and then no more
    const before = await used()
    await repeat(200)
    const after = await used()
    expect((after.heap - before.heap) / 200).toBeLessThan(1_000) // bytes; a picture is 3,136
    expect(after.wasm).toBeLessThanOrEqual(before.wasm)
    await page.close()
  })
})
