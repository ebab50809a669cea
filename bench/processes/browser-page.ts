// A page with a client in it, and the browser around it.
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { RingfenceError } from '../../src/errors.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { type ChromiumPage, openChromium } from './chromium.js'

/** One inference as the client's meter saw it, in milliseconds: work is what was not waiting for a peer. */
export interface ClientWork {
  readonly offline: number
  readonly online: number
  /** From the first message of the preparation to the answer. */
  readonly wall: number
}

/** How much later than due a timer fired, in milliseconds. */
export interface Blocked {
  readonly longest: number
  readonly median: number
}

/** One task of the page's thread, in milliseconds: until it was over, and what of that it had the processor for. */
export interface Task {
  readonly wall: number
  readonly processor: number
}

export interface ClientPage {
  readonly version: string
  /** Prepares and runs one inference. */
  infer(): Promise<ClientWork>
  /** Watches the page's thread during `runs` inferences, and for as long without any. */
  blocked(runs: number): Promise<{ during: Blocked; idle: Blocked }>
  /** The browser's own record of what the page's thread did during `runs` inferences. */
  longestTask(runs: number): Promise<Task>
  /** Inferences in the page's own thread, while that thread has a part of the processor only. */
  slow(parties: Parties | Delegated, rate: number, runs: number): Promise<Slowed>
  close(): Promise<void>
}

/** Whom a client asks. */
export interface Parties {
  readonly server: string
  readonly helper: string
}

/** Whom the owner of an input asks who has a delegate. */
export interface Delegated {
  readonly server: string
  readonly delegate: string
  readonly delegateKey: readonly number[]
}

/** Milliseconds on line. */
export interface Slowed {
  readonly online: readonly number[]
  /** How much longer the same sum took than without: the emulation at work. */
  readonly rate: number
}

/** Browsers let nested timers wait this long (HTML, "timer initialisation steps"). */
const TIMER_MS = 4

const APP = `
import { Client } from './index.js'
import { ThinClient } from './thin.js'
let client, input
const work = (phase) => client.traffic.milliseconds[phase].total - client.traffic.waiting[phase].total
window.connect = async (parties) => {
  const onWarning = (text) => { throw new Error(text) }
  client = await Client.create({ ...parties, onWarning })
  input = new Float32Array(client.plan.input.shape.reduce((size, extent) => size * extent)).fill(0.5)
}
window.infer = async () => {
  const [offline, online, started] = [work('offline'), work('online'), performance.now()]
  await client.prepare()
  await client.run(input)
  return { wall: performance.now() - started, offline: work('offline') - offline, online: work('online') - online }
}
window.sum = () => {
  const started = performance.now()
  let sum = 0
  for (let i = 0; i < 5e7; i++) sum = (sum + Math.imul(i, 31)) | 0
  return performance.now() - started + (sum & 0)
}
const direct = async (parties) => {
  const own = await Client.create({ ...parties, worker: false })
  return { prepare: () => own.prepare(), run: (input) => own.run(input), release: () => own.release() }
}
const delegated = async ({ delegateKey, ...parties }) => {
  const own = await ThinClient.create({ ...parties, delegateKey: Uint8Array.from(delegateKey) })
  const ready = () => new Promise((resolve) => setTimeout(resolve, 500)) // the delegate prepares the next
  return { prepare: ready, run: (input) => own.run(input), release() {} }
}
window.slow = async ({ parties, runs }) => {
  const own = await (parties.delegate ? delegated : direct)(parties)
  const online = []
  for (let i = 0; i < runs + 2; i++) {
    await own.prepare()
    const { milliseconds } = await own.run(input)
    if (i > 1) online.push(milliseconds)
  }
  await own.release()
  return online
}
window.late = async (task) => {
  const late = []
  let before = performance.now()
  let over = false
  const tick = () => {
    const now = performance.now()
    late.push(Math.max(0, now - before - ${TIMER_MS}))
    before = now
    if (!over) setTimeout(tick, ${TIMER_MS})
  }
  setTimeout(tick, ${TIMER_MS})
  await task()
  over = true
  late.sort((a, b) => a - b)
  return { longest: late.at(-1), median: late[late.length >> 1] }
}
window.repeat = async (runs) => { for (let i = 0; i < runs; i++) await infer() }
window.blocked = async (runs) => {
  const started = performance.now()
  const during = await late(() => repeat(runs))
  const ms = performance.now() - started
  return { during, idle: await late(() => new Promise((resolve) => setTimeout(resolve, ms))) }
}
`

/** @param chromium its program @param parties their addresses */
export async function openPage(chromium: string, parties: Parties): Promise<ClientPage> {
  const site = await serve()
  const close = async () => {
    await page?.close()
    site.close()
  }
  let page: ChromiumPage | undefined
  try {
    page = await openChromium(chromium, site.url)
    const { version, call, throttle, trace } = page
    await call('connect', parties)
    return {
      version,
      infer: () => call<ClientWork>('infer'),
      blocked: (runs) => call('blocked', runs),
      async slow(own, rate, runs) {
        await call<number>('sum')
        const fast = await call<number>('sum')
        await throttle(rate)
        const slowed = await call<number>('sum')
        const online = await call<number[]>('slow', { parties: own, runs })
        await throttle(1)
        return { online, rate: slowed / fast }
      },
      async longestTask(runs) {
        const categories = ['toplevel', 'disabled-by-default-devtools.timeline']
        return longestTask(await trace<TraceEvent>(categories, () => call('repeat', runs)))
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The trace event format's complete events, in microseconds. */
interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly dur?: number
  readonly tdur?: number
  readonly args: { readonly name?: string }
}

function longestTask(traceEvents: readonly TraceEvent[]): Task {
  const threads = traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
  const pages = new Set(threads.map(({ pid, tid }) => `${pid}.${tid}`))
  const tasks = traceEvents.filter(({ name, pid, tid }) => name === 'RunTask' && pages.has(`${pid}.${tid}`))
  if (tasks.length === 0) throw new RingfenceError('HOST', 'this browser recorded no task of the page; use another one')
  const longest = (of: 'dur' | 'tdur') => tasks.reduce((most, task) => Math.max(most, task[of] ?? 0), 0) / 1000
  return { wall: longest('dur'), processor: longest('tdur') }
}

/** The page and its worker, bundled by esbuild. */
async function serve(): Promise<{ url: string; close(): void }> {
  const { build } = await import('esbuild')
  const dist = fileURLToPath(new URL('dist/', REPOSITORY))
  const bundled = async (contents: string) => {
    const result = await build({
      stdin: { contents, resolveDir: dist },
      bundle: true,
      format: 'esm',
      target: 'es2022',
      write: false,
      external: ['ws'],
      logLevel: 'error',
    })
    return result.outputFiles[0].contents
  }
  const html = '<!doctype html><meta charset="utf-8"><title>bench</title><script type="module" src="/app.js"></script>'
  const files = new Map<string, readonly [type: string, body: string | Uint8Array]>([
    ['/', ['text/html', html]],
    ['/app.js', ['text/javascript', await bundled(APP)]],
    ['/worker.js', ['text/javascript', await bundled("import './worker.js'")]],
  ])
  const server = createServer(({ url }, response) => {
    const [type, body] = files.get(url!) ?? []
    if (type) response.writeHead(200, { 'content-type': type }).end(body)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}/`, close: () => void server.close() }
}
