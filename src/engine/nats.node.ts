// An engine on NATS JetStream: a work queue, a bucket of claims, and a stream of jobs that were given up.
import { RingfenceError } from '../errors.js'
import { isLoopback } from '../net/loopback.js'
import {
  type Claims,
  checkName,
  type Depth,
  type Engine,
  type EngineOptions,
  type EngineTerms,
  type Jobs,
  type Lease,
  queueFull,
  termsOf,
} from './engine.js'
import type {
  ConsumerMessages,
  JetStream,
  JetStreamManager,
  JetStreamModule,
  JsMsg,
  KeyValue,
  KvModule,
  NatsConnection,
  TransportModule,
} from './nats-api.js'

export interface NatsOptions extends EngineOptions {
  /** `USER:PASSWORD`, or the text of a .creds file. */
  readonly credentials?: string
  /** Makes what is missing on the broker; takers only use it, and need no permission to. Default true. */
  readonly create?: boolean
  /** Copies of every job and claim in a cluster. Default 1. */
  readonly replicas?: number
  /** Jobs that lie ready at a taker: 2 for jobs shorter than a round trip, 1 for long ones. Default 2. */
  readonly prefetch?: number
}

/** The one consumer of a queue, which all takers share. */
const CONSUMER = 'takers'
const NANOSECONDS = 1e6
const DEAD_LETTERS = 1000
/** JetStream's codes. */
const STREAM_NOT_FOUND = 10_059
const FULL = new Set([10_077, 10_167])
const WRONG_SEQUENCE = 10_071
const PUBLISH_MS = 5000
/** How often a pull is renewed. */
const PULL_MS = 10_000

/**
 * @param url nats:// on this machine, tls:// elsewhere
 * @throws RingfenceError BAD_INPUT, INSECURE, HOST without the packages or without JetStream, PEER_GONE, UNAUTHORIZED
 */
export async function openNatsEngine(url: string, options: NatsOptions): Promise<Engine> {
  const terms = termsOf(options)
  const { create = true, replicas = 1, prefetch = 2 } = options
  const [transport, streams, kv] = await Promise.all([
    load<TransportModule>('transport-node'),
    load<JetStreamModule>('jetstream'),
    load<KvModule>('kv'),
  ])
  const connection = await connected(transport, checked(url), options)
  try {
    const manager = await streams.jetstreamManager(connection, { checkAPI: false })
    if (create) await prepare(manager, terms, replicas)
    const jobs = new NatsJobs(streams.jetstream(connection), manager, terms, prefetch)
    const bucket = `rf_${terms.name}`
    const settings = { replicas, history: 1 }
    const claims = new NatsClaims(() => {
      const kvm = new kv.Kvm(connection)
      return create ? kvm.create(bucket, settings) : kvm.open(bucket)
    })
    const close = async () => {
      await jobs.close()
      await connection.drain().catch(() => connection.close())
    }
    return { jobs, claims, close }
  } catch (cause) {
    await connection.close()
    if (cause instanceof RingfenceError) throw cause
    throw new RingfenceError('HOST', 'the broker serves no JetStream to this user: start nats-server with -js', [], {
      cause,
    })
  }
}

/** Not by name: whatever bundles ringfence need not have it. */
async function load<T>(name: string): Promise<T> {
  const whole = `@nats-io/${name}`
  try {
    return (await import(/* @vite-ignore */ whole)) as T
  } catch (cause) {
    const all = 'npm install @nats-io/transport-node @nats-io/jetstream @nats-io/kv'
    throw new RingfenceError('HOST', `a queue on NATS needs ${whole}, which is not installed: ${all}`, [], { cause })
  }
}

function checked(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (!target || !['nats:', 'tls:'].includes(target.protocol) || target.hostname === '') {
    throw new RingfenceError('BAD_INPUT', `a queue is at nats://HOST:PORT or tls://HOST:PORT, not ${url.slice(0, 80)}`)
  }
  if (target.username || target.password) {
    throw new RingfenceError('INSECURE', 'credentials in an address end up in logs: give them in a file')
  }
  if (target.protocol === 'nats:' && !isLoopback(target.hostname)) {
    throw new RingfenceError('INSECURE', 'nats:// is plain text and for this machine only; use tls:// elsewhere')
  }
  return target
}

async function connected(transport: TransportModule, url: URL, options: NatsOptions): Promise<NatsConnection> {
  try {
    return await transport.connect({
      servers: url.href.replace(/\/$/, ''),
      name: 'ringfence',
      ...login(transport, options.credentials),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
    })
  } catch (cause) {
    const refused = /authorization|authentication/i.test((cause as Error).name + (cause as Error).message)
    const what = refused ? 'does not let this user in; check the credentials' : 'cannot be reached; is nats-server up?'
    throw new RingfenceError(refused ? 'UNAUTHORIZED' : 'PEER_GONE', `the queue at ${url.host} ${what}`, [], { cause })
  }
}

