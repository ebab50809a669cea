// What a helper remembers of its servers' sessions: which numbers were dealt, for as long as one could be asked for again.
import type { Grants } from '../grant.js'
import { Ledger } from '../ledger.js'
import { Turns } from '../options.js'
import type { Epoch } from './epoch.js'
import type { SessionLinks } from './session-links.js'

/** How often all numbers of a session may be dealt once more, where they may be at all. */
const DEALS_MORE = 4

export class HelpedSession {
  /** What was dealt: a client that connects anew does not get a number a second time, or gets the same bytes. */
  readonly ledger = new Ledger()
  /** So many deals of a session wait at a time, however many connections it has. */
  readonly turns: Turns
  /** Connections of its client. */
  holders = 0
  /** When the last of its grants ends, in milliseconds since the registration. */
  until = 0
  /** Who was dealt the newest numbers, and from which on. */
  #newest = { client: '', first: 0 }
  /** Numbers that were dealt once more. */
  #more = 0

  /** @param width deals that wait at a time @param epoch what k_H comes from; undefined where every connection draws its own */
  constructor(
    readonly name: string,
    width: number,
    readonly epoch: Epoch | undefined,
  ) {
    this.turns = new Turns(width)
  }

  /**
   * Takes note that numbers are about to be dealt. In an epoch those of the same client may be dealt again, as it is the
   * same bytes that come out, and not without end, as each is work.
   * @param client its public key, in hexadecimal
   * @throws RingfenceError MATERIAL_USED, PROTOCOL
   */
  deal(client: string, first: number, count: number): void {
    const again = this.#newest.client === client && first >= this.#newest.first && first + count <= this.ledger.next
    if (this.epoch && again && this.#more + count <= DEALS_MORE * this.ledger.next) {
      this.#more += count
      return
    }
    this.ledger.burn(first, count)
    if (this.#newest.client !== client) this.#newest = { client, first }
  }
}

/**
 * A session exists from the first word of its server's: a grant on `mcc`, a connection of its own on `securenn`. It may be
 * forgotten once its client is gone and no such word is valid any more: a server makes no second session of its number, and
 * burns its own numbers for as long as the session lasts there.
 */
export class HelpedSessions {
  readonly #sessions = new Map<string, HelpedSession>()
  #ended = false

  /** @param width deals of a session that wait at a time */
  constructor(
    private readonly grants: Grants,
    private readonly links: SessionLinks,
    private readonly width = 1,
  ) {}

  get size(): number {
    return this.#sessions.size
  }

  /** Notes another connection of a session's client. @param epoch in which it begins, if it does */
  hold(name: string, epoch?: Epoch): HelpedSession {
    const session = this.#sessions.get(name) ?? new HelpedSession(name, this.width, epoch?.enter())
    session.holders++
    this.#sessions.set(name, session)
    return session
  }

  leave(session: HelpedSession): void {
    session.holders--
    if (session.holders === 0) {
      // Those that were left longest ago lie in front.
      this.#sessions.delete(session.name)
      const asked = session.until > 0 || this.links.has(session.name)
      if (asked && !this.#ended) this.#sessions.set(session.name, session)
      else session.epoch?.leave()
    }
    this.sweep()
  }

  /** Forgets what can be forgotten; whatever stays in front keeps the others for a while. */
  sweep(): void {
    for (const session of this.#sessions.values()) {
      if (session.holders > 0) continue
      if (session.until >= this.grants.now || this.links.has(session.name)) return
      this.#forget(session)
    }
  }

  /** The registration has ended, of which nothing can be asked for any more: each is forgotten as its client leaves. */
  end(): void {
    this.#ended = true
    for (const session of this.#sessions.values()) if (session.holders === 0) this.#forget(session)
  }

  #forget(session: HelpedSession): void {
    this.#sessions.delete(session.name)
    session.epoch?.leave()
  }
}
