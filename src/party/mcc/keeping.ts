// The client's side of material that outlives its connection: its part lies in a store, one entry per inference, and is
// deleted before it is used. What is left of earlier sessions is used first, by the server that has the other part.
import type { Kernels } from '../../kernels/instance.js'
import { type Link, Phase } from '../../net/index.js'
import type { Plan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { Streams } from '../../random/streams.js'
import type { CallOptions, MaterialLoss } from '../client/client-options.js'
import type { MaterialStore, StoredMaterial } from '../client/client-store.js'
import { homeWithin } from '../client/home.js'
import {
  CLAIM_BYTES,
  decodeAddress,
  hex,
  ID_BYTES,
  KEPT_BYTES,
  RESUME_BYTES,
  type ServerWelcome,
  TOKEN_BYTES,
  writeInference,
} from '../messages.js'

/** The server's part is gone by then in any case; this bounds how long a secret lies around. */
const DAY_MS = 86_400_000

/** An inference that can start: its number, and its streams or where they are kept. */
export interface Ready {
  readonly inference: number
  readonly streams?: Streams
  /** In the store. */
  readonly entry?: string
}

export interface KeepingTerms {
  readonly k: Kernels
  readonly server: Link
  readonly store: MaterialStore
  /** The server's address, as the client was given it. */
  readonly address: string
  /** Where it has come: there, or to the one server behind it that has what is kept. */
  readonly at: string
  /** The one server where it went for that, and which did not take it. */
  readonly left: string | undefined
  readonly welcome: ServerWelcome
  readonly plan: Plan
  readonly onLost: ((why: MaterialLoss) => void) | undefined
}

/** A store in use, and what was found in it. */
export interface Kept {
  readonly keeping: Keeping
  readonly ready: readonly Ready[]
}

export class Keeping {
  #token: Uint8Array | undefined
  #home = ''

  private constructor(private readonly terms: KeepingTerms) {}

  /** Has this session kept, and finds out what is left of earlier ones. */
  static async open(terms: KeepingTerms, options: CallOptions): Promise<Kept> {
    const keeping = new Keeping(terms)
    return { keeping, ready: await keeping.#resume(await keeping.#sift(), options) }
  }

  /** Puts an inference's seed into the store and wipes it here. Undefined when it could not be stored: then it is lost. */
  async put(inference: number, streams: Streams): Promise<Ready | undefined> {
    if (!this.#token) return { inference, streams }
    const { address: server, welcome, store } = this.terms
    const { session } = welcome
    const id = `${hex(session)} ${inference}`
    const seed = streams.seed()
    streams.release()
    const expires = Date.now() + DAY_MS
    const entry: StoredMaterial = {
      id,
      server,
      home: this.#home,
      terms: this.#sameTerms(),
      session,
      token: this.#token,
      inference,
      seed,
      expires,
    }
    try {
      await store.put(entry)
      return { inference, entry: id }
    } catch {
      this.#token = undefined // no room, for example: from now on everything stays in memory
      this.#lost('storage')
      return undefined
    } finally {
      seed.fill(0)
    }
  }

  /**
   * Takes an inference out of the store for good. Undefined when another tab has it, or when the server has used its part.
   * @throws RingfenceError PEER_GONE, PEER_FAILED, DEADLINE, ABORTED; it is lost then
   */
  async take(id: string, { signal }: CallOptions): Promise<Ready | undefined> {
    const { k, server, store, welcome, plan } = this.terms
    const entry = await store.take(id)
    if (!entry) return undefined
    const { inference, seed, session } = entry
    const streams = new Streams(k, seed, plan.rounds)
    seed.fill(0)
    if (hex(session) === hex(welcome.session)) return { inference, streams }
    const claim = new Uint8Array(CLAIM_BYTES)
    claim.set(session)
    writeInference(claim.subarray(ID_BYTES), inference)
    try {
      server.send(Kind.claim, Phase.online, 0, claim)
      const [granted] = await server.receive(Kind.claimed, Phase.online, 0, 1, { signal })
      if (granted === 1) return { inference, streams }
    } catch (error) {
      streams.release()
      throw error
    }
    streams.release()
    this.#lost('refused')
    return undefined
  }

  /**
   * What of the store was prepared with this server, for this plan and helper; what else is of its address and can be used no more
   * is deleted.
   */
  async #sift(): Promise<StoredMaterial[]> {
    const { store, address, at, left } = this.terms
    const now = Date.now()
    const good: StoredMaterial[] = []
    for (const entry of await store.list()) {
      const ours = entry.server === address
      const where = entry.home || address
      if (entry.expires <= now) await this.#discard(entry, ours ? 'expired' : undefined)
      else if (ours && where === left) await this.#discard(entry, 'refused')
      else if (ours && entry.terms !== this.#sameTerms()) await this.#discard(entry, 'changed')
      else if (ours && where === at) good.push(entry)
      entry.seed.fill(0)
    }
    return good
  }

  async #resume(entries: readonly StoredMaterial[], { signal }: CallOptions): Promise<Ready[]> {
    const { server, address } = this.terms
    const sessions = new Map<string, StoredMaterial[]>()
    for (const entry of entries) {
      const name = hex(entry.session)
      sessions.set(name, [...(sessions.get(name) ?? []), entry])
    }
    server.send(Kind.keep, Phase.setup, 0, new Uint8Array(0))
    for (const [{ session, token }] of sessions.values()) {
      const message = new Uint8Array(RESUME_BYTES)
      message.set(session)
      message.set(token, ID_BYTES)
      server.send(Kind.resume, Phase.setup, 0, message)
    }
    const kept = await server.receive(Kind.kept, Phase.setup, 0, KEPT_BYTES, { signal })
    const token = kept.slice(0, TOKEN_BYTES)
    this.#home = homeWithin(address, decodeAddress(kept.subarray(TOKEN_BYTES)))
    if (token.some((byte) => byte !== 0)) this.#token = token
    const ready: Ready[] = []
    for (const left of sessions.values()) {
      const [alive] = await server.receive(Kind.resumed, Phase.setup, 0, 1, { signal })
      if (alive === 1) ready.push(...left.map(({ inference, id }) => ({ inference, entry: id })))
      else for (const entry of left) await this.#discard(entry, 'refused')
    }
    return ready
  }

  async #discard({ id }: StoredMaterial, why: MaterialLoss | undefined): Promise<void> {
    if ((await this.terms.store.take(id)) && why) this.#lost(why)
  }

  #sameTerms(): string {
    const { digest, helperKey } = this.terms.welcome
    return `${hex(digest)} ${hex(helperKey)}`
  }

  #lost(why: MaterialLoss): void {
    this.terms.onLost?.(why)
  }
}
