// Material in a page's IndexedDB: Chromium, the client in its worker, pages that are closed and opened again.
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import type { MeterReport } from '../../src/net/index.js'
import type { MaterialLoss } from '../../src/party/client/client-options.js'
import type { StoredMaterial } from '../../src/party/client/client-store.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { outputMask } from '../../src/protocol/mcc/linear.js'
import { layOut } from '../../src/protocol/step.js'
import { Purpose, Streams } from '../../src/random/streams.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { type MccMasks, runReference } from '../../src/testing.js'
import { bundle } from './bundles.js'
import { CHROMIUM, hasChromium, launch, type Parties, partiesFor, serveFolder } from './site.js'

interface Answer {
  readonly raw: number[]
  readonly inference: number
}

declare const window: {
  ready?: boolean
  losses: MaterialLoss[]
  client: {
    prepared: number
    traffic: MeterReport
    prepare(count: number): Promise<void>
  }
  connect(server: string, helper: string, worker: undefined, more: object): Promise<string>
  classify(input: readonly number[]): Promise<Answer>
}

/** An entry, as far as it can leave the page. */
interface Row extends Pick<StoredMaterial, 'id' | 'inference'> {
  readonly session: string
  readonly seed: number[]
}

const input = Array.from({ length: 28 * 28 }, (_, i) => Math.sin(i * 1.7))
const describeWithBrowser = hasChromium ? describe : describe.skip
const title = (text: string) => (hasChromium ? text : `${text} (skipped: no ${CHROMIUM})`)

describeWithBrowser(title('a page that keeps its material'), () => {
  let browser: Browser
  let parties: Parties
  let site: { url: string; close(): void }

  beforeAll(async () => {
    browser = await launch()
    parties = await partiesFor('mnist-cnn3')
    site = await serveFolder(await bundle('vite'), [parties.server.url, parties.helper.url])
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    site?.close()
    await parties?.close()
  })

  async function open(context: BrowserContext): Promise<Page> {
    const page = await context.newPage()
    await page.goto(site.url)
    await connect(page)
    expect(page.workers()).toHaveLength(1)
    return page
  }
  async function connect(page: Page): Promise<void> {
    await page.waitForFunction(() => window.ready)
    const urls = [parties.server.url, parties.helper.url]
    await page.evaluate(([s, h]) => window.connect(s, h, undefined, { keepMaterial: true }), urls)
  }
  async function reload(page: Page): Promise<void> {
    await page.reload()
    await connect(page)
  }
  const prepare = (page: Page, count: number) => page.evaluate((n) => window.client.prepare(n), count)
  const prepared = (page: Page) => page.evaluate(() => window.client.prepared)
  const losses = (page: Page) => page.evaluate(() => window.losses)
  const classify = (page: Page) => page.evaluate((values) => window.classify(values), input)

  const rows = (page: Page) =>
    page.evaluate(async () => {
      const done = <T>(request: IDBRequest<T>) =>
        new Promise<T>((resolve) => {
          request.onsuccess = () => resolve(request.result)
        })
      const database = await done(indexedDB.open('ringfence'))
      const all: StoredMaterial[] = await done(database.transaction('material').objectStore('material').getAll())
      Object.assign(window, { copies: all })
      database.close()
      const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
      return all.map(({ id, inference, session, seed }): Row => {
        return { id, inference, session: hex(session), seed: [...seed] }
      })
    })

  /** What the integer reference answers under the masks of an entry. */
  function reference({ seed, session, inference }: Row): number[] {
    const { plan, model } = parties.compiled
    const k = loadKernels()
    const planned = layOut(k, plan as MccPlan)
    const ch = new Streams(k, Uint8Array.from(seed), plan.rounds)
    const sh = new Streams(k, parties.sessions.get(session)!, plan.rounds)
    const masks: MccMasks = {
      output: (step) => outputMask(ch, planned.steps[step], inference).u32().slice(),
      opening: (step) => {
        const { values, patches } = planned.steps[step].relu!.opened
        const address = { purpose: Purpose.openingMask, layer: step, inference }
        return sh
          .take(address, (values + patches) * 4)
          .u32()
          .slice()
      },
      // Of products and the like, which this network has none of.
      tensor: () => new Uint32Array(0),
      product: () => new Uint32Array(0),
      curve: () => new Uint32Array(0),
      fresh: () => new Uint32Array(0),
    }
    const words = encodeFixed(Float32Array.from(input), plan.input.scale, plan.input.bits)
    return [...runReference(plan, model, words, masks).output]
  }

  it('is closed and opened again: the first answer needs no byte off line, no helper, and has the reference’s bits', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await prepare(page, 2)
    const before = await rows(page)
    expect(before.map(({ inference }) => inference)).toEqual([0, 1])
    await reload(page)
    expect(await prepared(page)).toBe(2)
    const { raw, inference } = await classify(page)
    expect(raw).toEqual(reference(before[inference]))
    expect(raw).not.toEqual(reference(before[1 - inference])) // other masks, other carries
    const { links } = await page.evaluate(() => window.client.traffic)
    const none = { bytesSent: 0, bytesReceived: 0 }
    expect(links.server.offline).toMatchObject(none)
    for (const phase of ['setup', 'offline', 'online'] as const) expect(links.helper[phase]).toMatchObject(none)
    expect((await rows(page)).map((row) => row.inference)).toEqual([1 - inference])
    await context.close()
  })

  it('cannot use an entry twice: rows that are put back are refused by the server', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await prepare(page, 2)
    await rows(page)
    const used = await classify(page)
    await page.evaluate(async () => {
      const opening = indexedDB.open('ringfence')
      await new Promise((resolve) => {
        opening.onsuccess = resolve
      })
      const transaction = opening.result.transaction('material', 'readwrite')
      for (const row of (window as unknown as { copies: StoredMaterial[] }).copies) {
        transaction.objectStore('material').put(row)
      }
      await new Promise((resolve) => {
        transaction.oncomplete = resolve
      })
      opening.result.close()
    })
    expect(await rows(page)).toHaveLength(2)
    await reload(page)
    expect(await prepared(page)).toBe(2)
    const left = (await rows(page)).find(({ inference }) => inference !== used.inference)!
    const { raw, inference } = await classify(page)
    expect([inference, raw]).toEqual([left.inference, reference(left)])
    expect(await losses(page)).toEqual(['refused'])
    expect(await rows(page)).toEqual([])
    await context.close()
  })

  it('in two tabs uses every entry once', async () => {
    const context = await browser.newContext()
    const first = await open(context)
    await prepare(first, 4)
    const kept = await rows(first)
    const second = await open(context)
    expect(await prepared(second)).toBe(4)
    const answers = await Promise.all([first, second, first, second].map(classify))
    expect(answers.map(({ inference }) => inference).sort()).toEqual([0, 1, 2, 3])
    for (const { raw, inference } of answers) expect(raw).toEqual(reference(kept[inference]))
    expect(await rows(second)).toEqual([])
    await context.close()
  })
})
