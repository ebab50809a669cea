// The two roles that a delegated demo has in place of the client, each in a process of its own, and how they take turns.
import { Delegate } from '../../delegate/delegate.js'
import type { LentInference } from '../../delegate/pool.js'
import { RingfenceError } from '../../errors.js'
import { imageInputs, readImageFiles } from '../../files/image-files.js'
import { shapedFetch } from '../../net/exchange/shaped-fetch.js'
import { connect, type Meter, type NetworkProfile, Phase, wait } from '../../net/index.js'
import { listen } from '../../net/websocket-server.node.js'
import { AUDIT } from '../../party/options.js'
import { type KeyPair, keyPair } from '../../random/seed.js'
import { meteredFetch, type OwnerTraffic } from '../../thin/metered.js'
import { ThinClient } from '../../thin/thin-client.js'
import { toHex } from '../terminal/arguments.js'
import {
  bytesOf,
  type ClientReady,
  type HelperReady,
  LOOPBACK,
  type OwnerRun,
  type Patience,
  type PictureOrder,
  type PrivateRun,
  type Reveal,
  stepTraffic,
} from './demo-facts.js'
import { withChangedReplies } from './deviating.js'
import type { PartyProcess } from './party-process.js'

export interface DelegateOrder extends Patience {
  readonly server: string
  readonly helper: HelperReady
}

export interface DelegateReady extends ClientReady {
  readonly url: string
}

export interface OwnerOrder extends Patience {
  readonly server: string
  readonly delegate: string
  readonly delegateKey: Uint8Array
  readonly network: NetworkProfile | undefined
}

/** What a picture's owner has: the answer, and what it took. */
type Answer = Pick<PrivateRun, 'raw' | 'scale' | 'prediction'> & { readonly owner: OwnerRun }
type Lent = Omit<PrivateRun, keyof Answer>

/** The longest that an inference, prepared or lent, is waited for. */
const PATIENCE_MS = 120_000

/** What the process of a delegate answers. */
export class DelegateRole {
  readonly #identity: KeyPair = keyPair()
  #delegate!: Delegate
  #last: LentInference | undefined
  #deviates = false
  #offline: Pick<PrivateRun, 'offline' | 'offlineMs'> | undefined

  constructor(
    private readonly meter: Meter,
    private readonly reveal: Reveal,
  ) {}

  /** Its key is needed before it is at work. */
  readonly key = async (): Promise<Uint8Array> => this.#identity.publicKey

  readonly start = async ({ server, helper, deadlineMs }: DelegateOrder): Promise<DelegateReady> => {
    const started = performance.now()
    this.#delegate = await Delegate.create({
      server: async () => withChangedReplies(await connect(server), () => this.#deviates),
      ...{ helper: helper.url, helperKey: helper.publicKey, identity: this.#identity, meter: this.meter, deadlineMs },
      ...{ connections: 1, prepared: { low: 1, high: 1 } },
      onLent: (lent) => {
        this.#last = lent
      },
      [AUDIT]: this.reveal.audit,
    })
    const { url } = await listen({
      ...LOOPBACK,
      exchange: () => this.#delegate.exchange,
      onConnection: (channel) => channel.close(),
    })
    await until(() => this.#delegate.status.ready, 'its connection')
    const ms = performance.now() - started
    const digest = this.#delegate.exchange.describe().subarray(64, 96)
    return { url: url.replace('ws', 'http'), ms, bytes: bytesOf(this.meter, 'setup'), planDigest: toHex(digest) }
  }

  /** Resolves when the next inference is prepared. */
  readonly ready = async (): Promise<void> => {
    await until(() => this.#delegate.status.prepared > 0, 'a prepared inference')
    const { server, helper } = bytesOf(this.meter, 'offline')
    const offlineMs = this.meter.report().milliseconds.offline.total
    this.#offline = { offlineMs, offline: { server, helper } }
    this.#last = undefined
    this.meter.reset(Phase.offline)
    this.meter.reset(Phase.online)
  }

  /** From now on it changes what it sends. */
  readonly deviate = async (): Promise<void> => {
    this.#deviates = true
  }

  /** The inference that was lent since. */
  readonly lent = async (steps: number): Promise<Lent> => {
    await until(() => this.#last !== undefined, 'an inference that is lent')
    const { inference, milliseconds, error } = this.#last!
    if (inference === undefined) throw error
    return { inference, onlineMs: milliseconds, ...this.#offline!, steps: stepTraffic(this.meter, steps) }
  }
}

/** What the process of an owner answers. */
export class OwnerRole {
  readonly #counts: OwnerTraffic = { requests: 0, bytesUp: 0, bytesDown: 0 }
  #client!: ThinClient

  readonly start = async ({ network, ...order }: OwnerOrder): Promise<void> => {
    const fetch = meteredFetch(this.#counts, network && shapedFetch(network))
    this.#client = await ThinClient.create({ ...order, fetch })
  }

  readonly ask = async ({ file, resize }: PictureOrder): Promise<Answer> => {
    const [input] = imageInputs(await readImageFiles([file]), this.#client.terms, resize)
    const before = { ...this.#counts }
    const { raw, scale, prediction, milliseconds } = await this.#client.run(input)
    const { bytesUp, bytesDown } = this.#counts
    const owner = { ms: milliseconds, up: bytesUp - before.bytesUp, down: bytesDown - before.bytesDown }
    return { raw, scale, prediction, owner }
  }
}

/** One picture: the delegate has an inference ready, the owner asks, both tell. */
export async function askOnce(
  { client, owner }: { client: PartyProcess; owner: PartyProcess },
  picture: PictureOrder,
  steps: number,
): Promise<PrivateRun> {
  await client.call('delegateReady')
  const answer = await owner.call<Answer>('ask', picture)
  return { ...(await client.call<Lent>('lent', steps)), ...answer }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !condition(); await wait(5)) {
    if (performance.now() > end) throw new RingfenceError('DEADLINE', `the delegate waited in vain for ${what}`)
  }
}
