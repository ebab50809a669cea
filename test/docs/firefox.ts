// Firefox as it is installed, driven over WebDriver BiDi: just enough to open a page, pick a file and read a text.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

/** Debian's Firefox, or what FIREFOX names. */
export const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr'
export const hasFirefox = existsSync(FIREFOX)

interface Reply {
  readonly id?: number
  readonly result?: Record<string, unknown>
  readonly message?: string
}

export class Firefox {
  readonly #process: ChildProcess
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #context = ''
  #next = 0

  private constructor(child: ChildProcess, socket: WebSocket) {
    this.#process = child
    this.#socket = socket
    socket.on('message', (data) => {
      const reply = JSON.parse(String(data)) as Reply
      if (reply.id !== undefined) this.#waiting.get(reply.id)?.(reply)
    })
  }

  static async launch(): Promise<Firefox> {
    const profile = mkdtempSync(join(tmpdir(), 'ringfence-firefox-'))
    const args = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank']
    const child = spawn(FIREFOX, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const url = await new Promise<string>((resolve, reject) => {
      let said = ''
      child.stderr!.on('data', (text) => {
        said += text
        const found = /BiDi listening on (ws:\S+)/.exec(said)
        if (found) resolve(found[1])
      })
      child.on('exit', () => reject(new Error(`Firefox ended: ${said}`)))
    })
    const socket = new WebSocket(`${url}/session`)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const firefox = new Firefox(child, socket)
    await firefox.#send('session.new', { capabilities: {} })
    const { contexts } = await firefox.#send<{ contexts: { context: string }[] }>('browsingContext.getTree', {})
    firefox.#context = contexts[0].context
    return firefox
  }

  async #send<T>(method: string, params: object): Promise<T> {
    const id = this.#next++
    const reply = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params }))
    const { result, message } = await reply
    if (!result) throw new Error(`${method}: ${message}`)
    return result as T
  }

  async open(url: string): Promise<void> {
    await this.#send('browsingContext.navigate', { context: this.#context, url, wait: 'complete' })
  }

  async pick(selector: string, file: string): Promise<void> {
    const locator = { type: 'css', value: selector }
    const { nodes } = await this.#send<{ nodes: { sharedId: string }[] }>('browsingContext.locateNodes', {
      context: this.#context,
      locator,
    })
    const [{ sharedId }] = nodes
    await this.#send('input.setFiles', { context: this.#context, element: { sharedId }, files: [file] })
  }

  /** A text that the page computes. */
  async evaluate(expression: string): Promise<string> {
    const target = { context: this.#context }
    const { result } = await this.#send<{ result?: { value: string } }>('script.evaluate', {
      expression,
      target,
      awaitPromise: true,
    })
    if (!result) throw new Error(`the page threw at ${expression}`)
    return result.value
  }

  async close(): Promise<void> {
    this.#process.removeAllListeners('exit')
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#socket.send(JSON.stringify({ id: this.#next++, method: 'browser.close', params: {} }))
    await ended
    this.#socket.terminate()
  }
}
