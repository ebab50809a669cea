// Parties around a small network, joined by wires that a test can cut, muffle or rewrite, and the means to tell whether
// what came out is right to the last bit.
import { expect } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { type Channel, Link, memoryPair } from '../../src/net/index.js'
import { Client, type ClientOptions, type InferenceResult } from '../../src/party/client/client.js'
import { Helper, type HelperOptions } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import type { ConnectHelper, ServerOptions } from '../../src/party/server-options.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../src/plan/compile/compile.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { AUDIT, type MaskSeeds, revealMasks, runReference } from '../../src/testing.js'
import { now, patientTimers } from '../fixtures/clock.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'

// Deadlines are short here, because many tests wait for one: they must not pass while this process merely has no processor.
patientTimers()
export const DEADLINE_MS = 250

/** Two convolutions and a linear layer with a ReLU between each, over a 1 x 6 x 6 input. */
export function tinyNetwork(seed: number, width = 2, options: CompileOptions<'mcc'> = {}): Compiled {
  const conv = { op: 'conv2d', kernel: [3, 3], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 1, bias: true }
  const arch = parseArchitecture({
    format: 'arch/1',
    name: `tiny-${width}`,
    inputs: [{ name: 'x', shape: [1, 6, 6] }],
    outputs: ['fc'],
    layers: [
      { ...conv, id: 'conv1', in: ['x'], cout: width, stride: [1, 1] },
      { id: 'relu1', op: 'relu', in: ['conv1'] },
      { ...conv, id: 'conv2', in: ['relu1'], cout: 2 * width, stride: [2, 2] },
      { id: 'relu2', op: 'relu', in: ['conv2'] },
      { id: 'flatten', op: 'flatten', in: ['relu2'] },
      { id: 'fc', op: 'linear', in: ['flatten'], cout: 3, bias: true },
    ],
    weights: { layout: 'torch' },
  })
  const weights = randomWeights(arch, seed)
  return compile(arch, weights, calibrate(arch, weights, undefined, [sampleInput(arch, seed)]), undefined, options)
}

/** An input that lies well within what a plan was calibrated for. */
export function inputFor({ plan }: Compiled, seed = 1): Float32Array {
  return sampleInput({ inputs: [{ shape: plan.input.shape }] } as never, seed)
}

export type End = 'a' | 'b'
/** What becomes of message number `index` (both directions counted together), sent by end `from`. */
export type Fault = (message: Uint8Array, index: number, from: End) => Uint8Array | readonly Uint8Array[] | 'cut'

export interface Wire {
  readonly a: Channel
  readonly b: Channel
  /** Messages so far, both ways. */
  readonly count: () => number
  cut(): void
}

