// The three roles of the demo, each in a process of its own. They talk to one another over WebSockets only; the channel
// to the parent carries orders, results, and the seeds that the judge needs.
import { RingfenceError } from '../errors.js'
import { connect, Meter, type NetworkProfile, Phase, shape, type Traffic } from '../net/index.js'
import { listen } from '../net/websocket-server.node.js'
import { Client } from '../party/client.js'
import { Helper } from '../party/helper.js'
import { Server } from '../party/server.js'
import { planDigest } from '../plan/plan.js'
import { AUDIT, type Audit } from '../testing.js'
import { toHex } from './arguments.js'
import { imageInputs, readImageFiles } from './image-files.js'
import { answerCalls, reportEvent } from './party-process.js'
import { prepareModel } from './prepared-model.js'

export interface HelperReady {
  readonly url: string
  readonly publicKey: Uint8Array
}

export interface ServerOrder {
  readonly folder: string
  readonly variant: string
  readonly helper: HelperReady
}

export interface ClientOrder {
  readonly server: string
  readonly helper: HelperReady
  readonly network: NetworkProfile | undefined
}

export interface Bytes {
  readonly up: number
  readonly down: number
}

/** What crossed a party's links while the session was set up. */
export interface SetUp {
  readonly ms: number
  readonly bytes: Readonly<Record<string, Bytes>>
}

export interface ClientReady extends SetUp {
  readonly planDigest: string
}

export interface StepTraffic {
  readonly flights: number
  readonly up: number
  readonly down: number
  readonly ms: number
}

/** One private inference as the client saw it. */
export interface PrivateRun {
  readonly inference: number
  readonly raw: Int32Array
  readonly prediction: number
  readonly onlineMs: number
  readonly offlineMs: number
  readonly steps: readonly StepTraffic[]
  readonly offline: { readonly server: Bytes; readonly helper: Bytes }
}

export interface StepDone {
  readonly phase: 'prepare' | 'run'
  /** 0 to 1, of this phase. */
  readonly done: number
  readonly layer: string
}

export interface Revealed {
  readonly session: string
  readonly seed: Uint8Array
  /** The client's: the seed of B. */
  readonly model: Uint8Array | undefined
}

const LOOPBACK = { host: '127.0.0.1', port: 0 }

/** Keeps the first session's seed; the demo has one client. */
class Reveal {
  #revealed: Revealed | undefined

  readonly audit: Audit = ({ session, seed, model }) => {
    this.#revealed ??= { session: toHex(session), seed, model }
  }

  async get(): Promise<Revealed> {
    if (!this.#revealed) throw new RingfenceError('BAD_INPUT', 'no session was opened, so there is no seed to reveal')
    return this.#revealed
  }
}

/** Plays whichever role the parent asks for, until the parent leaves. */
export async function playParty(): Promise<number> {
  const reveal = new Reveal()
  const meter = new Meter()
  let client: Client
  await answerCalls({
    helper: () => startHelper(),
    server: (order: ServerOrder) => startServer(order, meter, reveal),
    client: async (order: ClientOrder) => {
      const started = performance.now()
      client = await startClient(order, meter, reveal)
      const ready = { planDigest: toHex(planDigest(client.plan)), bytes: bytesOf(meter, 'setup') }
      return { ...ready, ms: performance.now() - started } satisfies ClientReady
    },
    classify: (file: string) => classify(client, meter, file),
    dealt: async () => bytesOf(meter, 'offline').helper?.down ?? 0,
    reveal: () => reveal.get(),
  })
  process.exit(0)
}

async function startHelper(): Promise<HelperReady> {
  const party = await Helper.create({ onError: complain })
  const { url } = await listen({ ...LOOPBACK, onConnection: (channel) => void party.run(channel) })
  return { url, publicKey: party.publicKey }
}

async function startServer({ folder, variant, helper }: ServerOrder, meter: Meter, reveal: Reveal) {
  const { compiled } = await prepareModel(folder, variant)
  const started = performance.now()
  const options = { helperKey: helper.publicKey, meter, onError: complain, [AUDIT]: reveal.audit }
  const party = await Server.create(compiled, await connect(helper.url), options)
  const ms = performance.now() - started
  const { url } = await listen({ ...LOOPBACK, onConnection: (channel) => void party.run(channel) })
  return { url, ms, bytes: bytesOf(meter, 'setup') } satisfies SetUp & { url: string }
}

async function startClient({ server, helper, network }: ClientOrder, meter: Meter, reveal: Reveal): Promise<Client> {
  const wire = await connect(server)
  const channel = network ? shape(wire, network) : wire
  const options = { helper: helper.url, helperKey: helper.publicKey, meter, [AUDIT]: reveal.audit }
  return Client.create({ ...options, server: channel })
}

async function classify(client: Client, meter: Meter, file: string): Promise<PrivateRun> {
  const [input] = imageInputs(await readImageFiles([file]), client.plan)
  meter.reset(Phase.offline)
  meter.reset(Phase.online)
  const options = { onProgress: throttled() }
  const started = performance.now()
  await client.prepare(1, options)
  const offlineMs = performance.now() - started
  const { inference, raw, prediction, milliseconds } = await client.run(input, options)
  const offline = bytesOf(meter, 'offline')
  const steps = stepTraffic(client)
  return {
    ...{ inference, raw, prediction, onlineMs: milliseconds, offlineMs, steps },
    offline: { server: offline.server, helper: offline.helper },
  }
}

/** Forwards progress, but not so often that it would disturb what is measured. */
function throttled() {
  let last = 0
  return (progress: { phase: 'prepare' | 'run'; step: number; steps: number; layer: string }) => {
    const now = performance.now()
    if (now - last < 50) return
    last = now
    const { phase, step, steps, layer } = progress
    reportEvent({ phase, done: step / steps, layer } satisfies StepDone)
  }
}

function stepTraffic(client: Client): StepTraffic[] {
  const { links, milliseconds } = client.traffic
  const counted = new Map(links.server.online.steps.map((traffic) => [traffic.step, traffic]))
  const timed = new Map(milliseconds.online.steps.map(({ step, ms }) => [step, ms]))
  return client.plan.steps.map((_, step) => {
    const traffic = counted.get(step)
    return { flights: traffic?.flights ?? 0, ...sides(traffic), ms: timed.get(step) ?? 0 }
  })
}

function bytesOf(meter: Meter, phase: 'setup' | 'offline'): Record<string, Bytes> {
  const { links } = meter.report()
  return Object.fromEntries(Object.entries(links).map(([link, phases]) => [link, sides(phases[phase])]))
}

const sides = (traffic?: Traffic): Bytes => ({ up: traffic?.bytesSent ?? 0, down: traffic?.bytesReceived ?? 0 })

function complain(error: Error): void {
  process.stderr.write(`${error.message}\n`)
}
