// The client's side of the helper: a connection, and the seed agreed on over it. On mcc a client that has material left
// needs neither before it prepares more.
import { RingfenceError } from '../../errors.js'
import { type Channel, type Link, type Meter, Phase } from '../../net/index.js'
import { Kind } from '../../protocol/kinds.js'
import { agreeSeed, keyPair } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'
import { Caller, encodeHello, equal, KEY_BYTES, type ServerWelcome } from '../messages.js'
import { AUDIT, asRingfenceError, linkTo, seedSource } from '../options.js'
import type { ClientNetwork, ModelMask } from './client-network.js'
import type { ClientOptions } from './client-options.js'
import { openEnd } from './open-end.js'

/** What a client and its helper have agreed on. */
export interface Dealing extends ModelMask {
  readonly helper: Link
  /** Shared with the helper. */
  readonly ch: Streams
}

export interface DealerTerms {
  readonly network: ClientNetwork
  readonly meter: Meter
  readonly welcome: ServerWelcome
}

export class Dealer {
  #channel: Channel | undefined
  #link: Link | undefined
  #dealing: Dealing | undefined
  /** Why it could not be joined: nothing was said to anybody else. */
  refusal: RingfenceError | undefined
  #joining: Promise<Dealing> | undefined
  #leaving: AbortController | undefined
  #closed = false

  /** Until it has joined: a caller's options may lead to the client, which would then never be collected. */
  #options: ClientOptions | undefined

  constructor(
    options: ClientOptions,
    private readonly terms: DealerTerms,
  ) {
    this.#options = options
    terms.meter.link('helper')
    if (typeof options.helper === 'object') this.#channel = options.helper
  }

  /**
   * Connects and agrees on a seed, once. Who asks while that is going on waits for the same attempt.
   * @throws RingfenceError PEER_GONE, DEADLINE, ABORTED, INSECURE (another helper than the server's), …
   */
  join(signal?: AbortSignal): Promise<Dealing> {
    this.#joining ??= this.#attempt(signal)
    return this.#joining
  }

  async #attempt(signal: AbortSignal | undefined): Promise<Dealing> {
    const leave = () => this.#leaving?.abort(signal?.reason)
    this.#leaving = new AbortController()
    if (this.#closed || signal?.aborted) leave()
    signal?.addEventListener('abort', leave)
    try {
      this.#dealing = await this.#join(this.#options!, this.#leaving.signal)
      this.#options = undefined
      const dealing = this.#dealing
      if (this.#closed) this.release()
      return dealing
    } catch (cause) {
      this.refusal = asRingfenceError(cause)
      this.#joining = undefined
      this.#channel?.close()
      throw this.refusal
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  fail(error: RingfenceError): void {
    if (this.#link) this.#link.fail(error)
    this.close()
  }

  /** Ends the connection, or the attempt at one. */
  close(): void {
    this.#closed = true
    this.#leaving?.abort()
    this.#channel?.close()
  }

  /** Wipes what was agreed. */
  release(): void {
    this.#dealing?.ch.release()
    this.#dealing = undefined
    this.terms.welcome.modelSeed.fill(0)
  }

  async #join(options: ClientOptions, signal: AbortSignal): Promise<Dealing> {
    const { network, meter, welcome } = this.terms
    const channel = await openEnd('helper', options, signal)
    this.#channel = channel
    const source = seedSource(options, [channel])
    const helper = linkTo('helper', channel, options, meter, true)
    this.#link = helper
    const keys = keyPair(source())
    const helperKey = await greet(helper, welcome, keys.publicKey, signal)
    if (!equal(helperKey, welcome.helperKey)) {
      throw new RingfenceError('INSECURE', 'this is not the helper that the server deals with')
    }
    const context = new Uint8Array([...welcome.digest, ...welcome.session])
    const order = { initiator: keys.publicKey, responder: helperKey }
    const seed = agreeSeed('client-helper', keys, helperKey, order, context)
    keys.secretKey.fill(0)
    options[AUDIT]?.({ session: welcome.session, seed: seed.slice(), model: welcome.modelSeed.slice() })
    const ch = new Streams(network.k, seed, network.planned.plan.rounds)
    seed.fill(0)
    const mask = await network.modelMask(welcome.modelSeed)
    welcome.modelSeed.fill(0)
    return { helper, ch, ...mask }
  }
}

async function greet(
  link: Link,
  { registration, session, digest }: ServerWelcome,
  publicKey: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const hello = encodeHello({ role: Caller.client, registration, session, digest, publicKey, planBytes: 0 })
  link.send(Kind.hello, Phase.setup, 0, hello)
  return (await link.receive(Kind.welcome, Phase.setup, 0, KEY_BYTES, { signal })).slice()
}
