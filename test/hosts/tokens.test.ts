// A token opens server and helper from every host: as a header where those can be set, as a subprotocol from Deno, Bun, a page
// and a page's worker; never in a URL. A wrong one is UNAUTHORIZED everywhere.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AccessDecision, AccessRequest } from '../../src/net/access/gate.node.js'
import { connect } from '../../src/net/index.js'
import { type Listener, listen } from '../../src/net/websocket-server.node.js'
import { Client } from '../../src/party/client/client.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { addWorkerFile, bundle } from '../browser/bundles.js'
import { CHROMIUM, hasChromium, launch, serveFolder } from '../browser/site.js'
import { tinyNetwork } from '../party/fixture.js'
import { CLIENTS, Party } from './hosts.js'

declare const window: {
  ready?: boolean
  connect(server: string, helper: string, worker: string, more: { token: string }): Promise<string>
  classify(input: readonly number[]): Promise<{ logits: number[] }>
  failure(call: () => Promise<unknown>): Promise<{ code: string } | null>
}

const TOKEN = 'abc.DEF-123_~+/=='
/** Two runs differ by what their masks round. */
const CARRIES = 0.05
const compiled = tinyNetwork(1)
const input = Array.from({ length: 36 }, (_, i) => Math.sin(i * 1.7))
const asked: AccessRequest[] = []
const authorize = (request: AccessRequest): AccessDecision => {
  asked.push(request)
  return request.token === TOKEN ? { principal: { name: 'anna' } } : { refused: 'unauthorized' }
}

let helper: Helper
let server: Server
let ears: Listener[]
let at: readonly [server: string, helper: string]
let wanted: Float32Array
beforeAll(async () => {
  helper = await Helper.create()
  const helperEar = await listen({ authorize, onConnection: (channel, info) => void helper.run(channel, info) })
  server = await Server.create(compiled, () => connect(helperEar.url, { role: 'server', token: TOKEN }))
  const serverEar = await listen({ authorize, onConnection: (channel, info) => void server.run(channel, info) })
  ears = [serverEar, helperEar]
  at = [serverEar.url, helperEar.url]
  const client = await Client.create({ server: at[0], helper: at[1], token: TOKEN })
  wanted = (await client.run(Float32Array.from(input))).logits
  await client.release()
})
afterAll(async () => {
  await server?.release()
  await helper?.release()
  for (const ear of ears ?? []) await ear.close()
})
beforeEach(() => {
  asked.length = 0
})

function expectRight(logits: readonly number[]): void {
  for (const [i, logit] of wanted.entries()) expect(Math.abs(logits[i] - logit)).toBeLessThan(CARRIES)
}

/** Both parties were shown the token, this way, and not in a URL. */
function expectShown(how: 'header' | 'subprotocol'): void {
  expect(asked.map(({ token }) => token)).toEqual([TOKEN, TOKEN])
  for (const { headers, target } of asked) {
    expect(headers.authorization === undefined).toBe(how === 'subprotocol')
    expect(target).toBe('/')
  }
}

describe('a client with a token', () => {
  for (const host of CLIENTS) {
    const name = `on ${host.name}`
    it.skipIf(!host.command)(host.command ? name : `${name} (skipped: ${host.missing})`, async () => {
      const client = new Party(host, 'token', [...at, TOKEN])
      expectRight((await client.line<{ logits: number[] }>((line) => 'logits' in line)).logits)
      expectShown(/Node|ws/.test(host.name) ? 'header' : 'subprotocol')
      const stranger = new Party(host, 'token', [...at, 'another'])
      expect(await stranger.line((line) => 'code' in line)).toEqual({ code: 'UNAUTHORIZED' })
    })
  }

  const pages = hasChromium ? 'in Chromium' : `in Chromium (skipped: no ${CHROMIUM})`
  describe.skipIf(!hasChromium)(pages, () => {
    let browser: Browser
    let site: { url: string; close(): void }
    beforeAll(async () => {
      const folder = await bundle('esbuild')
      await addWorkerFile(folder)
      site = await serveFolder(folder, at)
      browser = await launch()
    }, 120_000)
    afterAll(async () => {
      await browser?.close()
      site?.close()
    })

    it.each([
      ['a page', 'none', 0],
      ["a page's worker", 'own file', 1],
    ])('%s', async (_, worker, workers) => {
      const page = await browser.newPage()
      await page.goto(site.url)
      await page.waitForFunction(() => window.ready)
      const enter = (token: string) =>
        page.evaluate(
          ([s, h, w, t]) => window.failure(() => window.connect(s, h, w, { token: t })),
          [...at, worker, token],
        )
      expect(await enter('another')).toMatchObject({ code: 'UNAUTHORIZED' })
      asked.length = 0
      expect(await enter(TOKEN)).toBeNull()
      expect(page.workers()).toHaveLength(workers)
      expectRight((await page.evaluate((values) => window.classify(values), input)).logits)
      expectShown('subprotocol')
      await page.close()
    })
  })
})