/** Two ends of a connection with something in between. A cut is seen by both ends as a peer that is gone. */
export function wire(fault: Fault = (message) => message): Wire {
  const [a, innerA] = memoryPair()
  const [innerB, b] = memoryPair()
  let count = 0
  const cut = () => {
    innerA.close('cut')
    innerB.close('cut')
  }
  const pump = async (from: Channel, to: Channel, end: End) => {
    try {
      for (;;) {
        const fate = fault(await from.receive(), count++, end)
        if (fate === 'cut') return
        for (const message of fate instanceof Uint8Array ? [fate] : fate) to.send(message)
      }
    } finally {
      cut()
    }
  }
  pump(innerA, innerB, 'a').catch(() => undefined)
  pump(innerB, innerA, 'b').catch(() => undefined)
  return { a, b, count: () => count, cut }
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A client and what is needed to recompute its inferences. */
export interface Seat {
  client: Client
  /** Runs an input and compares with the integer reference under the same masks; null when they agree. */
  compare(input: Float32Array): Promise<string | null>
}

export interface OpenSeat extends Seat {
  /** The seeds of its session, once it has met the helper. */
  seeds(): MaskSeeds
}

/** A server with clients, at a helper. */
export class Site {
  readonly errors: RingfenceError[] = []
  readonly #seeds: Map<string, Uint8Array>

  private constructor(
    readonly compiled: Compiled,
    readonly helper: Helper,
    readonly server: Server,
    seeds: Map<string, Uint8Array>,
    errors: RingfenceError[],
  ) {
    this.#seeds = seeds
    this.errors = errors
  }

  static async create(
    compiled: Compiled,
    helper: Helper,
    options: { wire?: Wire; connect?: ConnectHelper; server?: ServerOptions } = {},
  ): Promise<Site> {
    const { a, b } = options.wire ?? wire()
    const seeds = new Map<string, Uint8Array>()
    const errors: RingfenceError[] = []
    if (!options.connect) void helper.run(b)
    const server = await Server.create(compiled, options.connect ?? a, {
      deadlineMs: DEADLINE_MS,
      onError: (error) => errors.push(error),
      ...options.server,
      [AUDIT]: ({ session, seed }) => seeds.set(hex(session), seed),
    })
    return new Site(compiled, helper, server, seeds, errors)
  }

  /** What the server and the helper share in a session. */
  seedOf(session: string): Uint8Array {
    return this.#seeds.get(session)!
  }

  /** @param options.toServer @param options.toHelper wires to use instead of plain ones */
  async seat(options: Partial<ClientOptions> & { toServer?: Wire; toHelper?: Wire } = {}): Promise<OpenSeat> {
    const { toServer = wire(), toHelper = wire(), ...rest } = options
    void this.server.run(toServer.b)
    void this.helper.run(toHelper.b)
    let ch!: Uint8Array
    let model!: Uint8Array
    let name = ''
    const client = await Client.create({
      deadlineMs: DEADLINE_MS,
      ...rest,
      server: toServer.a,
      helper: toHelper.a,
      [AUDIT]: ({ session, seed, model: shared }) => {
        ch = seed
        model = shared!
        name = hex(session)
      },
    })
    const seeds = () => ({ ch, model, sh: this.#seeds.get(name)! })
    const compare = async (input: Float32Array) => difference(this.compiled, input, await client.run(input), seeds())
    return { client, compare, seeds }
  }
}

/** Null when a private result equals the integer reference under the same masks. */
export function difference(
  { plan, model }: Compiled,
  input: Float32Array,
  result: InferenceResult,
  seeds: MaskSeeds,
): string | null {
  const words = encodeFixed(input, plan.input.scale, plan.input.bits)
  const { output } = runReference(plan, model, words, revealMasks(plan, seeds, result.inference))
  const wrong = output.findIndex((word, i) => word !== result.raw[i])
  return wrong < 0 ? null : `logit ${wrong}: reference ${output[wrong]}, private ${result.raw[wrong]}`
}

export const createHelper = (options: HelperOptions = {}): Promise<Helper> =>
  Helper.create({ deadlineMs: DEADLINE_MS, ...options })

/** The error a promise rejects with, checked for type and text; null when it resolves. */
export async function failure(task: Promise<unknown>): Promise<RingfenceError | null> {
  try {
    await task
    return null
  } catch (error) {
    return checked(error)
  }
}

/** A typed error in which nothing looks like a key, a seed or a ring word; what a damaged header or plan claims may. */
export function checked(error: unknown): RingfenceError {
  if (!(error instanceof RingfenceError)) throw new Error('expected a RingfenceError', { cause: error })
  for (let at: unknown = error; at instanceof RingfenceError; at = at.cause) {
    const text = at.message.replace(/(its header says|are read) [\d.e+]+ (payload bytes|times)/, '')
    if (/\d{8,}|[0-9a-f]{12,}|(-?\d+, ?){4}/i.test(text)) throw new Error(`a secret may be in: ${at.message}`)
  }
  return error
}

export function expectTyped(errors: readonly RingfenceError[]): void {
  errors.forEach(checked)
}

/** Rejections nobody handled since the test file was loaded. */
export function watchRejections(): unknown[] {
  const rejections: unknown[] = []
  process.on('unhandledRejection', (reason) => rejections.push(reason))
  return rejections
}

/** Helper, server and a second client that has to be served whatever the first one does. */
export async function neighbourhood(compiled: Compiled, options: Parameters<typeof Site.create>[2] = {}) {
  const helper = await createHelper()
  const site = await Site.create(compiled, helper, options)
  const end = async () => {
    const { client, compare } = await site.seat()
    expect(await compare(inputFor(compiled))).toBeNull()
    await client.release()
    expectTyped(site.errors)
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  }
  return { helper, site, end }
}

/** The code a peer reported, when an error is that report. */
export const causeOf = (error: Error | null): unknown => (error?.cause as { code?: string } | undefined)?.code

/**
 * A framed link in the hands of a test, to say what no party would.
 * @param patient waits on while the peer says that it is alive, as clients do
 */
export const raw = (channel: Channel, patient = false): Link =>
  new Link(channel, { name: 'peer', deadlineMs: DEADLINE_MS, maxFrame: 2 ** 24, patient })

export const kindOf = (message: Uint8Array): number => message[4]

/** Rewrites the inference number in the `nth` frame of a kind that end a sends, counted from 0. */
export function renumber(kind: number, nth: number, number: number): Fault {
  let seen = 0
  return (message, _, from) => {
    if (from === 'a' && kindOf(message) === kind && seen++ === nth) {
      new DataView(message.buffer, message.byteOffset).setBigUint64(8, BigInt(number), true)
    }
    return message
  }
}

/** Sends the first frame of a kind from end a again in place of the second. */
export function repeat(kind: number): Fault {
  let first: Uint8Array | undefined
  return (message, _, from) => {
    if (from !== 'a' || kindOf(message) !== kind) return message
    first ??= message.slice()
    return first.slice()
  }
}

/** Waits until `condition` holds; parties notice the end of a connection a few turns later. */
export async function eventually(condition: () => boolean, withinMs = 2000): Promise<boolean> {
  const end = now() + withinMs
  while (!condition() && now() < end) await new Promise((done) => setTimeout(done, 2))
  return condition()
}
