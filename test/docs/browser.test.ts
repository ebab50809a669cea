// The guide for browsers: its page, built by its own commands for every bundler, under its own content security policy.
import { execFileSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import type { Browser } from 'playwright-core'
import { createServer as viteServer } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHROMIUM, hasChromium, launch, type Parties, partiesFor } from '../browser/site.js'
import { fill, readGuide, root, workspace } from './guides.js'
import { type Site, serve } from './site.js'

const guide = readGuide('browser.md')
const digit = (n: number) => join(root, `models/samples/digit-${n}.png`)

/** The block of commands with this word in it. */
const block = (word: string) => guide.commands.find((lines) => lines.join('\n').includes(word))!
const BUILDS = {
  Vite: block('vite build'),
  webpack: block('webpack --mode'),
  esbuild: block('esbuild main.js'),
  'a plain script': block('esbuild ringfence='),
}

const title = 'the guide for browsers'
describe.skipIf(!hasChromium)(hasChromium ? title : `${title} (skipped: no ${CHROMIUM})`, () => {
  let parties: Parties
  let browser: Browser
  let replaced: Record<string, string>
  const sites: Site[] = []
  beforeAll(async () => {
    parties = await partiesFor('mnist-cnn3')
    browser = await launch()
    replaced = { 'wss://server.example': parties.server.url, 'wss://helper.example': parties.helper.url }
  })
  afterAll(async () => {
    for (const site of sites) site.close()
    await browser?.close()
    await parties?.close()
  })

  function build(lines: readonly string[], addresses = replaced): string {
    const made = workspace(guide, addresses)
    const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
    const script = ['set -e', 'mkdir -p dist', ...lines.map((line) => line.replace(/^npx /, ''))].join('\n')
    execFileSync('sh', ['-c', script], { cwd: made, env: { ...process.env, PATH: path }, stdio: 'pipe' })
    return join(made, 'dist')
  }

  /** Picks pictures in the page as a visitor does. */
  async function expectAnswers(url: string, workers = 1): Promise<void> {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (message) => {
      const { url: about } = message.location()
      if (/warning|error/.test(message.type()) && !/favicon|worker\.js/.test(about)) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(url)
    for (const n of [4, 7]) {
      await page.setInputFiles('#picture', digit(n))
      await page.waitForFunction(
        (label) => document.getElementById('answer')!.textContent!.startsWith(`${label}, in`),
        n,
      )
    }
    expect(page.workers()).toHaveLength(workers)
    expect(complaints).toEqual(workers === 1 ? [] : [expect.stringContaining('its worker cannot be started')])
    await page.close()
  }

  const policy = () => fill(guide.files.get('policy.txt')!.trim(), replaced)

  for (const [bundler, lines] of Object.entries(BUILDS)) {
    it(`works as built with ${bundler}`, async () => {
      const site = await serve(build(lines), policy())
      sites.push(site)
      await expectAnswers(site.url)
    })
  }

  it('works without the worker that esbuild leaves behind, after one warning', async () => {
    const lines = BUILDS.esbuild.map((line) => line.replace(' worker=ringfence/worker.js', ''))
    const site = await serve(build(lines))
    sites.push(site)
    await expectAnswers(site.url, 0)
  })

  it("works in Vite's development server", async () => {
    const server = await viteServer({
      root: workspace(guide, replaced),
      logLevel: 'error',
      server: { port: 0, host: '127.0.0.1' },
    })
    await server.listen()
    const { port } = server.httpServer!.address() as { port: number }
    try {
      await expectAnswers(`http://127.0.0.1:${port}/`)
    } finally {
      await server.close()
    }
  })

  it('cancels', async () => {
    const site = await serve(build(BUILDS.esbuild), policy())
    sites.push(site)
    const page = await browser.newPage()
    await page.goto(site.url)
    await page.evaluate(() => {
      const picture = document.getElementById('picture') as HTMLInputElement
      picture.addEventListener('change', () => document.getElementById('cancel')!.click())
    })
    await page.setInputFiles('#picture', digit(4))
    await page.waitForFunction(() => /abort/.test(document.getElementById('answer')!.textContent!))
    await page.close()
  })

  it('says what is wrong when a party is not there', async () => {
    const nobody = { ...replaced, 'wss://server.example': 'ws://127.0.0.1:9' }
    const site = await serve(build(BUILDS.esbuild, nobody), fill(guide.files.get('policy.txt')!.trim(), nobody))
    sites.push(site)
    const page = await browser.newPage()
    await page.goto(site.url)
    await page.waitForFunction(() => /127\.0\.0\.1:9/.test(document.getElementById('answer')!.textContent!))
    await page.close()
  })
})
