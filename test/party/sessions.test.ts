// Life of sessions: several servers and clients at one helper, real transports, memory that comes back, a process that
// ends, and chosen seeds that stay inside it.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { type Channel, connect, messagePortChannel } from '../../src/net/index.js'
import { type Listener, listen } from '../../src/net/websocket-server.node.js'
import { Client } from '../../src/party/client/client.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { compile } from '../../src/plan/compile/compile.js'
import { SEEDS } from '../../src/testing.js'
import {
  createHelper,
  DEADLINE_MS,
  eventually,
  expectTyped,
  failure,
  inputFor,
  neighbourhood,
  type Seat,
  Site,
  tinyNetwork,
  type Wire,
  watchRejections,
  wire,
} from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

test('a helper deals for two servers at once, each with several clients, in any order', async () => {
  const helper = await createHelper()
  const networks = [tinyNetwork(1), tinyNetwork(2, 3)]
  const sites = await Promise.all(networks.map((network) => Site.create(network, helper)))
  const visit = async (site: Site, seat: Seat, seed: number) => {
    for (let i = 0; i < 4; i++) {
      if (i % 2 === seed % 2) await seat.client.prepare(1 + (seed % 3))
      expect(await seat.compare(inputFor(site.compiled, 10 * seed + i + 1))).toBeNull()
    }
    await seat.client.release()
  }
  await Promise.all(
    sites.flatMap((site, s) =>
      [0, 1, 2].map(async (c) => visit(site, await site.seat({ deadlineMs: 5000 }), 3 * s + c)),
    ),
  )
  for (const { errors, server } of sites) {
    expectTyped(errors)
    expect(errors).toEqual([])
    await server.release()
    expect(server.memoryInUse).toBe(0)
  }
  await helper.release()
  expect(helper.memoryInUse).toBe(0)
})

describe('memory', () => {
  test('comes back after every session, whether it ended well or in the middle', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    const before = [helper.memoryInUse, site.server.memoryInUse]
    for (let round = 0; round < 40; round++) {
      let toServer: Wire | undefined
      if (round % 4 === 1) toServer = wire((message, index) => (index === 4 + (round % 16) ? 'cut' : message))
      const { client, compare } = await site.seat({ toServer })
      const run = async () => {
        await client.prepare(1 + (round % 3))
        expect(await compare(input)).toBeNull()
      }
      expect((await failure(run()))?.code).toBe(toServer ? 'PEER_GONE' : undefined)
      if (round % 4 === 2) void client.prepare().catch(() => undefined)
      await client.release()
      expect(client.memoryInUse).toBe(0)
    }
    const now = () => [helper.memoryInUse, site.server.memoryInUse]
    expect(await eventually(() => `${now()}` === `${before}`)).toBe(true)
    await end()
  })

  test('stays flat over 200 inferences of mnist-cnn3', async () => {
    const { arch, weights, calibration, spec } = await loadModelDirectory('models/mnist-cnn3')
    const network = compile(arch, weights, calibration!, spec)
    const helper = await createHelper({ deadlineMs: 10_000 })
    const site = await Site.create(network, helper, { server: { deadlineMs: 10_000 } })
    const { client, compare } = await site.seat({ deadlineMs: 10_000 })
    const picture = new Float32Array(28 * 28).map((_, i) => (i % 29 < 6 ? 1 : 0))
    expect(await compare(picture)).toBeNull()
    const use = () => [helper.memoryInUse, site.server.memoryInUse, client.memoryInUse]
    const before = use()
    for (let i = 1; i < 199; i++) {
      await client.run(picture)
      expect(use()).toEqual(before)
    }
    expect(await compare(picture)).toBeNull()
    await client.release()
    await site.server.release()
    await helper.release()
    expect(use()).toEqual([0, 0, 0])
  })
})

/** Ways to connect two parties other than within one thread. */
const transports: Record<string, () => Promise<{ pair(): Promise<[Channel, Channel]>; close(): Promise<void> }>> = {
  WebSocket: async () => {
    const waiting: ((channel: Channel) => void)[] = []
    const listener: Listener = await listen({ port: 0, onConnection: (channel) => waiting.shift()!(channel) })
    return {
      async pair() {
        const accepted = new Promise<Channel>((resolve) => waiting.push(resolve))
        return [await connect(listener.url), await accepted]
      },
      close: () => listener.close(),
    }
  },
  MessagePort: async () => ({
    async pair() {
      const { port1, port2 } = new MessageChannel()
      return [messagePortChannel(port1), messagePortChannel(port2)]
    },
    close: async () => undefined,
  }),
}

