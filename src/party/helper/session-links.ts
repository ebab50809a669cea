// A server's connections for its clients: one side brings a connection, the other waits for it.
import type { Link } from '../../net/index.js'

export class SessionLinks {
  readonly #links = new Map<string, Link>()
  readonly #waiting = new Map<string, (link: Link) => void>()

  /** False when this session has a connection already. */
  offer(session: string, link: Link): boolean {
    if (this.#links.has(session)) return false
    this.#links.set(session, link)
    void link.closed.then(() => this.#links.delete(session))
    this.#waiting.get(session)?.(link)
    this.#waiting.delete(session)
    return true
  }

  has(session: string): boolean {
    return this.#links.has(session)
  }

  async take(session: string): Promise<Link> {
    return this.#links.get(session) ?? new Promise((resolve) => this.#waiting.set(session, resolve))
  }

  /** Nobody waits for this session's connection any more. */
  forget(session: string): void {
    this.#waiting.delete(session)
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
  }
}
