// Four parties in one process: helper, server and delegate over memory channels, owners over exchanges without HTTP.
import { Delegate, type DelegateOptions } from '../../src/delegate/delegate.js'
import type { LentInference } from '../../src/delegate/pool.js'
import { RingfenceError } from '../../src/errors.js'
import type { Exchange } from '../../src/net/exchange/exchange.js'
import { failurePayload } from '../../src/net/failure.js'
import { type Channel, memoryPair, type Peer } from '../../src/net/index.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import type { ServerOptions } from '../../src/party/server-options.js'
import type { Compiled } from '../../src/plan/compile/compile.js'
import { type KeyPair, keyPair } from '../../src/random/seed.js'
import { AUDIT, type MaskSeeds } from '../../src/testing.js'
import { ThinClient, type ThinOptions } from '../../src/thin/thin-client.js'
import { tinyNetwork } from '../party/fixture.js'

/** Two convolutions and a linear layer, the input bounded. */
export const delegatedNetwork = (seed = 1): Compiled => tinyNetwork(seed, 2, { delegated: true })

const SERVER_URL = 'https://server.example/delegated'

/** What crosses between owners and the two, and who may change it. */
export interface Wire {
  /** Of every request, before it is answered; may throw, or give another body. */
  before?(
    party: 'server' | 'delegate',
    body: Uint8Array | undefined,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>
  /** Of every answer. */
  after?(party: 'server' | 'delegate', answer: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** `fetch` over two exchanges. */
export function fetchOver(exchanges: { server: Exchange; delegate: Exchange }, wire: Wire = {}, peer: Peer = {}) {
  return async (url: string, init: RequestInit): Promise<Response> => {
    const party = url === SERVER_URL ? 'server' : 'delegate'
    const signal = init.signal ?? undefined
    try {
      const sent = init.body as Uint8Array | undefined
      const body = wire.before ? await wire.before(party, sent) : sent
      const answer = body ? await exchanges[party].answer(body, { peer, signal }) : exchanges[party].describe()
      const out = wire.after ? await wire.after(party, answer) : answer
      return new Response(new Uint8Array(out))
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (error instanceof RingfenceError) return new Response(new Uint8Array(failurePayload(error)), { status: 503 })
      throw error
    }
  }
}

export class DelegatedSite {
  readonly errors: RingfenceError[] = []
  readonly lent: LentInference[] = []
  readonly #seeds = new Map<string, Partial<MaskSeeds>>()
  server!: Server
  delegate!: Delegate
  helper!: Helper

  private constructor(
    readonly compiled: Compiled,
    readonly identity: KeyPair,
  ) {}

  static async create(
    compiled: Compiled,
    options: { server?: ServerOptions; delegate?: Partial<DelegateOptions> } = {},
  ): Promise<DelegatedSite> {
    const site = new DelegatedSite(compiled, options.delegate?.identity ?? keyPair())
    site.helper = await Helper.create()
    await site.startServer(options.server)
    await site.startDelegate(options.delegate)
    return site
  }

  async startServer(options: ServerOptions = {}): Promise<void> {
    this.server = await Server.create(this.compiled, this.toHelper, {
      delegateKey: this.identity.publicKey,
      onError: (error) => this.errors.push(error),
      ...options,
      [AUDIT]: ({ session, seed }) => this.#reveal(session, { sh: seed }),
    })
  }

  async startDelegate(options: Partial<DelegateOptions> = {}): Promise<void> {
    this.delegate = await Delegate.create({
      server: this.toServer,
      helper: this.toHelper,
      identity: this.identity,
      connections: 1,
      prepared: { low: 1, high: 2 },
      onError: (error) => this.errors.push(error),
      onLent: (lent) => this.lent.push(lent),
      ...options,
      [AUDIT]: ({ session, seed, model }) => this.#reveal(session, { ch: seed, model }),
    })
  }

  readonly toHelper = (): Channel => {
    const [mine, theirs] = memoryPair()
    void this.helper.run(theirs)
    return mine
  }

  readonly toServer = (): Channel => {
    const [mine, theirs] = memoryPair()
    void this.server.run(theirs)
    return mine
  }

  get exchanges(): { server: Exchange; delegate: Exchange } {
    const site = this
    return {
      get server() {
        return site.server.exchange
      },
      get delegate() {
        return site.delegate.exchange
      },
    }
  }

  owner(options: Partial<ThinOptions> = {}, wire: Wire = {}, peer: Peer = {}): Promise<ThinClient> {
    return ThinClient.create({
      server: 'https://server.example',
      delegate: 'https://delegate.example',
      delegateKey: this.identity.publicKey,
      fetch: fetchOver(this.exchanges, wire, peer),
      ...options,
    })
  }

  /** Seeds of the session that an inference was lent from. */
  seeds({ session }: LentInference): MaskSeeds {
    return this.#seeds.get(String(session)) as MaskSeeds
  }

  async release(): Promise<void> {
    await this.delegate.release()
    await this.server.release()
    await this.helper.release()
  }

  #reveal(session: Uint8Array, seeds: Partial<MaskSeeds>): void {
    this.#seeds.set(String(session), { ...this.#seeds.get(String(session)), ...seeds })
  }
}
