// A delegate's connection on which it tells its server which owners' seeds have come, and learns whose other half is there.
import { type Channel, connect, type Link, Phase } from '../net/index.js'
import { greetServer } from '../party/client/connect-client.js'
import { ID_BYTES } from '../party/messages.js'
import { linkTo, type PartyOptions } from '../party/options.js'
import type { Plan } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import type { KeyPair } from '../random/seed.js'

/** A server closes what says nothing for an hour. */
const SIGN_OF_LIFE_MS = 600_000

export class Announcer {
  readonly #timer: ReturnType<typeof setInterval>

  private constructor(
    readonly plan: Plan,
    private readonly link: Link,
  ) {
    link.send(Kind.delegate, Phase.setup, 0, new Uint8Array(0))
    this.#timer = setInterval(() => link.send(Kind.delegate, Phase.setup, 0, new Uint8Array(0)), SIGN_OF_LIFE_MS)
    ;(this.#timer as { unref?(): void }).unref?.()
  }

  /** @param wanted digest of the only plan to accept @throws RingfenceError UNAUTHORIZED, PLAN_MISMATCH, PEER_GONE, … */
  static async open(
    channel: Channel,
    identity: KeyPair,
    { wanted, signal, ...options }: PartyOptions & { wanted?: Uint8Array; signal?: AbortSignal },
  ): Promise<Announcer> {
    const link = linkTo('server', channel, options)
    try {
      const { plan } = await greetServer(link, { wanted, identity, signal })
      return new Announcer(plan, link)
    } catch (error) {
      link.close()
      throw error
    }
  }

  offer(id: Uint8Array): void {
    this.link.send(Kind.offer, Phase.online, 0, id)
  }

  /** Ids whose other half is at the server, until the connection ends. @throws RingfenceError why it ended */
  async *wanted(signal: AbortSignal): AsyncGenerator<Uint8Array, never> {
    for (;;) {
      const forever = { signal, deadlineMs: Number.POSITIVE_INFINITY }
      yield (await this.link.receive(Kind.wanted, Phase.online, 0, ID_BYTES, forever)).slice()
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.link.close()
  }
}

/** Where a party is: its address, or what opens a connection to it. */
export type Reachable = string | (() => Channel | Promise<Channel>)

export function reach(
  end: Reachable,
  options: { signal?: AbortSignal; deadlineMs?: number; token?: string },
): Channel | Promise<Channel> {
  return typeof end === 'string' ? connect(end, options) : end()
}
