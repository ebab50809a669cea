// The three roles of the demo, each in a process of its own. They talk to one another over WebSockets only; the channel
// to the parent carries orders, results, and the seeds that the judge needs.
import { RingfenceError } from '../../errors.js'
import { imageInputs, readImageFiles } from '../../files/image-files.js'
import { prepareModel } from '../../files/prepared-model.js'
import {
  type Channel,
  connect,
  HEADER_BYTES,
  Meter,
  type NetworkProfile,
  Phase,
  type PhaseTraffic,
  shape,
  type Traffic,
} from '../../net/index.js'
import { listen } from '../../net/websocket-server.node.js'
import { Client } from '../../party/client/client.js'
import { Helper } from '../../party/helper/helper.js'
import { AUDIT, type Audit } from '../../party/options.js'
import { Server } from '../../party/server.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { planDigest } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { toHex } from '../terminal/arguments.js'
import { answerCalls, reportEvent } from './party-process.js'

export interface HelperReady {
  readonly url: string
  readonly publicKey: Uint8Array
}

export interface ServerOrder {
  readonly folder: string
  readonly variant: string
  readonly options: CompileOptions
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

/** One step on line, as the client meters it. */
export interface StepTraffic {
  /** Waves on the link to the server. */
  readonly flights: number
  /** To and from the server. */
  readonly up: number
  readonly down: number
  /** To and from the helper. */
  readonly helper: Bytes
  readonly ms: number
}

/** One private inference as the client saw it. */
export interface PrivateRun {
  readonly inference: number
  readonly raw: Int32Array
  /** Fraction bits of `raw`. */
  readonly scale: number
  readonly prediction: number
  readonly onlineMs: number
  readonly offlineMs: number
  readonly steps: readonly StepTraffic[]
  readonly offline: { readonly server: Bytes; readonly helper: Bytes }
}

/** The server's link to the helper, over all inferences so far. */
export interface HelperTraffic {
  readonly setUp: Bytes
  readonly offline: Bytes
  readonly online: Bytes
  /** On line, by step. */
  readonly steps: readonly Bytes[]
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
    cheat: (order: ClientOrder & { file: string }) => cheat(order),
    helperTraffic: async (steps: number) => helperTraffic(meter, steps),
    reveal: () => reveal.get(),
  })
  process.exit(0)
}

async function startHelper(): Promise<HelperReady> {
  const party = await Helper.create({ onError: complain })
  const { url } = await listen({ ...LOOPBACK, onConnection: (channel) => void party.run(channel) })
  return { url, publicKey: party.publicKey }
}

async function startServer({ folder, variant, options: plan, helper }: ServerOrder, meter: Meter, reveal: Reveal) {
  const { compiled } = await prepareModel(folder, variant, plan)
  const started = performance.now()
  const options = { helperKey: helper.publicKey, meter, onError: complain, [AUDIT]: reveal.audit }
  const party = await Server.create(compiled, () => connect(helper.url), options)
  const ms = performance.now() - started
  const { url } = await listen({ ...LOOPBACK, onConnection: (channel) => void party.run(channel) })
  return { url, ms, bytes: bytesOf(meter, 'setup') } satisfies SetUp & { url: string }
}

async function startClient({ server, helper, network }: ClientOrder, meter: Meter, reveal: Reveal): Promise<Client> {
  const wires = await Promise.all([server, helper.url].map((url) => connect(url)))
  const [toServer, toHelper] = network ? wires.map((wire) => shape(wire, network)) : wires
  const options = { helperKey: helper.publicKey, meter, [AUDIT]: reveal.audit }
  return Client.create({ ...options, server: toServer, helper: toHelper })
}

async function classify(client: Client, meter: Meter, file: string): Promise<PrivateRun> {
  const [input] = imageInputs(await readImageFiles([file]), client.plan)
  meter.reset(Phase.offline)
  meter.reset(Phase.online)
  const options = { onProgress: throttled() }
  const started = performance.now()
  const prepares = client.plan.backend === 'mcc'
  if (prepares) await client.prepare(1, options)
  const offlineMs = prepares ? performance.now() - started : 0
  const { inference, raw, scale, prediction, milliseconds } = await client.run(input, options)
  const offline = bytesOf(meter, 'offline')
  const steps = stepTraffic(client)
  return {
    ...{ inference, raw, scale, prediction, onlineMs: milliseconds, offlineMs, steps },
    offline: { server: offline.server, helper: offline.helper },
  }
}

/** A second client changes one bit of its first reply; the code of the error that it ends with, or `none`. */
async function cheat({ server, helper, file }: ClientOrder & { file: string }): Promise<string> {
  const wires = await Promise.all([server, helper.url].map((url) => connect(url)))
  const toServer = withMessages(wires[0], (kind, payload) => {
    if (kind === Kind.reply) payload[payload.length - 1] ^= 1
  })
  const client = await Client.create({ server: toServer, helper: wires[1], helperKey: helper.publicKey })
  try {
    const [input] = imageInputs(await readImageFiles([file]), client.plan)
    await client.run(input)
    return 'none'
  } catch (error) {
    return error instanceof RingfenceError ? error.code : 'HOST'
  } finally {
    await client.release()
  }
}

/** The same channel, whose outgoing messages `change` may change in place. */
function withMessages(channel: Channel, change: (kind: number, payload: Uint8Array) => void): Channel {
  return {
    send(message) {
      change(message[4], message.subarray(HEADER_BYTES))
      channel.send(message)
    },
    receive: (options) => channel.receive(options),
    drained: () => channel.drained(),
    close: (reason) => channel.close(reason),
    closed: channel.closed,
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
  const server = byStep(links.server)
  const helper = byStep(links.helper)
  const timed = new Map(milliseconds.online.steps.map(({ step, ms }) => [step, ms]))
  return client.plan.steps.map((_, step) => {
    const traffic = server.get(step)
    const flights = traffic?.flights ?? 0
    return { flights, ...sides(traffic), helper: sides(helper.get(step)), ms: timed.get(step) ?? 0 }
  })
}

function helperTraffic(meter: Meter, steps: number): HelperTraffic {
  const { helper } = meter.report().links
  const online = byStep(helper)
  return {
    setUp: sides(helper.setup),
    offline: sides(helper.offline),
    online: sides(helper.online),
    steps: Array.from({ length: steps }, (_, step) => sides(online.get(step))),
  }
}

const byStep = ({ online }: { online: PhaseTraffic }): Map<number, Traffic> =>
  new Map(online.steps.map((traffic) => [traffic.step, traffic]))

function bytesOf(meter: Meter, phase: 'setup' | 'offline'): Record<string, Bytes> {
  const { links } = meter.report()
  return Object.fromEntries(Object.entries(links).map(([link, phases]) => [link, sides(phases[phase])]))
}

const sides = (traffic?: Traffic): Bytes => ({ up: traffic?.bytesSent ?? 0, down: traffic?.bytesReceived ?? 0 })

function complain(error: Error): void {
  process.stderr.write(`${error.message}\n`)
}
