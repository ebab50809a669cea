// A fleet in a world of its own: time, network and broker are simulated, and go wrong as a seed says. Parties, dealing and
// the store are the real ones.
import type { Engine, Lease } from '../../src/engine/engine.js'
import { MemoryEngine } from '../../src/engine/memory.js'
import type { Timers } from '../../src/engine/timers.js'
import { FleetDealer, type Transport } from '../../src/fleet/dealer.js'
import { type Desk, FleetFront } from '../../src/fleet/front.js'
import { openJob } from '../../src/fleet/job.js'
import { FleetKeys } from '../../src/fleet/keys.js'
import type { DealerPool, DealJob } from '../../src/party/helper/dealing.js'
import { freshSeed } from '../../src/random/seed.js'
import { localPool } from './local-pool.js'

/** Numbers that a seed stands for (mulberry32). */
export function chances(seed: number) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    /** Whether something of that probability happens. */
    happens: (probability: number) => next() < probability,
    between: (low: number, high: number) => low + Math.floor(next() * (high - low + 1)),
  }
}

export type Chances = ReturnType<typeof chances>

/** Time that passes when nothing else is to be done. */
export class World implements Timers {
  #now = 0
  #events: { at: number; call: () => void }[] = []
  #over = false

  constructor() {
    void this.#turn()
  }

  now(): number {
    return this.#now
  }

  date(): number {
    return this.#now
  }

  after(ms: number, call: () => void): () => void {
    const event = { at: this.#now + Math.max(0, ms), call }
    this.#events.push(event)
    return () => {
      this.#events = this.#events.filter((each) => each !== event)
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve))
  }

  end(): void {
    this.#over = true
  }

  async #turn(): Promise<void> {
    while (!this.#over) {
      // Whatever follows at once from what has happened does so before the next event.
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => setImmediate(resolve))
      const next = this.#events.reduce((a, b) => (b.at < a.at ? b : a), this.#events[0])
      if (!next) continue
      this.#events = this.#events.filter((each) => each !== next)
      this.#now = next.at
      next.call()
    }
  }
}

/** What was seen of a world. */
export interface Seen {
  /** Bodies that left a dealer, whole or not, by what they are the bundle of. */
  readonly sent: Map<string, Uint8Array[]>
  /** What the broker was given. */
  readonly broker: Uint8Array[]
  /** Secrets that it must not see. */
  readonly secrets: Uint8Array[]
  deals: number
  killed: number
  faults: number
}

const never = <T>(): Promise<T> => new Promise(() => undefined)

export interface FleetWorld {
  readonly world: World
  readonly fronts: readonly FrontAt[]
  /** Who takes bundles, by address: fronts, and servers that are told of here. */
  readonly desks: Map<string, Desk>
  readonly keys: FleetKeys
  readonly engine: MemoryEngine
  readonly seen: Seen
  /** From now on nothing goes wrong any more. */
  calm(): void
  /** Dealers finish and leave. */
  drain(): Promise<void>
}

export interface FrontAt {
  readonly url: string
  readonly front: FleetFront
}

const LEASE_MS = 15_000

/** @param remake what a dealer makes of a job before it deals; a broken one for the test of the test */
export function fleetWorld(chance: Chances, remake = (job: DealJob): DealJob => job): FleetWorld {
  const world = new World()
  const engine = new MemoryEngine({ name: 'deal', leaseMs: LEASE_MS }, world)
  const keys = new FleetKeys([freshSeed()])
  const seen: Seen = { sent: new Map(), broker: [], secrets: [], deals: 0, killed: 0, faults: 0 }
  let calm = false
  const fault = (probability: number) => {
    const happens = !calm && chance.happens(probability)
    if (happens) seen.faults++
    return happens
  }
  const later = () => world.sleep(chance.between(0, fault(0.1) ? 40_000 : 200))
  const broken = faultyBroker(engine, { world, fault, later, keys, seen, chance })
  const desks = new Map<string, Desk>()
  const fronts = Array.from({ length: chance.between(1, 3) }, (_, i): FrontAt => {
    const url = `http://127.0.0.1:${i + 1}`
    const delivers = (to: string) => desks.has(to)
    const front = new FleetFront({ engine: broken, keys: () => keys, url, delivers, timers: world })
    desks.set(url, front)
    return { url, front }
  })
  const network = faultyNetwork(desks, { fault, later })
  const dealers = Array.from({ length: chance.between(1, 5) }, () => {
    const end = new AbortController()
    const live = async () => {
      while (!end.signal.aborted) {
        const kills = !calm && chance.happens(0.7)
        const alive = { is: true }
        const pool = watchedPool(seen, remake)
        const options = { keys: () => keys, pool, leaseMs: LEASE_MS, timers: world }
        const ending = new AbortController()
        end.signal.addEventListener('abort', () => ending.abort())
        const mortal = { engine: mortalEngine(broken, alive), transport: mortalTransport(network, alive, seen, pool) }
        const running = new FleetDealer({ ...options, ...mortal }).run(ending.signal)
        if (!kills) return running
        await world.sleep(chance.between(0, 30_000))
        if (calm) return running
        alive.is = false
        seen.killed++
        ending.abort()
        await world.sleep(chance.between(0, 10_000))
      }
    }
    return { running: live(), end: () => end.abort() }
  })
  return {
    ...{ world, fronts, desks, keys, engine, seen },
    calm: () => {
      calm = true
    },
    drain: async () => {
      for (const { end } of dealers) end()
      await Promise.all(dealers.map(({ running }) => running))
    },
  }
}