describe.each(Object.keys(transports))('over a %s', (name) => {
  const asWire = ([a, b]: [Channel, Channel]): Wire => ({ a, b, count: () => 0, cut: () => a.close('cut') })

  test('results are right, and a lost peer costs only its own session', async () => {
    const { pair, close } = await transports[name]()
    const helper = await createHelper()
    const site = await Site.create(compiled, helper, { wire: asWire(await pair()) })
    const seat = async () => {
      const toServer = asWire(await pair())
      return { ...(await site.seat({ toServer, toHelper: asWire(await pair()) })), toServer }
    }
    const first = await seat()
    const second = await seat()
    await Promise.all([first.client.prepare(2), second.client.prepare(2)])
    expect(await Promise.all([first.compare(input), second.compare(inputFor(compiled, 8))])).toEqual([null, null])
    const running = failure(first.client.run(input))
    first.toServer.cut()
    expect((await running)?.code).toMatch(/^(PEER_GONE|ABORTED)$/)
    expect(await second.compare(input)).toBeNull()
    await second.client.release()
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
    await close()
  })

  test('the helper’s end leaves what was dealt, and the server reports it', async () => {
    const { pair, close } = await transports[name]()
    const helper = await createHelper()
    const toHelper = asWire(await pair())
    const site = await Site.create(compiled, helper, { wire: toHelper })
    const { client, compare } = await site.seat()
    await client.prepare()
    toHelper.b.close()
    expect(await eventually(() => site.errors.length > 0)).toBe(true)
    expectTyped(site.errors)
    expect(site.errors[0]).toMatchObject({ code: 'PEER_GONE' })
    expect(await compare(input)).toBeNull()
    expect((await failure(client.run(input)))?.code).toMatch(/^PEER_(GONE|FAILED)$/)
    await site.server.release()
    await helper.release()
    await close()
  })

  test('chosen seeds are refused by every party', async () => {
    const { pair, close } = await transports[name]()
    const chosen = { [SEEDS]: () => new Uint8Array(32).fill(7), deadlineMs: DEADLINE_MS }
    const errors: unknown[] = []
    const helper = await Helper.create({ ...chosen, onError: ({ code }) => errors.push(code) })
    const [near, far] = await pair()
    await helper.run(far)
    expect(errors).toEqual(['INSECURE'])
    near.close()
    const [left, right] = await pair()
    expect(await failure(Server.create(compiled, left, chosen))).toMatchObject({ code: 'INSECURE' })
    right.close()
    const { site, end } = await neighbourhood(compiled)
    const [a, b] = await pair()
    const [c, d] = await pair()
    expect(await failure(Client.create({ ...chosen, server: a, helper: c }))).toMatchObject({ code: 'INSECURE' })
    for (const channel of [b, d]) channel.close()
    const lax = await Site.create(compiled, site.helper)
    expect(await failure(Client.create({ ...chosen, server: wire().a, helper: wire().a }))).toMatchObject({
      code: 'INSECURE',
    })
    await lax.server.release()
    await end()
    await close()
  })
})

describe('the end', () => {
  test('no timer outlives the parties', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((what) => what === 'Timeout').length
    const before = timers()
    const { site, end } = await neighbourhood(compiled)
    const { client } = await site.seat()
    const stuck = await site.seat({ toServer: wire((message, index) => (index > 6 ? [] : message)) })
    await client.run(input)
    await failure(stuck.client.run(input))
    await client.release()
    await end()
    expect(await eventually(() => timers() <= before)).toBe(true)
  })

  const built = fileURLToPath(new URL('../../dist/testing.js', import.meta.url))
  const script = `
    import { localParties } from './dist/testing.js'
    import { calibrate, compile, parseArchitecture } from './dist/plan.js'
    const layers = [{ id: 'fc', op: 'linear', in: ['x'], cout: 2, bias: true }, { id: 'relu', op: 'relu', in: ['fc'] }]
    const inputs = [{ name: 'x', shape: [4] }]
    const arch = parseArchitecture({ format: 'arch/1', name: 'n', inputs, outputs: ['relu'], layers, weights: { layout: 'torch' } })
    const weights = new Map([['fc', { weight: new Float32Array(8).fill(0.5), bias: new Float32Array(2) }]])
    const x = new Float32Array(4).fill(1)
    const parties = await localParties(compile(arch, weights, calibrate(arch, weights, undefined, [x])))
    const { logits } = await parties.client.run(x)
    await parties.release()
    console.log(Math.round(logits[0]))`
  test.skipIf(!existsSync(built))(
    'a process ends by itself once its parties are released (skipped without dist)',
    async () => {
      const cwd = fileURLToPath(new URL('../..', import.meta.url))
      const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
        cwd,
        timeout: 120_000,
      })
      expect((await run).stdout.trim()).toBe('2')
    },
  )
})
