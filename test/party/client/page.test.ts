// A page's client that works in a worker, over the messages that page and worker exchange: here both ends are in one thread,
// in browsers test/browser does the same. And what `diagnose` finds where parties can be reached, and where not.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect } from '../../../src/net/index.js'
import { type Listener, listen } from '../../../src/net/websocket-server.node.js'
import { Client, type ClientOptions, type Progress } from '../../../src/party/client/client.js'
import { diagnose } from '../../../src/party/diagnose.js'
import type { Helper } from '../../../src/party/helper/helper.js'
import { Server } from '../../../src/party/server.js'
import { hostClient, type WorkerScope } from '../../../src/party/worker/host.js'
import { localParties } from '../../../src/testing.js'
import { createHelper, failure, inputFor, tinyNetwork } from '../fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
let helper: Helper
let server: Server
let listeners: Listener[]
let at: Pick<ClientOptions, 'server' | 'helper'>

beforeAll(async () => {
  helper = await createHelper({ deadlineMs: 5000 })
  const atHelper = await listen({ port: 0, onConnection: (channel) => void helper.run(channel) })
  server = await Server.create(compiled, () => connect(atHelper.url), { deadlineMs: 5000 })
  const atServer = await listen({ port: 0, onConnection: (channel) => void server.run(channel) })
  listeners = [atServer, atHelper]
  at = { server: atServer.url, helper: atHelper.url }
})

afterAll(async () => {
  await Promise.all([server.release(), helper.release(), ...listeners.map((each) => each.close())])
})

/** A worker whose thread is this one: what passes is copied, as between threads, and arrives later. */
class NearWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null
  onerror: ((event: { message: string }) => void) | null = null
  ended = false
  readonly #scope: WorkerScope = { onmessage: null, postMessage: (answer) => this.#later(() => this.onmessage, answer) }

  constructor() {
    setImmediate(() => hostClient(this.#scope))
  }

  postMessage(order: unknown): void {
    this.#later(() => this.#scope.onmessage as NearWorker['onmessage'], order)
  }

  terminate(): void {
    this.ended = true
  }

  #later(to: () => NearWorker['onmessage'], message: unknown): void {
    const data = structuredClone(message)
    setImmediate(() => this.ended || to()?.({ data }))
  }
}

/** As in a page. */
function page(): NearWorker[] {
  vi.stubGlobal('document', {})
  vi.stubGlobal('location', { href: 'http://localhost/' })
  vi.stubGlobal('Worker', NearWorker)
  return []
}

async function inWorker(options: Partial<ClientOptions> = {}): Promise<{ client: Client; worker: NearWorker }> {
  const made = page()
  const worker = () => {
    made.push(new NearWorker())
    return made[0] as unknown as Worker
  }
  const client = await Client.create({ ...at, deadlineMs: 5000, ...options, worker })
  return { client, worker: made[0] }
}

afterEach(() => void vi.unstubAllGlobals())

