// What the demo's parties tell of themselves, and the seeds they reveal to the judge.
import { RingfenceError } from '../../errors.js'
import type { Resize } from '../../model/pictures/resize.js'
import type { Meter, NetworkProfile, PhaseTraffic, Traffic } from '../../net/index.js'
import type { Audit } from '../../party/options.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { toHex } from '../terminal/arguments.js'

export interface HelperReady {
  readonly url: string
  readonly publicKey: Uint8Array
}

/** Longest silence of a peer, in milliseconds. */
export interface Patience {
  readonly deadlineMs?: number
}

export interface ServerOrder extends Patience {
  readonly folder: string
  readonly variant: string
  readonly options: CompileOptions
  readonly helper: HelperReady
  /** A delegate plays the client. */
  readonly delegateKey?: Uint8Array
}

export interface ClientOrder extends Patience {
  readonly server: string
  readonly helper: HelperReady
  readonly network: NetworkProfile | undefined
}

/** One picture to classify. */
export interface PictureOrder {
  readonly file: string
  readonly resize: Resize | undefined
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
  /** What the picture's owner saw of it, where a delegate played the client. */
  readonly owner?: OwnerRun
}

/** One round trip: bytes of both requests and their answers. */
export interface OwnerRun extends Bytes {
  readonly ms: number
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

export const LOOPBACK = { host: '127.0.0.1', port: 0 }

/** Keeps the seeds of every session; the demo's pictures have one. */
export class Reveal {
  readonly #revealed = new Map<string, Revealed>()

  readonly audit: Audit = ({ session, seed, model }) => {
    const name = toHex(session)
    this.#revealed.set(name, { session: name, seed, model })
  }

  /** @param session default the first */
  async get(session?: string): Promise<Revealed> {
    const revealed = session === undefined ? this.#revealed.values().next().value : this.#revealed.get(session)
    if (!revealed) throw new RingfenceError('BAD_INPUT', 'no session was opened, so there is no seed to reveal')
    return revealed
  }
}

/** What a meter of the client's, or of who plays it, says of every step on line. */
export function stepTraffic(meter: Meter, steps: number): StepTraffic[] {
  const { links, milliseconds } = meter.report()
  const server = byStep(links.server)
  const helper = byStep(links.helper)
  const timed = new Map(milliseconds.online.steps.map(({ step, ms }) => [step, ms]))
  return Array.from({ length: steps }, (_, step) => {
    const traffic = server.get(step)
    const flights = traffic?.flights ?? 0
    return { flights, ...sides(traffic), helper: sides(helper.get(step)), ms: timed.get(step) ?? 0 }
  })
}

export function helperTraffic(meter: Meter, steps: number): HelperTraffic {
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

export function bytesOf(meter: Meter, phase: 'setup' | 'offline'): Record<string, Bytes> {
  const { links } = meter.report()
  return Object.fromEntries(Object.entries(links).map(([link, phases]) => [link, sides(phases[phase])]))
}

const sides = (traffic?: Traffic): Bytes => ({ up: traffic?.bytesSent ?? 0, down: traffic?.bytesReceived ?? 0 })
