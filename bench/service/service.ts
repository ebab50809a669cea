// Helper and server as an operator runs them: the program itself, one process each on loopback, that can be killed, held
// still and started again at the same port; and links to them that can go silent.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { RingfenceError } from '../../src/errors.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { findModel } from '../../src/files/prepared-model.js'
import { FloatNetwork } from '../../src/float/network.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'

const CLI = fileURLToPath(new URL('dist/cli.js', REPOSITORY))

/** Of a process and those that it started. */
export function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return 10 * (Number(fields[11]) + Number(fields[12])) + children.reduce((sum, child) => sum + cpuOf(Number(child)), 0)
}

/** One of the two parties that an operator runs. */
export class Party {
  #child: ChildProcess | undefined
  #said = ''

  /** @param args of the program; the port is in them, so that a restart finds it again */
  constructor(
    readonly name: 'helper' | 'server',
    private readonly args: readonly string[],
  ) {}

  /** Resolves once the party says that it is ready. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [CLI, ...this.args, '--json', '--quiet'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#said = ''
    child.stderr!.on('data', (text) => (this.#said += text))
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on('data', (text) => {
        if (String(text).includes('"ready"')) resolve()
      })
      child.once('exit', (code) => reject(new Error(`the ${this.name} ended with ${code}: ${this.#said}`)))
    })
  }

  get alive(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || !this.alive) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  /** Milliseconds of processor time that it and the processes it started have used, in Linux' ticks of ten. */
  get cpuMs(): number {
    return this.#child?.pid ? cpuOf(this.#child.pid) : 0
  }

  /** Resident megabytes. */
  get memoryMB(): number {
    try {
      const status = readFileSync(`/proc/${this.#child!.pid}/status`, 'utf8')
      return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024)
    } catch {
      return 0 // not there at the moment, or a host without /proc
    }
  }
}

/** A TCP connection between two parties that can go silent without ending: nothing passes, nobody is told. */
export class Line {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #silent = false

  private constructor(private readonly to: number) {
    this.#server = createServer((near) => this.#join(near))
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(port)
    await new Promise<void>((resolve) => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get url(): string {
    const { port } = this.#server.address() as { port: number }
    return `ws://127.0.0.1:${port}`
  }

  /** Holds back everything, new connections too; what comes meanwhile is lost with the connections it was for. */
  silence(): void {
    this.#silent = true
    for (const socket of this.#sockets) socket.pause()
  }

  restore(): void {
    this.#silent = false
    for (const socket of this.#sockets) socket.destroy() // as a router does that has forgotten them
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #join(near: Socket): void {
    const far = tcpConnect(this.to, '127.0.0.1')
    for (const [from, into] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('data', (bytes) => {
        if (!into.write(bytes)) from.pause()
      })
      into.on('drain', () => {
        if (!this.#silent) from.resume()
      })
      from.on('end', () => into.end())
      from.on('error', () => into.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        into.destroy()
      })
      if (this.#silent) from.pause()
    }
  }
}

/** A free port on loopback. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A picture as the network takes it, and what the network says of it in plain float. */
export interface Question {
  readonly input: Float32Array
  readonly logits: Float32Array
}

/** The pictures that come with a packaged model. */
export async function questions(model: string): Promise<Question[]> {
  const { arch, weights, spec, samples } = await loadModelDirectory(findModel(model))
  if (samples.length === 0) throw new RingfenceError('BAD_INPUT', `${model} comes without pictures`)
  const network = FloatNetwork.prepare(arch, weights, { spec })
  const asked = samples.map(({ file }) => {
    const input = pictureToInput(decodeImage(readFileSync(file), file), arch.inputs[0])
    return { input, logits: network.run([input])[0] }
  })
  network.release()
  return asked
}

/** Logits may be this far from plain float: what rounding and the windows of the packaged models cost, and no more. */
const TOLERANCE = 0.5

/** Whether an answer is the network's: every logit where plain float has it. */
export const isRight = ({ logits }: Question, answer: ArrayLike<number>): boolean =>
  logits.length === answer.length && logits.every((logit, i) => Math.abs(logit - answer[i]) <= TOLERANCE)
