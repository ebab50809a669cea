// Sessions whose material outlives their connection, because their client keeps its part of it. Whoever shows a session's
// token may use what is left of it, each inference once; several connections may at a time, a page in two tabs for example.
import { sha256 } from '@noble/hashes/sha2.js'
import type { Kernels } from '../../kernels/instance.js'
import { entropy } from '../../random/seed.js'
import type { Streams } from '../../random/streams.js'
import { encodeAddress, equal, TOKEN_BYTES } from '../messages.js'
import type { MaterialStore } from './store.js'

/** Longest delay of a timer. */
const MAX_TIMEOUT = 2 ** 31 - 1

export interface KeptSession {
  readonly name: string
  /** Shared with the helper. */
  readonly sh: Streams
  readonly tokenHash: Uint8Array
  /** Connections that may use it. */
  holders: number
}

export class KeptSessions {
  readonly #sessions = new Map<string, KeptSession>()
  /** Those that no connection holds, with the timers that end them; the longest parked first. */
  readonly #parked = new Map<KeptSession, ReturnType<typeof setTimeout>>()

  /**
   * @param keepMs how long a session outlives its last connection; 0: none does
   * @param keptAt where their clients come back; empty: where they came
   */
  constructor(
    private readonly k: Kernels,
    private readonly store: MaterialStore,
    private readonly keepMs: number,
    private readonly keptAt: string,
  ) {}

  get size(): number {
    return this.#sessions.size
  }

  /** Keeps a session, with one holder. Null when this server keeps none. */
  keep(name: string, sh: Streams): { kept: KeptSession; token: Uint8Array } | null {
    if (this.keepMs <= 0) return null
    const token = entropy(TOKEN_BYTES)
    const kept = { name, sh: sh.on(this.k), tokenHash: sha256(token), holders: 1 }
    this.#sessions.set(name, kept)
    return { kept, token }
  }

  /** What a client is told of its session: a token, zeros where none is kept, and where to come back. */
  told(token: Uint8Array = new Uint8Array(TOKEN_BYTES)): Uint8Array {
    return new Uint8Array([...token, ...encodeAddress(this.keptAt)])
  }

  /** The session, with one more holder. Undefined when it is not there any more, or when this is not its token. */
  resume(name: string, token: Uint8Array): KeptSession | undefined {
    const kept = this.#sessions.get(name)
    if (!kept || !equal(sha256(token), kept.tokenHash)) return undefined
    clearTimeout(this.#parked.get(kept))
    this.#parked.delete(kept)
    kept.holders++
    return kept
  }

  /** A holder leaves; behind the last one the session stays for a while, if there is anything left to use. */
  leave(kept: KeptSession): void {
    kept.holders--
    if (kept.holders > 0) return
    if (this.store.settle(kept.name) === 0) this.#drop(kept)
    else {
      const timer = setTimeout(() => this.#drop(kept), Math.min(this.keepMs, MAX_TIMEOUT))
      this.#parked.set(kept, timer)
    }
  }

  /** Ends a session, whoever holds it. */
  end(name: string): void {
    const kept = this.#sessions.get(name)
    if (kept) this.#drop(kept)
  }

  /** Ends parked sessions, the longest parked first, until the store has room for `count` inferences or none is left. */
  makeRoom(count: number): void {
    for (const kept of this.#parked.keys()) {
      if (this.store.room >= count) return
      this.#drop(kept)
    }
  }

  release(): void {
    for (const kept of this.#sessions.values()) this.#drop(kept)
  }

  #drop(kept: KeptSession): void {
    if (this.#sessions.get(kept.name) !== kept) return
    clearTimeout(this.#parked.get(kept))
    this.#parked.delete(kept)
    this.#sessions.delete(kept.name)
    this.store.forget(kept.name)
    kept.sh.release()
  }
}
