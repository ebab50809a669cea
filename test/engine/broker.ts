// A real nats-server for tests, started and ended by them, on a port and in a folder of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../fixtures/free-port.js'

const found = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** Why no broker can be started here, in a test's name; empty where one can. */
export const noBroker: string = await (async () => {
  if (!found('nats-server', '--version')) return ' (skipped: no nats-server on PATH; apt-get install nats-server)'
  const name = '@nats-io/jetstream'
  const installed = await import(/* @vite-ignore */ name).then(
    () => true,
    () => false,
  )
  return installed ? '' : ' (skipped: @nats-io packages are not installed; npm ci)'
})()

export class Broker {
  #process: ChildProcess | undefined
  readonly #folder = mkdtempSync(join(tmpdir(), 'rf-nats-'))

  private constructor(
    readonly port: number,
    private readonly config: string | undefined,
  ) {}

  /** @param config text of a configuration, without port and folder */
  static async start(config?: string): Promise<Broker> {
    const broker = new Broker(await freePort(), config)
    await broker.up()
    return broker
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#process!.pid!
  }

  /** Starts it, with what it had stored. */
  async up(): Promise<void> {
    const args = ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.#folder]
    if (this.config !== undefined) {
      const file = join(this.#folder, 'nats.conf')
      writeFileSync(file, this.config)
      args.push('-c', file)
    }
    this.#process = spawn('nats-server', args, { stdio: 'ignore' })
    for (;;) {
      if (await reachable(this.port)) return
      if (this.#process.exitCode !== null) throw new Error(`nats-server ended with ${this.#process.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Kills it, as a power cut would. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#process!.once('exit', resolve))
    this.#process!.kill('SIGKILL')
    await ended
  }

  async end(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const reachable = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('close', () => undefined)
    setTimeout(() => socket.destroy(), 500).unref()
  })
