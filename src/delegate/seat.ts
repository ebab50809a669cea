// One of a delegate's connections: it prepares inferences as any client does and lends them, one at a time.
import { RingfenceError } from '../errors.js'
import type { ClientContext } from '../party/backend.js'
import { MccClient } from '../party/mcc/client.js'
import { asRingfenceError, whyGone } from '../party/options.js'
import type { MccPlan } from '../plan/plan.js'
import { runDelegate } from '../protocol/mcc/delegated.js'
import type { Seed } from '../random/seed.js'
import { Streams } from '../random/streams.js'

/** The request of an owner, with the seed it sent. */
export interface Lending {
  readonly id: Uint8Array
  readonly seed: Seed
}

export class Seat {
  readonly #backend: MccClient
  #ended = false

  constructor(private readonly context: ClientContext<MccPlan>) {
    this.#backend = new MccClient(context)
  }

  /** The server's name for this connection. */
  get session(): Uint8Array {
    return this.context.session
  }

  /** Inferences that can be lent at once. */
  get prepared(): number {
    return this.#backend.prepared
  }

  get memoryInUse(): number {
    return this.context.k.memory.inUse
  }

  /** Resolves when the server has gone. */
  get closed(): Promise<void> {
    return this.context.server.closed
  }

  /** Why, once it has. */
  whyGone(): Promise<RingfenceError> {
    return whyGone(this.context.server)
  }

  /** @throws RingfenceError STORE_FULL, BUSY, UNAUTHORIZED (the seat stays), or what ended it */
  prepare(): Promise<void> {
    return this.#guarded(() => this.#backend.prepare(1, {}))
  }

  /**
   * Plays the client of one inference, preparing it first where none is prepared. The seed is wiped.
   * @returns the inference, and whether its owner was still there
   */
  lend({ id, seed }: Lending): Promise<{ inference: number; begun: boolean }> {
    return this.#guarded(async () => {
      const { k, planned } = this.context
      await this.#backend.claim({})
      const owner = new Streams(k, seed, planned.plan.rounds)
      seed.fill(0)
      try {
        const { inference, result: begun } = await this.#backend.spend((walk) => runDelegate(walk, owner, id))
        return { inference, begun }
      } finally {
        owner.release()
      }
    })
  }

  /** Leaves server and helper and wipes what it holds. No call may be in progress. */
  end(error: RingfenceError): void {
    if (this.#ended) return
    this.#ended = true
    const { server, dealer, network } = this.context
    server.fail(error)
    dealer.fail(error)
    this.#backend.release()
    dealer.release()
    network.release()
  }

  /** Ends what is in progress. */
  close(): void {
    this.context.server.close()
    this.context.dealer.close()
  }

  async #guarded<T>(task: () => Promise<T>): Promise<T> {
    if (this.#ended) throw new RingfenceError('PEER_GONE', 'this connection of the delegate has ended')
    try {
      return await task()
    } catch (cause) {
      const error = asRingfenceError(cause)
      // As an answer these have no cause; as a peer's last word they have one.
      const answered = error.code === 'STORE_FULL' || error.code === 'BUSY' || error.code === 'UNAUTHORIZED'
      if (!answered || error.cause !== undefined) this.end(error)
      throw error
    }
  }
}
