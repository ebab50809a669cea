// A thin client where clients are thinnest: pages of Chromium and Firefox under the strictest policy, a service worker, a host
// that has fetch, a CSPRNG and little else, and as it is packaged on Node, Deno and Bun. Each answer is the integer reference's, bit for bit.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import * as esbuild from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Listener, listen } from '../../src/net/websocket-server.node.js'
import { DelegatedSite, delegatedNetwork } from '../delegate/fixture.js'
import { FIREFOX, Firefox, hasFirefox } from '../docs/firefox.js'
import { serve } from '../docs/site.js'
import { CLIENTS, Party } from '../hosts/hosts.js'
import { difference, inputFor } from '../party/fixture.js'
import { CHROMIUM, hasChromium, launch } from './site.js'

const ASK = `import { ThinClient } from 'ringfence/thin'
globalThis.ask = async (server, delegate, key, input) => {
  const client = await ThinClient.create({ server, delegate, delegateKey: Uint8Array.from(key) })
  const { raw } = await client.run(Float32Array.from(input))
  return Array.from(raw)
}`
/** A page asks by itself, or has its service worker ask. */
const PAGE = `${ASK}
globalThis.askInWorker = async (...order) => {
  await navigator.serviceWorker.register('worker.js')
  const { active } = await navigator.serviceWorker.ready
  const { port1, port2 } = new MessageChannel()
  const answer = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data) })
  active.postMessage(order, [port2])
  return answer
}`
const WORKER = `${ASK}
addEventListener('message', async ({ data, ports }) => ports[0].postMessage(await ask(...data).catch(String)))`

const compiled = delegatedNetwork()
const input = inputFor(compiled)
let site: DelegatedSite
let listeners: Listener[]
let order: [server: string, delegate: string, key: number[], input: number[]]
let folder: string
let page: { url: string; close(): void }

beforeAll(async () => {
  site = await DelegatedSite.create(compiled)
  const onConnection = (channel: { close(): void }) => channel.close()
  listeners = await Promise.all([
    listen({ port: 0, exchange: () => site.server.exchange, onConnection }),
    listen({ port: 0, exchange: () => site.delegate.exchange, onConnection }),
  ])
  const [server, delegate] = listeners.map(({ url }) => url.replace('ws', 'http'))
  order = [server, delegate, [...site.delegate.publicKey], [...input]]
  folder = mkdtempSync(join(tmpdir(), 'ringfence-thin-'))
  const resolveDir = fileURLToPath(new URL('../..', import.meta.url))
  for (const [name, contents] of Object.entries({ main: PAGE, worker: WORKER, edge: ASK })) {
    await esbuild.build({
      stdin: { contents, resolveDir },
      ...{ bundle: true, format: 'iife', platform: 'browser', logLevel: 'error' },
      outfile: join(folder, `${name}.js`),
    })
  }
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>thin</title><script src="main.js"></script>')
  const policy = `default-src 'none'; script-src 'self'; worker-src 'self'; connect-src ${server} ${delegate}`
  page = await serve(folder, policy)
}, 60_000)
afterAll(async () => {
  page?.close()
  for (const listener of listeners) await listener.close()
  await site.release()
  rmSync(folder, { recursive: true })
})

/** Asks in some host and compares. */
async function expectRight(ask: () => Promise<unknown>): Promise<void> {
  const before = site.lent.length
  const raw = Int32Array.from((await ask()) as number[])
  await expect.poll(() => site.lent.length).toBe(before + 1)
  const lent = site.lent[before]
  const result = { raw, inference: lent.inference! } as never
  expect(raw).toHaveLength(3)
  expect(difference(compiled, input, result, site.seeds(lent))).toBeNull()
}

const there = (has: boolean, name: string, at: string) => (has ? name : `${name} (skipped: no ${at})`)

describe.skipIf(!hasChromium)(there(hasChromium, 'in Chromium', CHROMIUM), () => {
  it('answers in a page and in its service worker', async () => {
    const browser = await launch()
    try {
      const tab = await browser.newPage()
      await tab.goto(page.url)
      for (const call of ['ask', 'askInWorker']) {
        await expectRight(() => tab.evaluate(`globalThis.${call}(...${JSON.stringify(order)})`))
      }
    } finally {
      await browser.close()
    }
  }, 60_000)
})

describe.skipIf(!hasFirefox)(there(hasFirefox, 'in Firefox', FIREFOX), () => {
  it('answers in a page', async () => {
    const firefox = await Firefox.launch()
    try {
      await firefox.open(page.url)
      const ask = `globalThis.ask(...${JSON.stringify(order)}).then(JSON.stringify)`
      await expectRight(async () => JSON.parse(String(await firefox.evaluate(ask))))
    } finally {
      await firefox.close()
    }
  }, 120_000)
})

describe('at an edge', () => {
  it('answers with what every such host has: no WebAssembly, no worker, nothing of Node', async () => {
    const { AbortController, AbortSignal, Response, TextDecoder, TextEncoder, URL, crypto, fetch, performance } =
      globalThis
    const host = { AbortController, AbortSignal, Response, TextDecoder, TextEncoder, URL, crypto, fetch, performance }
    const context = createContext({ ...host, Uint8Array, Float32Array, Int32Array, Uint32Array, DataView, ArrayBuffer })
    runInContext('delete globalThis.WebAssembly', context)
    runInContext(readFileSync(join(folder, 'edge.js'), 'utf8'), context)
    expect(runInContext('typeof WebAssembly + typeof process + typeof Worker', context)).toBe('undefined'.repeat(3))
    await expectRight(() => runInContext(`ask(...${JSON.stringify(order)})`, context))
  })
})

describe('as it is packaged', () => {
  for (const host of CLIENTS.filter(({ name }) => /^(Node \d+|Deno|Bun)$/.test(name))) {
    const name = `answers on ${host.name}`
    it.skipIf(!host.command)(
      host.command ? name : `${name} (skipped: ${host.missing})`,
      async () => {
        const [server, delegate] = order
        const key = Buffer.from(site.delegate.publicKey).toString('hex')
        const owner = new Party(host, 'thin', [server, delegate, key, JSON.stringify(order[3])])
        await expectRight(async () => (await owner.line<{ raw: number[] }>((line) => 'raw' in line)).raw)
      },
      60_000,
    )
  }
})
