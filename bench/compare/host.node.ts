// The comparison bench on Node: three processes on loopback, files, and the shipped model. Nothing else here is Node's.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { circumstances } from '../../src/cli/report/circumstances.js'
import { columnsOf } from '../../src/cli/terminal/terminal.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { requireWritable, writeText } from '../../src/files/whole-files.js'
import { runFloat } from '../../src/float/run.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { type Channel, connect } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import { compile } from '../../src/plan/compile/compile.js'
import { type Activations, type Backend, ROLES, type Role } from './backend.js'
import type { Host } from './host.js'
import { type Job, type PartReport, type PartReports, playPart } from './parties.js'

/** The first argument of a process that plays a party; `playComparison` is then to be called. */
export const PARTY_FLAG = '--compare-party'

const MODEL = 'resnet20-cifar10'
const LAYER = 'layer1.1.relu_1'
/** A batch travels in one message, however large. */
const LIMITS = { maxPayload: 2 ** 30, inboxLimit: 2 ** 30 }

type Urls = Readonly<Partial<Record<Role, string>>>
type Order = { role: Role } | { job: Job; urls: Urls }
type Answer = { url: string } | { report: PartReport } | { error: string }

/** @param program started again, with PARTY_FLAG, for every party */
export function nodeHost(program: string): Host {
  let parties: Promise<Parties> | undefined
  return {
    place: 'three processes on loopback',
    memory: totalmem() / 4,
    circumstances,
    columns: columnsOf(process.stdout),
    async endToEnd(job) {
      parties ??= Parties.start(program)
      return (await parties).play(job)
    },
    activations: layerActivations,
    print(text) {
      this.progress('')
      process.stdout.write(`${text}\n`)
    },
    // Each over the last one, and only where somebody watches.
    progress: (text) => void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)),
    unwritable: whyUnwritable,
    write: (file, text) => writeText(file, text, true),
    close: () => void parties?.then((started) => started.stop()).catch(() => {}),
  }
}

class Parties {
  private constructor(
    readonly children: ReadonlyMap<Role, ChildProcess>,
    readonly urls: Urls,
  ) {}

  static async start(program: string): Promise<Parties> {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
    const children = new Map(ROLES.map((role) => [role, fork(program, [PARTY_FLAG], { stdio: [...stdio] })]))
    const urls: Partial<Record<Role, string>> = {}
    try {
      for (const [role, child] of children) {
        child.send({ role } satisfies Order)
        urls[role] = (await answer<{ url: string }>(child)).url
      }
    } catch (error) {
      for (const child of children.values()) child.kill()
      throw error
    }
    return new Parties(children, urls)
  }

  async play(job: Job): Promise<PartReports> {
    const { urls } = this
    const parts = [...this.children].map(async ([role, child]) => {
      child.send({ job, urls } satisfies Order)
      return [role, (await answer<{ report: PartReport }>(child)).report] as const
    })
    return Object.fromEntries(await Promise.all(parts)) as PartReports
  }

  stop(): void {
    for (const child of this.children.values()) child.kill()
  }
}

function answer<T extends Answer>(child: ChildProcess): Promise<T> {
  return new Promise((done, fail) => {
    const ended = (code: number | null) => fail(new Error(`a party ended early with status ${code}`))
    child.once('exit', ended)
    child.once('message', (message: Answer) => {
      child.off('exit', ended)
      if ('error' in message) fail(new Error(message.error))
      else done(message as T)
    })
  })
}

/** In a party's process: listens, then plays every job it is told. */
export function playComparison(backends: readonly Backend[]): void {
  const tell = (message: Answer) => void process.send!(message)
  const arrivals = new Arrivals()
  let role: Role
  process.on('message', async (order: Order) => {
    try {
      if ('role' in order) {
        role = order.role
        const { url } = await listen({ port: 0, ...LIMITS, onConnection: (channel) => void arrivals.take(channel) })
        tell({ url })
        return
      }
      const backend = backends.find(({ name }) => name === order.job.variant.backend)!
      const ends = await meet(role, order.urls, arrivals)
      tell({ report: await playPart(backend, role, order.job, ends) })
    } catch (error) {
      tell({ error: `${role}: ${error instanceof Error ? error.message : error}` })
    }
  })
  process.once('disconnect', () => process.exit(0))
}

/** Connections by the role that called: a channel's first message is its caller's place among the roles. */
class Arrivals {
  readonly #waiting = new Map<Role, Channel>()
  readonly #wanted = new Map<Role, (channel: Channel) => void>()

  async take(channel: Channel): Promise<void> {
    const caller = ROLES[(await channel.receive())[0]]
    const wanted = this.#wanted.get(caller)
    this.#wanted.delete(caller)
    if (wanted) wanted(channel)
    else this.#waiting.set(caller, channel)
  }

  from(caller: Role): Promise<Channel> {
    const here = this.#waiting.get(caller)
    this.#waiting.delete(caller)
    return here ? Promise.resolve(here) : new Promise((done) => void this.#wanted.set(caller, done))
  }
}

/** Every role calls those before it and is called by those behind it. */
async function meet(role: Role, urls: Urls, arrivals: Arrivals): Promise<Partial<Record<Role, Channel>>> {
  const place = ROLES.indexOf(role)
  const others = ROLES.filter((other) => other !== role)
  const ends = others.map(async (other) => {
    if (ROLES.indexOf(other) > place) return [other, await arrivals.from(other)] as const
    const channel = await connect(urls[other]!, LIMITS)
    channel.send(Uint8Array.of(place))
    return [other, channel] as const
  })
  return Object.fromEntries(await Promise.all(ends))
}

/** What the layer's ReLU gets for the model's sample pictures, by the float engine. */
async function layerActivations(): Promise<Activations | null> {
  const folder = modelFolder()
  if (!folder) return null
  const { arch, weights, calibration, samples } = await loadModelDirectory(folder, 'plain')
  const values: number[] = []
  for (const { file } of samples) {
    const input = pictureToInput(decodeImage(await readFile(file), file), arch.inputs[0], { name: file })
    runFloat(arch, weights, undefined, input, (id, inputs) => {
      if (id === LAYER) for (const value of inputs) values.push(value)
    })
  }
  const { plan } = compile(arch, weights, calibration!)
  const step = plan.steps.find(({ id }) => id === LAYER)!
  return { layer: LAYER, values: Float32Array.from(values), scale: step.scale, bits: step.activation!.bits }
}

/** The model's folder in the checkout this program lies in, however deep. */
function modelFolder(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (folder !== dirname(folder)) {
    const model = resolve(folder, 'models', MODEL)
    if (existsSync(model)) return model
    folder = dirname(folder)
  }
  return undefined
}

async function whyUnwritable(file: string): Promise<string | null> {
  return requireWritable([file], true).then(
    () => null,
    (error: Error) => error.message.slice(file.length + ': '.length),
  )
}
