// The example web application as `npm run example:browser` starts it: four processes, the built page, Chromium.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { encode } from 'fast-png'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { Client } from '../../src/party/client/client.js'
import { faultsOf } from './accessible.js'
import { CHROMIUM, hasChromium, launch } from './site.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const isBuilt = existsSync(`${root}/dist/index.js`)
const lacking = hasChromium ? (isBuilt ? '' : ' (skipped: not built)') : ` (skipped: no ${CHROMIUM})`

const SAMPLES = [
  { name: 'cat', file: 'cat-chelsea.png', label: 'cat' },
  { name: 'whole cat', file: 'cat-chelsea-whole.png', label: 'cat' },
  { name: 'horse', file: 'horse-silhouette.png', label: 'horse' },
]

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

interface Started {
  readonly url: string
  readonly server: { readonly url: string; readonly pid: number }
  readonly helper: { readonly url: string; readonly pid: number }
  readonly delegate: { readonly url: string; readonly pid: number }
  /** The delegate's. */
  readonly key: string
}

describe.skipIf(lacking !== '')(`the example web application${lacking}`, () => {
  const processes: ChildProcess[] = []
  let started: Started
  let browser: Browser
  const faults: string[] = []

  beforeAll(async () => {
    const command = ['examples/browser/start.mjs', '--json', '--port', '0']
    const lines = createInterface({ input: run(command).stdout! })
    for await (const line of lines) {
      if (!line.startsWith('{')) continue
      started = JSON.parse(line)
      break
    }
    browser = await launch()
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    for (const child of processes) child.kill()
  })

  function run(args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] })
    processes.push(child)
    return child
  }

  async function open(options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const page = await browser.newPage(options)
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text())
    })
    await page.goto(started.url)
    await ready(page)
    return page
  }
  const ready = (page: Page) => page.getByText('ready: 3', { exact: true }).waitFor()
  const status = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()
  const classify = (page: Page) => page.getByRole('button', { name: 'Classify privately' }).click()
  const answer = (page: Page) => page.locator('#answer h3').textContent()
  async function pick(page: Page, name: string): Promise<void> {
    await page
      .getByRole('radio', { name })
      .and(page.locator(`[value="${name}"]`))
      .check({ force: true })
    await status(page, `${name} is picked`)
  }
  /** Ends a party; resolves once it is gone. */
  async function end(pid: number): Promise<void> {
    process.kill(pid)
    await expect.poll(() => isAlive(pid)).toBe(false)
  }
  async function nodeClient<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const client = await Client.create({ server: started.server.url, helper: started.helper.url })
    try {
      return await use(client)
    } finally {
      await client.release()
    }
  }

  it('classifies the samples as their labels and a Node client say', async () => {
    const labels = await nodeClient(async (client) => {
      const named: (string | undefined)[] = []
      for (const { file } of SAMPLES) {
        const picture = decodeImage(await readFile(`${root}/models/samples/${file}`))
        named.push((await client.run(pictureToInput(picture, client.plan.input))).label)
      }
      return named
    })
    expect(labels).toEqual(SAMPLES.map(({ label }) => label))
    const page = await open()
    for (const [i, { name }] of SAMPLES.entries()) {
      await pick(page, name)
      await classify(page)
      await status(page, 'The picture shows')
      expect(await answer(page)).toBe(labels[i])
      await ready(page)
    }
    expect(page.workers()).toHaveLength(1)
    expect(faults).toEqual([])
    await page.close()
  })

  it('lets one choose among the networks; pictures are those it knows', async () => {
    const page = await open()
    await pick(page, 'cat')
    await page.selectOption('#model', 'mnist-cnn3')
    await page.getByRole('radio', { name: 'seven' }).waitFor({ state: 'attached' })
    expect(await page.getByRole('button', { name: 'Classify privately' }).isDisabled()).toBe(true)
    expect(await page.locator('#size').textContent()).toBe('28 × 28')
    await pick(page, 'seven')
    await ready(page)
    await classify(page)
    await status(page, 'The picture shows')
    expect(await answer(page)).toBe('7')
    await page.getByRole('button', { name: 'Compare with plain text' }).click()
    await page.locator('#compared').filter({ hasText: 'In plain text: 7' }).waitFor()
    const likeness = /picture: (-?[\d.]+)\./.exec((await page.locator('#masked-text').textContent())!)![1]
    expect(Math.abs(Number(likeness))).toBeLessThan(0.2)
    await page.selectOption('#model', 'resnet20-cifar10')
    await page.getByRole('radio', { name: 'horse' }).waitFor({ state: 'attached' })
    // Nothing of the digit is left.
    expect(await page.locator('#masked-text').textContent()).not.toContain('Correlation')
    expect(await page.locator('#progress-label').textContent()).toBe('Not started')
    expect(await page.locator('#answer').isVisible()).toBe(false)
    expect(faults).toEqual([])
    await page.close()
  })

  it('shows plain text beside the answer only when asked, and leads to its own source', async () => {
    const page = await open()
    const posts: (number | undefined)[] = []
    page.on('request', (request) => {
      if (request.method() === 'POST') posts.push(request.postDataBuffer()?.length)
    })
    await pick(page, 'horse')
    await classify(page)
    await status(page, 'The picture shows')
    expect(posts).toEqual([])
    await page.getByRole('button', { name: 'Compare with plain text' }).click()
    const compared = page.locator('#compared').filter({ hasText: 'In plain text: horse' })
    await compared.waitFor()
    expect(await compared.textContent()).toMatch(/12\.3 kB that showed the picture\. .* at most 0\.\d{3} apart\.$/)
    expect(posts).toEqual([4 * 3 * 32 * 32])
    for (const link of await page.locator('footer a').all()) {
      const source = await fetch(new URL((await link.getAttribute('href'))!, started.url))
      expect(source.headers.get('content-type')).toContain('text/plain')
      expect(await source.text()).toContain("from 'ringfence")
    }
    for (const body of [new Uint8Array(7), new Uint8Array(20_000)]) {
      expect((await fetch(`${started.url}plain`, { method: 'POST', body })).status).toBe(400)
    }
    expect((await fetch(`${started.url}source/../../../package.json`)).status).toBe(404)
    expect(faults).toEqual([])
    await page.close()
  })

  it('shows layers and cost as a Node client counts them, and the noise that the server received', async () => {
    const [wanted, steps] = await nodeClient(async (client) => {
      await client.run(new Float32Array(3 * 32 * 32))
      return [client.traffic.links.server.online, client.plan.steps.length] as const
    })
    const page = await open()
    await pick(page, 'cat')
    await classify(page)
    await page.locator('#cost').waitFor()
    const rows = await page.locator('#layers tr').allTextContents()
    expect(rows).toHaveLength(steps)
    const up = await page.locator('#layers tr td:nth-child(5)').allTextContents()
    const kilobytes = wanted.steps.map(({ bytesSent }) => bytesSent / 1000)
    for (const [i, text] of up.entries()) {
      expect(Math.abs(Number(text.replace('–', '0')) - (kilobytes[i] ?? 0))).toBeLessThan(0.051)
    }
    const costs = await page.locator('#costs tr').allTextContents()
    expect(costs.find((row) => row.startsWith('flights'))).toContain(`${wanted.flights}`)
    expect(costs.find((row) => row.startsWith('helper → server'))).toMatch(/MB/)
    expect(await page.locator('#layers .track .work').count()).toBe(steps)
    await expectNoise(page)
    await page.close()
  })

  /** The picture stands beside what the server received, which is noise. */
  async function expectNoise(page: Page): Promise<void> {
    const text = (await page.locator('#masked-text').textContent())!
    expect(text).toContain('12,288 bytes')
    expect(Math.abs(Number(/picture: (-?[\d.]+)\./.exec(text)![1]))).toBeLessThan(0.1)
    const levels = await page.evaluate(() => {
      const spread = (id: string) => {
        const canvas = document.getElementById(id) as HTMLCanvasElement
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, 32, 32)
        const counts = new Array(8).fill(0)
        for (let i = 0; i < data.length; i++) if (i % 4 < 3) counts[data[i] >> 5]++
        return counts as number[]
      }
      return { picture: spread('picture'), masked: spread('masked') }
    })
    // 3072 values over 8 levels: 384 each, standard deviation 18.
    for (const count of levels.masked) expect(Math.abs(count - 384)).toBeLessThan(6 * 18)
    expect(Math.max(...levels.picture)).toBeGreaterThan(384 + 6 * 18)
    expect(await page.locator('#request').textContent()).toMatch(/^([0-9a-f]{2} )+[0-9a-f]{2}$/)
  }

  it('has a delegate compute when asked, and shows both ways on the same network', async () => {
    const page = await open()
    const way = async (name: string) => {
      await page.selectOption('#way', name)
      await status(page, 'Connected')
    }
    const told = async (name: string) => {
      const text = (await page.locator(`#way-${name} .note`).textContent())!
      const [, ms, trips, rest] = /^([\d.]+) ms in (\d+) round trips?; (.*)$/.exec(text) ?? []
      return { text, ms: Number(ms), trips: Number(trips), rest }
    }
    const drawn = (name: string) => page.locator(`#way-${name} .track .work`).count()
    await page.selectOption('#network', '60')
    await ready(page)
    await pick(page, 'horse')
    await classify(page)
    await status(page, 'The picture shows: horse')
    await page.locator('#cost').waitFor()
    const layers = await page.locator('#layers tr').count()
    expect((await told('delegated')).text).toBe('no picture yet')
    await way('delegated')
    const posts: { to: string; bytes: number }[] = []
    page.on('request', (request) => {
      const bytes = request.postDataBuffer()?.length
      if (bytes !== undefined) posts.push({ to: new URL(request.url()).port, bytes })
    })
    await classify(page)
    await status(page, 'The picture shows: horse')
    await page.getByText('sealed to it, in 161 bytes').waitFor()
    const port = ({ url }: { url: string }) => new URL(url).port
    expect(posts.map(({ to }) => to).sort()).toEqual([port(started.server), port(started.delegate)].sort())
    const [direct, delegated] = [await told('direct'), await told('delegated')]
    expect(direct.trips).toBeGreaterThan(10)
    expect(delegated.trips).toBe(1)
    const sent = posts[0].bytes + posts[1].bytes
    expect(delegated.rest).toBe(`${(sent / 1000).toFixed(1)} kB up, 40 B down`)
    // Both wait for round trips of 60 ms, of which a few may overlap.
    expect(direct.ms).toBeGreaterThan(10 * 60)
    expect(delegated.ms).toBeGreaterThan(60)
    expect([await drawn('direct'), await drawn('delegated')]).toEqual([layers, 1])
    expect(await page.locator('#layers').isVisible()).toBe(false)
    expect(await page.locator('#masked-text').textContent()).toMatch(/bytes of noise\. Correlation .*: -?0\.0/)
    expect(await faultsOf(page)).toEqual([])
    await page.setViewportSize({ width: 360, height: 740 })
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)
    expect(await wide()).toBe(false)
    await page.selectOption('#network', '200')
    await status(page, 'Connected')
    await classify(page)
    await status(page, 'Classifying')
    await way('direct') // which ends what runs
    await page.locator('#progress-label', { hasText: 'Cancelled' }).waitFor()
    expect((await told('delegated')).text).toBe('no picture yet')
    expect((await told('direct')).text).toBe('no picture yet')
    expect(faults).toEqual([])
    await page.close()
  })

  it('takes files of any size, and says so when one is no picture', async () => {
    const page = await open()
    const data = new Uint8Array(300 * 200 * 3).fill(255)
    const png = {
      name: 'large.png',
      mimeType: 'image/png',
      buffer: Buffer.from(encode({ width: 300, height: 200, channels: 3, data })),
    }
    await page.getByLabel('Or one of yours').setInputFiles(png)
    await status(page, 'large.png is picked')
    await classify(page)
    await status(page, 'The picture shows')
    const broken = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('not a picture') }
    await page.getByLabel('Or one of yours').setInputFiles(broken)
    await status(page, 'notes.txt cannot be read as a picture')
    expect(await page.getByRole('button', { name: 'Classify privately' }).isDisabled()).toBe(true)
    await page.close()
  })

  it('can be cancelled and used again, by keyboard alone', async () => {
    const page = await open()
    await page.selectOption('#network', '200')
    await status(page, 'Connected')
    await page.getByRole('radio').first().focus()
    await page.keyboard.press('Space')
    await status(page, 'cat is picked')
    for (let i = 0; i < 2; i++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await status(page, 'Classifying')
    await page.locator('.track .elapsed').nth(2).waitFor({ state: 'attached' })
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await status(page, 'Cancelled')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('classify')
    await page.selectOption('#network', '0')
    await ready(page)
    await classify(page)
    await status(page, 'The picture shows: cat')
    expect(faults).toEqual([])
    await page.close()
  })

  it.each(['light', 'dark'] as const)('is accessible and fits a phone, %s', async (colorScheme) => {
    const page = await open({ colorScheme, viewport: { width: 360, height: 740 } })
    expect(await faultsOf(page)).toEqual([])
    await pick(page, 'horse')
    await classify(page)
    await page.locator('#cost').waitFor()
    expect(await faultsOf(page)).toEqual([])
    const wide = await page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll('.scroll')]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map(({ tagName }) => tagName),
    )
    expect(wide).toEqual([])
    await page.close()
  })

  it('says which party is down as soon as it is, and goes on by itself when it is back', async () => {
    const page = await open()
    await pick(page, 'cat')
    await end(started.server.pid)
    const alert = page.getByRole('alert')
    await alert.waitFor() // nobody asked anything of it
    expect(await alert.getByRole('heading').textContent()).toBe('The server is gone')
    expect(await alert.locator('code').textContent()).toContain('PEER_GONE')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('failure')
    await status(page, 'Not connected')
    await page.getByText('ready: 0', { exact: true }).waitFor()
    expect(await page.getByRole('button', { name: 'Classify privately' }).isDisabled()).toBe(true)
    expect(await faultsOf(page)).toEqual([])
    await alert.getByText(/cannot connect/).waitFor({ state: 'attached' })
    const args = ['examples/browser/server.mjs', started.helper.url, started.key, new URL(started.server.url).port]
    await once(run(args).stdout!, 'data')
    await ready(page)
    faults.length = 0 // the browser itself reports connections that were refused
    expect(await alert.isVisible()).toBe(false)
    await classify(page)
    await status(page, 'The picture shows: cat')
    expect(faults).toEqual([])
    await end(started.helper.pid)
    await page.selectOption('#network', '60') // which connects anew
    await alert.waitFor()
    expect(await alert.getByRole('heading').textContent()).toBe('The helper is gone')
    await end(started.delegate.pid)
    await page.selectOption('#way', 'delegated')
    await alert.getByText(/the delegate cannot be reached/).waitFor({ state: 'attached' })
    expect(await alert.getByRole('heading').textContent()).toBe('The delegate is gone')
    expect(await alert.textContent()).toContain('then connect')
    await page.close()
  })
})
