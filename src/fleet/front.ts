// A helper's side of a fleet: what its servers' clients are to be dealt becomes jobs for dealers, which bring the bundles.
import type { Engine } from '../engine/engine.js'
import { hostTimers, type Timers } from '../engine/timers.js'
import { RingfenceError } from '../errors.js'
import { busy } from '../net/index.js'
import type { Bundle, DealerPool, DealJob, DealtModel, Destination, ModelDealer } from '../party/helper/dealing.js'
import { equal, hex, ID_BYTES } from '../party/messages.js'
import { planLayout } from '../protocol/layout.js'
import { materialLengths } from '../protocol/mcc/material.js'
import { entropy, freshSeed, type Seed } from '../random/seed.js'
import { NEWS, sealJob } from './job.js'
import type { FleetKeys } from './keys.js'
import { encodeModel, type FleetModel } from './model.js'

export interface FrontOptions {
  readonly engine: Engine
  readonly keys: () => FleetKeys
  /** Where dealers reach this front. */
  readonly url: string
  /** Bundles of one registration that are open at a time. Default 16. */
  readonly width?: number
  /** How long a bundle is waited for. Default one minute, as long as a server's grant lasts. */
  readonly waitMs?: number
  /** Whether dealers may bring bundles to this address of a server's. Default: to none. */
  readonly delivers?: (url: string) => boolean
  readonly timers?: Timers
}

/** A body that is wanted. */
export interface Expected {
  readonly bytes: number
  /** It has come whole. Tells the status. */
  take(body: Uint8Array): number
  /** Nothing more comes of it, whatever has. */
  end?(): void
}

/** What may be asked for or brought by somebody who shows a token. */
export interface Desk {
  /** Bytes of what is expected at a path, or a status. */
  expects(path: string, token: Uint8Array): Expected | number
  /** What is there at a path, or a status. */
  gives?(path: string, token: Uint8Array): Uint8Array | number
}

/** A bundle that is waited for. */
interface Order {
  readonly token: Uint8Array
  /** Of what is brought here: the bundle, or one byte of news of it. */
  readonly lengths: readonly number[] | undefined
  readonly model: string
  settle(bundle: Bundle): void
}

interface Model extends FleetModel {
  readonly id: Uint8Array
  readonly transposes: Uint8Array[]
  seed: Seed | undefined
  users: number
}

/** A job that nobody has done is put again after so long. */
const AGAIN_MS = 10_000

export class FleetFront implements DealerPool, Desk {
  /** None here: the front holds a model only as it came. */
  readonly threads = 0
  readonly #models = new Map<string, Model>()
  readonly #orders = new Map<string, Order>()

  constructor(private readonly options: FrontOptions) {}

  delivers(url: string): boolean {
    return this.options.delivers?.(url) ?? false
  }

  /** Bundles that are waited for. */
  get waiting(): number {
    return this.#orders.size
  }

  async open(dealt: DealtModel): Promise<ModelDealer> {
    const { width = 16 } = this.options
    // Of a shared registration one name, so that a dealer has the model once whichever front gave it.
    const id = dealt.name ?? entropy(ID_BYTES)
    const name = hex(id)
    const model: Model = this.#models.get(name) ?? { ...dealt, id, transposes: [], seed: undefined, users: 0 }
    model.users++
    this.#models.set(name, model)
    const lengths = materialLengths(planLayout(dealt.plan)).helper
    return {
      width,
      addTransposes: (packed) => void model.transposes.push(packed.slice()),
      guard: (seed) => {
        model.seed = seed.slice()
      },
      begin: (job, to) => this.#begin(id, to ? undefined : lengths, job, to),
      release: () => --model.users === 0 && this.#close(name),
    }
  }

  async release(): Promise<void> {
    for (const name of [...this.#models.keys()]) this.#close(name)
  }

  expects(path: string, token: Uint8Array): Expected | number {
    const [, name] = /^\/v1\/bundle\/([0-9a-f]{32})$/.exec(path) ?? []
    if (name === undefined) return 404
    const order = this.#orders.get(name)
    if (!order) return 410
    if (!equal(order.token, token)) return 403
    const { lengths } = order
    const bytes = lengths?.reduce((sum, length) => sum + length, 0) ?? 1
    const take = (body: Uint8Array) => {
      if (this.#orders.get(name) !== order) return 410
      order.settle(lengths ? split(body, lengths) : newsOf(body))
      return 201
    }
    return { bytes, take }
  }

  gives(path: string, token: Uint8Array): Uint8Array | number {
    const [, name] = /^\/v1\/model\/([0-9a-f]{32})$/.exec(path) ?? []
    if (name === undefined) return 404
    const model = this.#models.get(name)
    if (!model) return 410
    return this.options.keys().admits(model.id, token) ? encodeModel(model) : 403
  }

  /** Resolves when the bundle was brought, or will not be. */
  async #begin(
    model: Uint8Array,
    lengths: readonly number[] | undefined,
    deal: DealJob,
    to: Destination | undefined,
  ): Promise<Bundle> {
    const { engine, keys, url, waitMs = 60_000, timers = hostTimers } = this.options
    const order = entropy(ID_BYTES)
    const name = hex(order)
    const token = freshSeed()
    const calledOff: (() => void)[] = []
    const brought = new Promise<Bundle>((settle) => {
      this.#orders.set(name, { token, lengths, model: hex(model), settle })
      const late = () => settle(failed(busy('no dealer came in time; the helper', waitMs)))
      calledOff.push(timers.after(waitMs, late))
    })
    try {
      const job = sealJob(keys(), { model, order, token, to, deal, until: timers.date() + waitMs, front: url })
      await engine.jobs.put(job, name)
      // A broker that was killed may have lost it; one that was not takes it for the same.
      for (let ms = AGAIN_MS; ms < waitMs; ms += AGAIN_MS) {
        calledOff.push(timers.after(ms, () => void engine.jobs.put(job, name).catch(() => undefined)))
      }
      return await brought
    } catch (error) {
      return failed(error)
    } finally {
      for (const callOff of calledOff) callOff()
      this.#orders.delete(name)
    }
  }

  #close(name: string): void {
    for (const { model, settle } of this.#orders.values()) {
      if (model === name) settle(failed(new RingfenceError('PEER_GONE', 'the server has left the helper')))
    }
    this.#models.get(name)?.seed?.fill(0)
    this.#models.delete(name)
  }
}

const failed = (error: unknown): Bundle => ({ send: () => Promise.reject(error) })

const newsOf = ([word]: Uint8Array): Bundle =>
  word === NEWS.delivered
    ? { delivered: true, send: async () => undefined }
    : failed(new RingfenceError('PEER_GONE', 'the server does not wait for this bundle any more'))

/** A body as the messages it is made of. */
function split(body: Uint8Array, lengths: readonly number[]): Bundle {
  return {
    send: async (emit) => {
      let at = 0
      for (const [step, length] of lengths.entries()) {
        await emit(step, body.subarray(at, at + length))
        at += length
      }
    },
  }
}
