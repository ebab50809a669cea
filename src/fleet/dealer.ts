// A dealer of a fleet: takes jobs, deals, and brings the bundle to the front that asked for it. It may die at any point: whoever
// gets the job next deals the same bytes.
import type { Engine, Lease } from '../engine/engine.js'
import { hostTimers, type Timers } from '../engine/timers.js'
import { RingfenceError } from '../errors.js'
import { type DealerPool, type ModelDealer, wipeJob } from '../party/helper/dealing.js'
import { hex } from '../party/messages.js'
import { bundleAt, type FleetJob, modelUrl, NEWS, openJob, orderUrl } from './job.js'
import type { FleetKeys } from './keys.js'
import { decodeModel } from './model.js'

/** How a dealer reaches fronts. Both reject when there is no answer. */
export interface Transport {
  /** The answer's body, or its status where that is not 200. */
  get(url: string, token: Uint8Array): Promise<Uint8Array | number>
  /** The answer's status. */
  put(url: string, token: Uint8Array, body: readonly Uint8Array[]): Promise<number>
}

/** How a job ended. `gone`: nobody waits for it. */
export type Outcome = 'dealt' | 'gone' | 'again' | 'dead'

export interface DealerOptions {
  readonly engine: Engine
  readonly keys: () => FleetKeys
  readonly transport: Transport
  /** Who does the work. It stays the caller's to release. */
  readonly pool: DealerPool
  /** Jobs at a time. Default: as many as the pool has threads. */
  readonly width?: number
  /** As of the engine. Default 15 s. */
  readonly leaseMs?: number
  /** A model that nobody has asked for during so long is let go. Default 10 minutes. */
  readonly idleMs?: number
  readonly onJob?: (outcome: Outcome, milliseconds: number, error?: RingfenceError) => void
  readonly timers?: Timers
}

/** A job that could not be done is tried again after so long. */
const RETRY_MS = 500

interface Held {
  readonly dealer: Promise<ModelDealer | undefined>
  used: number
}

export class FleetDealer {
  readonly #models = new Map<string, Held>()

  constructor(private readonly options: DealerOptions) {}

  /** Works until it is told to end; what is begun is finished. */
  async run(signal: AbortSignal): Promise<void> {
    const { engine, pool, width = pool.threads } = this.options
    // A signal for each: on one signal so many listeners look like a leak.
    const work = async () => {
      for await (const lease of engine.jobs.take(AbortSignal.any([signal]))) await this.#work(lease)
    }
    try {
      await Promise.all(Array.from({ length: width }, work))
    } finally {
      this.#letGo(Number.POSITIVE_INFINITY)
    }
  }

  async #work(lease: Lease): Promise<void> {
    const { leaseMs = 15_000, onJob, timers = hostTimers } = this.options
    const began = timers.now()
    let callOff = () => {}
    const extendInTime = () => {
      callOff = timers.after(leaseMs / 3, () => {
        void lease.extend().catch(() => undefined)
        extendInTime()
      })
    }
    extendInTime()
    let outcome: Outcome
    let error: RingfenceError | undefined
    try {
      outcome = await this.#deal(lease.job)
    } catch (cause) {
      error = cause instanceof RingfenceError ? cause : new RingfenceError('HOST', 'a job failed', [], { cause })
      outcome = error.code === 'INSECURE' ? 'dead' : 'again'
    } finally {
      callOff()
    }
    onJob?.(outcome, timers.now() - began, error)
    try {
      if (outcome === 'again') await lease.retry(RETRY_MS)
      else if (outcome === 'dead') await lease.dead(error!.message)
      else await lease.done()
    } catch {
      // The queue is away: the job comes again, to the same bytes.
    }
  }

  async #deal(sealed: Uint8Array): Promise<Outcome> {
    const { keys, transport, timers = hostTimers } = this.options
    const job = openJob(keys(), sealed)
    try {
      if (job.until < timers.date()) return 'gone'
      const dealer = await this.#model(job)
      if (!dealer) return 'gone'
      const messages: Uint8Array[] = []
      const bundle = await dealer.begin(job.deal)
      await bundle.send((_, message) => {
        messages.push(message instanceof Uint8Array ? message : message.u8().slice())
      })
      const { url, token } = bundleAt(job)
      const status = await transport.put(url, token, messages)
      const dealt = status === 200 || status === 201
      if (!dealt && ![404, 409, 410].includes(status)) {
        throw new RingfenceError('PEER_FAILED', `a bundle was answered ${status}`)
      }
      // Whoever waits for it there learns of it here.
      const news = new Uint8Array([dealt ? NEWS.delivered : NEWS.gone])
      if (job.to) await transport.put(orderUrl(job), job.token, [news])
      return dealt ? 'dealt' : 'gone'
    } finally {
      wipeJob(job.deal)
      job.token.fill(0)
    }
  }

  /** Undefined where the front has no such model any more. */
  async #model(job: FleetJob): Promise<ModelDealer | undefined> {
    const { idleMs = 600_000, timers = hostTimers } = this.options
    this.#letGo(timers.now() - idleMs)
    const name = hex(job.model)
    const held = this.#models.get(name) ?? { dealer: this.#fetch(job), used: 0 }
    held.used = timers.now()
    this.#models.set(name, held)
    const forget = () => {
      if (this.#models.get(name) === held) this.#models.delete(name)
    }
    try {
      const dealer = await held.dealer
      if (!dealer) forget()
      return dealer
    } catch (error) {
      forget()
      throw error
    }
  }

  async #fetch(job: FleetJob): Promise<ModelDealer | undefined> {
    const { keys, transport, pool } = this.options
    const body = await transport.get(modelUrl(job), keys().tokenFor(job.model))
    if (body === 404 || body === 410) return undefined
    if (typeof body === 'number') throw new RingfenceError('PEER_FAILED', `a front answered ${body} to a dealer`)
    const { plan, filters, transposes, seed } = decodeModel(body)
    const dealer = await pool.open({ plan, filters })
    for (const packed of transposes) dealer.addTransposes(packed)
    if (seed) dealer.guard(seed)
    seed?.fill(0)
    return dealer
  }

  /** Models that were last used before then. */
  #letGo(before: number): void {
    for (const [name, { dealer, used }] of this.#models) {
      if (used >= before) continue
      this.#models.delete(name)
      dealer.then((each) => each?.release()).catch(() => undefined)
    }
  }
}
