// A page of Chromium, over its own DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). What drives
// browsers for tests has every message of every WebSocket reported to it, in base64, by the thread that sends it: that is
// several times the work of the client that is measured here.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { RingfenceError } from '../../src/errors.js'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-extensions',
  '--disable-background-networking',
  '--remote-debugging-port=0',
]

export interface ChromiumPage {
  /** Of the browser: 156. */
  readonly version: string
  /** Calls a function of the page and waits for what it promises. */
  call<T>(name: string, argument?: unknown): Promise<T>
  /** Gives the page's thread 1 / `rate` of its time. */
  throttle(rate: number): Promise<void>
  /** What the browser records while `task` runs: the trace event format's events. */
  trace<Event>(categories: readonly string[], task: () => Promise<unknown>): Promise<Event[]>
  close(): Promise<void>
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** @param program the browser's @throws RingfenceError HOST where it does not start */
export async function openChromium(program: string, url: string): Promise<ChromiumPage> {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'))
  const browser = spawn(program, [...FLAGS, `--user-data-dir=${profile}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  const gone = new Promise<void>((resolve) => browser.on('exit', () => resolve()))
  const close = async () => {
    browser.kill()
    await gone
    // Its other processes write for a while after it.
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 })
  }
  try {
    const devTools = await DevTools.connect(await listensAt(browser, program))
    const { product } = await devTools.send<{ product: string }>('Browser.getVersion')
    const { targetId } = await devTools.send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await devTools.send<{ sessionId: string }>('Target.attachToTarget', {
      targetId,
      flatten: true,
    })
    await devTools.send('Page.enable', {}, sessionId)
    const loaded = devTools.next('Page.loadEventFired')
    await devTools.send('Page.navigate', { url }, sessionId)
    await loaded
    return {
      version: /\/(\d+)/.exec(product)![1],
      async call<T>(name: string, argument?: unknown) {
        const expression = `${name}(${JSON.stringify(argument) ?? ''})`
        const how = { expression, awaitPromise: true, returnByValue: true }
        const { result, exceptionDetails } = await devTools.send<Evaluated<T>>('Runtime.evaluate', how, sessionId)
        if (!exceptionDetails) return result.value
        throw new RingfenceError('HOST', `in the page, ${name}: ${exceptionDetails.exception?.description ?? '?'}`)
      },
      async throttle(rate) {
        await devTools.send('Emulation.setCPUThrottlingRate', { rate }, sessionId)
      },
      async trace<Event>(categories: readonly string[], task: () => Promise<unknown>) {
        const events: Event[] = []
        const collect = (of: { value: Event[] }) => events.push(...of.value)
        devTools.on('Tracing.dataCollected', collect)
        await devTools.send('Tracing.start', { traceConfig: { includedCategories: categories } })
        await task()
        const complete = devTools.next('Tracing.tracingComplete')
        await devTools.send('Tracing.end')
        await complete
        return events
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface Evaluated<T> {
  readonly result: { readonly value: T }
  readonly exceptionDetails?: { readonly exception?: { readonly description?: string } }
}

/** Where the browser says that its DevTools listen. */
async function listensAt({ stderr }: ChildProcess, program: string): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface(stderr!)) {
    const url = /^DevTools listening on (\S+)/.exec(line)?.[1]
    if (url) {
      stderr!.resume()
      return url
    }
    said.push(line)
  }
  throw new RingfenceError('HOST', `${program} did not start: ${said.slice(-3).join(' ')}`)
}

class DevTools {
  #last = 0
  readonly #answers = new Map<number, (message: Message) => void>()
  readonly #listeners = new Map<string, (params: never) => void>()

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as Message
      if (message.method) this.#listeners.get(message.method)?.(message.params as never)
      else this.#answers.get(message.id!)?.(message)
    })
  }

  static async connect(url: string): Promise<DevTools> {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    await new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return new DevTools(socket)
  }

  async send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = ++this.#last
    const answered = new Promise<Message>((resolve) => this.#answers.set(id, resolve))
    this.socket.send(JSON.stringify({ id, method, params, sessionId }))
    const { result, error } = await answered
    this.#answers.delete(id)
    if (error) throw new RingfenceError('HOST', `the browser refuses ${method}: ${error.message}`)
    return result as T
  }

  /** One listener for each event. */
  on<Params>(event: string, listener: (params: Params) => void): void {
    this.#listeners.set(event, listener)
  }

  next(event: string): Promise<void> {
    return new Promise((resolve) => this.on(event, () => resolve()))
  }
}
