// What a helper remembers of its servers' sessions: which numbers were dealt, for as long as one could be asked for again.
import type { Grants } from '../grant.js'
import { Ledger } from '../ledger.js'
import { Mutex } from '../options.js'
import type { SessionLinks } from '../session-links.js'

export interface HelpedSession {
  readonly name: string
  /** What was dealt: a client that connects anew does not get a number a second time. */
  readonly ledger: Ledger
  /** One deal of a session waits at a time, however many connections it has. */
  readonly mutex: Mutex
  /** Connections of its client. */
  holders: number
  /** When the last of its grants ends, in milliseconds since the registration. */
  until: number
}

/**
 * A session exists from the first word of its server's: a grant on `mcc`, a connection of its own on `securenn`. It may be
 * forgotten once its client is gone and no such word is valid any more: a server makes no second session of its number, and
 * burns its own numbers for as long as the session lasts there.
 */
export class HelpedSessions {
  readonly #sessions = new Map<string, HelpedSession>()

  constructor(
    private readonly grants: Grants,
    private readonly links: SessionLinks,
  ) {}

  get size(): number {
    return this.#sessions.size
  }

  /** Notes another connection of a session's client. */
  hold(name: string): HelpedSession {
    const session = this.#sessions.get(name) ?? { name, ledger: new Ledger(), mutex: new Mutex(), holders: 0, until: 0 }
    session.holders++
    this.#sessions.set(name, session)
    return session
  }

  leave(session: HelpedSession): void {
    session.holders--
    if (session.holders === 0) {
      // Those that were left longest ago lie in front.
      this.#sessions.delete(session.name)
      if (session.until > 0 || this.links.has(session.name)) this.#sessions.set(session.name, session)
    }
    this.sweep()
  }

  /** Forgets what can be forgotten; whatever stays in front keeps the others for a while. */
  sweep(): void {
    for (const session of this.#sessions.values()) {
      if (session.holders > 0) continue
      if (session.until >= this.grants.now || this.links.has(session.name)) return
      this.#sessions.delete(session.name)
    }
  }
}