/** The job that this thread deals: what is sent next is its bundle. */
interface WatchedPool extends DealerPool {
  /** Names of what was dealt, by the first message's buffer. */
  readonly of: WeakMap<Uint8Array, string>
}

function watchedPool(seen: Seen, remake: (job: DealJob) => DealJob): WatchedPool {
  const of = new WeakMap<Uint8Array, string>()
  const pool = localPool()
  return {
    ...pool,
    of,
    open: async (dealt) => {
      const dealer = await pool.open(dealt)
      return {
        ...dealer,
        begin: async (job) => {
          seen.deals++
          const name = Buffer.from([...job.sh, ...job.ch]).toString('hex')
          const bundle = await dealer.begin(remake(job))
          return {
            send: (emit) =>
              bundle.send((step, message) => {
                const copy = message instanceof Uint8Array ? message.slice() : message.u8().slice()
                of.set(copy, name)
                return emit(step, copy)
              }),
          }
        },
      }
    },
  }
}

interface Trouble {
  readonly fault: (probability: number) => boolean
  readonly later: () => Promise<void>
}

/** Jobs are delayed, doubled and altered, acknowledgements are lost or late. */
function faultyBroker(
  engine: Engine,
  { world, fault, later, keys, seen, chance }: Trouble & { world: World; keys: FleetKeys; seen: Seen; chance: Chances },
): Engine {
  const put = async (job: Uint8Array, id: string) => {
    seen.broker.push(job.slice())
    const { deal, token } = openJob(keys, job)
    seen.secrets.push(deal.ch, deal.sh, deal.own, token)
    await later()
    if (fault(0.1)) await engine.jobs.put(job, `again-${id}`)
    if (fault(0.1)) {
      const altered = job.slice()
      altered[chance.between(0, altered.length - 1)] ^= 1 << chance.between(0, 7)
      await engine.jobs.put(altered, `altered-${id}`)
    }
    return engine.jobs.put(job, id)
  }
  async function* take(signal?: AbortSignal): AsyncGenerator<Lease, void> {
    for await (const lease of engine.jobs.take(signal)) {
      await later()
      // The broker restarts, or a message overtakes another: whoever had it has nothing.
      if (fault(0.05)) void world.sleep(chance.between(0, 2 * LEASE_MS)).then(() => lease.retry(0))
      else {
        const ack = async (what: () => Promise<void>) => {
          if (fault(0.15)) return
          if (fault(0.1)) void world.sleep(chance.between(0, 2 * LEASE_MS)).then(what)
          else await what()
        }
        yield {
          ...lease,
          extend: () => ack(() => lease.extend()),
          done: () => ack(() => lease.done()),
          retry: (ms) => ack(() => lease.retry(ms)),
          dead: (reason) => ack(() => lease.dead(reason)),
        }
      }
    }
  }
  return { jobs: { put, take, depth: () => engine.jobs.depth() }, claims: engine.claims, close: () => engine.close() }
}

/** Requests are delayed, lost, torn and doubled, and so are answers; what was killed answers nobody. */
function faultyNetwork(desks: ReadonlyMap<string, Desk>, { fault, later }: Trouble): Transport {
  const lost = () => Promise.reject(new Error('the network lost it'))
  const put = async (url: string, token: Uint8Array, body: readonly Uint8Array[]) => {
    await later()
    const { origin, pathname } = new URL(url)
    const desk = desks.get(origin)
    if (!desk || fault(0.1)) return lost()
    const expected = desk.expects(pathname, token)
    if (typeof expected === 'number') return expected
    const whole = new Uint8Array(Buffer.concat(body))
    // Torn: what has come of it is less than was announced, and is dropped.
    try {
      if (fault(0.1)) return await lost()
      await later()
      if (whole.byteLength !== expected.bytes) return 400
      const status = expected.take(whole)
      if (fault(0.1)) expected.take(whole)
      return fault(0.1) ? await lost() : status
    } finally {
      expected.end?.()
    }
  }
  const get = async (url: string, token: Uint8Array) => {
    await later()
    const { origin, pathname } = new URL(url)
    const desk = desks.get(origin)
    return !desk?.gives || fault(0.1) ? lost() : desk.gives(pathname, token)
  }
  return { get, put }
}

/** What the dead say is heard by nobody, and nobody tells them anything. */
function mortalEngine(engine: Engine, alive: { is: boolean }): Engine {
  const through = <T>(call: () => Promise<T>) => (alive.is ? call() : never<T>())
  return {
    jobs: {
      put: (job, id) => through(() => engine.jobs.put(job, id)),
      depth: () => engine.jobs.depth(),
      async *take(signal) {
        for await (const lease of engine.jobs.take(signal)) {
          if (!alive.is) return
          yield {
            ...lease,
            extend: () => through(() => lease.extend()),
            done: () => through(() => lease.done()),
            retry: (ms) => through(() => lease.retry(ms)),
            dead: (reason) => through(() => lease.dead(reason)),
          }
        }
      },
    },
    claims: engine.claims,
    close: async () => undefined,
  }
}

function mortalTransport(network: Transport, alive: { is: boolean }, seen: Seen, pool: WatchedPool): Transport {
  return {
    get: (url, token) => (alive.is ? network.get(url, token) : never()),
    put: (url, token, body) => {
      const name = pool.of.get(body[0])
      // Without a name it is news of a bundle that went to its server.
      if (name !== undefined) {
        const whole = new Uint8Array(Buffer.concat(body))
        seen.sent.set(name, [...(seen.sent.get(name) ?? []), whole])
      }
      return alive.is ? network.put(url, token, body) : never()
    },
  }
}