describe('a client in a worker', () => {
  test('answers as one in this thread, and shows what that one shows', async () => {
    const prepared: number[] = []
    const { client, worker } = await inWorker({ keepPrepared: 1, onPrepared: (count) => prepared.push(count) })
    expect(client.plan).toEqual(compiled.plan)
    await vi.waitFor(() => expect(prepared).toEqual([1]))
    expect(client.prepared).toBe(1)
    const told: Progress[] = []
    const result = await client.run(input, { onProgress: (progress) => told.push(progress) })
    const near = await localParties(compiled)
    const { logits } = await near.client.run(input)
    // The same network under other masks: some units apart.
    logits.forEach((value, i) => void expect(Math.abs(value - result.logits[i])).toBeLessThan(0.02))
    expect(told.length).toBeGreaterThan(0)
    expect(Object.keys(client.traffic.links).sort()).toEqual(['helper', 'server'])
    expect(client.memoryInUse).toBeGreaterThan(0)
    await client.prepare(2)
    expect(client.prepared).toBeGreaterThanOrEqual(2)
    await client.release()
    expect(worker.ended).toBe(true)
    expect((await client.closed).code).toBe('ABORTED')
    await near.release()
  })

  test('passes errors on with code and problems, and goes on after harmless ones', async () => {
    const { client } = await inWorker()
    const far = await failure(client.run(input.map(() => 1e9)))
    const near = await localParties(compiled)
    const wanted = await failure(near.client.run(input.map(() => 1e9)))
    expect([far!.code, far!.message, far!.problems]).toEqual([wanted!.code, wanted!.message, wanted!.problems])
    expect((await client.run(input)).logits.length).toBe(3)
    await client.release()
    await near.release()
  })

  test('is called off, before and while it works', async () => {
    const { client } = await inWorker()
    expect((await failure(client.run(input, { signal: AbortSignal.abort() })))?.code).toBe('ABORTED')
    const controller = new AbortController()
    const late = failure(client.prepare(50, { signal: controller.signal, onProgress: () => controller.abort() }))
    expect((await late)?.code).toBe('ABORTED')
    expect((await client.closed).code).toBe('ABORTED')
  })

  test('ends with its worker: waiting calls learn why', async () => {
    const { client, worker } = await inWorker()
    const waiting = failure(client.run(input))
    worker.terminate()
    worker.onerror!({ message: 'out of memory' })
    expect((await waiting)?.message).toContain('out of memory')
    expect((await client.closed).code).toBe('HOST')
  })

  test('that cannot be created leaves no worker behind', async () => {
    const made = page()
    const worker = () => {
      made.push(new NearWorker())
      return made[0] as unknown as Worker
    }
    const planDigest = new Uint8Array(32)
    expect((await failure(Client.create({ ...at, planDigest, worker })))?.code).toBe('PLAN_MISMATCH')
    expect(made[0].ended).toBe(true)
  })

  test('works in this thread where no worker starts, with a warning', async () => {
    page()
    const warnings: string[] = []
    const worker = () => {
      const dead = { onmessage: null, onerror: null as NearWorker['onerror'], terminate: vi.fn() }
      setImmediate(() => dead.onerror!({ message: '' }))
      return dead as unknown as Worker
    }
    const client = await Client.create({ ...at, worker, onWarning: (text) => warnings.push(text) })
    expect(warnings).toEqual([expect.stringContaining('its script cannot be loaded')])
    expect((await client.run(input)).logits.length).toBe(3)
    await client.release()
  })

  test('is not asked for where something cannot be copied, or no page is', async () => {
    const worker = vi.fn(() => new NearWorker() as unknown as Worker)
    await (await Client.create({ ...at, worker })).release()
    page()
    await (await Client.create({ ...at, worker: false })).release()
    const channel = await connect(at.server as string)
    await (await Client.create({ server: channel, helper: at.helper, worker })).release()
    expect(worker).not.toHaveBeenCalled()
  })
})

describe('diagnose', () => {
  const states = (findings: readonly { about: string; state: string }[]) =>
    findings.map(({ about, state }) => `${about}: ${state}`)
  const HOST = ['WebAssembly: ok', 'randomness: ok', 'WebSocket: ok', 'threads: ok', 'worker: ok']

  test('tries what the host has, and a whole handshake', async () => {
    const findings = await diagnose(at as { server: string; helper: string })
    expect(states(findings)).toEqual([...HOST, 'server: ok', 'helper: ok', 'session: ok'])
    expect(findings.at(-1)!.says).toContain('tiny-2 on mcc')
  })

  test('says what cannot be reached, and tries no handshake then', async () => {
    const findings = await diagnose({ server: 'http://x', helper: at.helper as string })
    expect(states(findings)).toEqual([...HOST, 'server: failed', 'helper: ok'])
    expect(findings[5].says).toContain('wss://')
    expect(states(await diagnose({}))).toEqual(HOST)
  })

  test('says that two parties were taken for each other', async () => {
    const findings = await diagnose({ server: at.helper as string, helper: at.server as string, deadlineMs: 1000 })
    expect(states(findings).slice(5)).toEqual(['server: ok', 'helper: ok', 'session: failed'])
  })

  test('says what a page or a host lacks', async () => {
    vi.stubGlobal('document', {})
    vi.stubGlobal('Worker', undefined)
    vi.stubGlobal('crossOriginIsolated', false)
    vi.stubGlobal('crypto', {})
    const findings = await diagnose()
    expect(states(findings)).toEqual([HOST[0], 'randomness: failed', ...HOST.slice(2, 4), 'worker: warning'])
    expect(findings[3].says).toContain('not isolated')
    vi.stubGlobal('Worker', NearWorker)
    expect((await diagnose())[4].says).toContain('in a worker of the page')
  })
})