function login(transport: TransportModule, credentials: string | undefined) {
  if (credentials === undefined) return {}
  if (credentials.includes('-----BEGIN')) {
    return { authenticator: transport.credsAuthenticator(new TextEncoder().encode(credentials)) }
  }
  const [user, ...rest] = credentials.trim().split(':')
  return { user, pass: rest.join(':') }
}

async function prepare(manager: JetStreamManager, terms: EngineTerms, replicas: number): Promise<void> {
  const { name, leaseMs, limit, windowMs } = terms
  const common = { storage: 'file', num_replicas: replicas }
  await made(manager, {
    ...common,
    name: streamOf(name),
    subjects: [subjectOf(name)],
    retention: 'workqueue',
    discard: 'new',
    max_msgs: limit,
    duplicate_window: windowMs * NANOSECONDS,
  })
  await made(manager, { ...common, name: deadOf(name), subjects: [`${subjectOf(name)}-dead`], max_msgs: DEAD_LETTERS })
  await manager.consumers.add(streamOf(name), {
    durable_name: CONSUMER,
    ack_policy: 'explicit',
    ack_wait: leaseMs * NANOSECONDS,
    max_deliver: -1,
    max_ack_pending: limit,
  })
}

async function made(manager: JetStreamManager, config: Record<string, unknown> & { name: string }): Promise<void> {
  try {
    await manager.streams.info(config.name)
  } catch (error) {
    if (codeOf(error) !== STREAM_NOT_FOUND) throw error
    await manager.streams.add(config)
  }
}

const streamOf = (name: string): string => `RF_${name}`
const deadOf = (name: string): string => `RF_${name}_dead`
const subjectOf = (name: string): string => `rf.${name}`
const codeOf = (error: unknown): number | undefined => (error as { code?: number }).code

class NatsJobs implements Jobs {
  readonly #pulls = new Set<ConsumerMessages>()
  #closed = false

  constructor(
    private readonly stream: JetStream,
    private readonly manager: JetStreamManager,
    private readonly terms: EngineTerms,
    private readonly prefetch: number,
  ) {}

  async put(job: Uint8Array, id: string): Promise<'queued' | 'duplicate'> {
    checkName('a job', id)
    try {
      const options = { msgID: id, timeout: PUBLISH_MS }
      const { duplicate } = await this.stream.publish(subjectOf(this.terms.name), job, options)
      return duplicate ? 'duplicate' : 'queued'
    } catch (cause) {
      if (FULL.has(codeOf(cause)!) || /maximum messages exceeded/.test((cause as Error).message)) {
        throw queueFull(this.terms)
      }
      const what = `the queue ${this.terms.name} does not answer; come back later`
      throw new RingfenceError('BUSY', what, [], { cause, retryAfterMs: 1000 })
    }
  }

  async *take(signal?: AbortSignal): AsyncGenerator<Lease, void> {
    if (signal?.aborted || this.#closed) return
    const consumer = await this.stream.consumers.get(streamOf(this.terms.name), CONSUMER)
    const pull = await consumer.consume({ max_messages: this.prefetch, expires: PULL_MS })
    const stop = () => pull.stop()
    this.#pulls.add(pull)
    signal?.addEventListener('abort', stop)
    if (signal?.aborted || this.#closed) stop()
    try {
      for await (const message of pull) {
        if (signal?.aborted || this.#closed) message.nak()
        else if (message.info.deliveryCount <= this.terms.attempts) yield this.#lease(message)
        else await this.#bury(message)
      }
    } finally {
      stop()
      this.#pulls.delete(pull)
      signal?.removeEventListener('abort', stop)
    }
  }

  async depth(): Promise<Depth> {
    const { name } = this.terms
    const [takers, dead] = await Promise.all([
      this.manager.consumers.info(streamOf(name), CONSUMER),
      this.manager.streams.info(deadOf(name)),
    ])
    return { waiting: takers.num_pending, leased: takers.num_ack_pending, dead: dead.state.messages }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const pull of this.#pulls) pull.stop()
  }

  #lease(message: JsMsg): Lease {
    return {
      job: message.data,
      attempt: message.info.deliveryCount,
      extend: async () => message.working(),
      done: async () => message.ack(),
      retry: async (afterMs) => message.nak(afterMs),
      dead: async () => this.#bury(message),
    }
  }

  async #bury(message: JsMsg): Promise<void> {
    await this.stream.publish(`${subjectOf(this.terms.name)}-dead`, message.data)
    message.term()
  }
}

class NatsClaims implements Claims {
  #bucket: Promise<KeyValue> | undefined

  constructor(private readonly open: () => Promise<KeyValue>) {}

  async create(key: string, value: Uint8Array): Promise<boolean> {
    checkName('a claim', key)
    const bucket = await this.#opened()
    try {
      await bucket.create(key, value)
      return true
    } catch (error) {
      if (codeOf(error) === WRONG_SEQUENCE) return false
      throw error
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkName('a claim', key)
    return (await (await this.#opened()).get(key))?.value
  }

  #opened(): Promise<KeyValue> {
    this.#bucket ??= this.open()
    return this.#bucket
  }
}
