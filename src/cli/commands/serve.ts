// `ringfence serve`: offers networks to clients until it is told to end.
import { basename } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { findModel, packagedModels, prepareModel } from '../../files/prepared-model.js'
import { type Exchange, isExchange } from '../../net/exchange/exchange.js'
import { connect, Meter, type PeerRole } from '../../net/index.js'
import { Metrics } from '../../operate/metrics.js'
import { ServedModel } from '../../operate/served-model.js'
import { type Connection, type Party, Service } from '../../operate/service.js'
import type { ServerStatus } from '../../party/events.js'
import { configured, type ModelEntry } from '../process/config-file.js'
import { readService, SERVICE_FLAGS, type ServiceOrder, sayReady, seconds } from '../process/listening.js'
import { type Command, type Flags, HELPER_KEY_FLAG, PLAN_FLAGS, planOptions, toHex } from '../terminal/arguments.js'
import { inFlags, secretOf } from '../terminal/flag-words.js'

export const SERVER_PORT = 7702

export const serve: Command = {
  name: 'serve',
  summary: 'Offer a network to clients. The server sees no picture and no answer; its weights stay with it.',
  flags: {
    model: { type: 'string', valueHint: 'DIR', description: "a model's folder, or a packaged model" },
    helper: { type: 'string', valueHint: 'URL', description: 'the helper, wss://… (or ws:// on this machine)' },
    'helper-token': {
      type: 'string',
      valueHint: 'TOKEN|@FILE',
      description: 'what the helper asks servers for; @FILE keeps it off the command line',
    },
    ...SERVICE_FLAGS,
    variant: { type: 'string', valueHint: 'NAME', description: "one of the model's variants" },
    ...PLAN_FLAGS,
    ...HELPER_KEY_FLAG,
    delegate: {
      type: 'string',
      valueHint: 'HEX',
      description: "the delegate's public key: strangers' inputs come through it, and no other client is served",
    },
    'store-mb': { type: 'string', valueHint: 'MB', description: 'mcc: memory for material dealt ahead (default 512)' },
    keep: {
      type: 'string',
      valueHint: 'SECONDS',
      description: 'mcc: how long kept material outlives its connection (default 600)',
    },
    overlap: {
      type: 'string',
      valueHint: 'SECONDS',
      description: 'how long a model that was replaced stays for clients that hold its plan (default 600)',
    },
  },
  notes: [
    `Default: --listen 127.0.0.1:${SERVER_PORT}. Models that come with ringfence: ${packagedModels().join(', ')}.`,
    'Several models: a list `models` in the file of --config, each at /m/NAME; see docs/operate.md.',
    'It waits for its helper, and goes on with what is prepared while the helper is away. SIGHUP reads models, tokens and certificate again; SIGTERM lets clients finish.',
  ],
  async run(given, args) {
    const { flags, models: entries } = await configured(serve, given, args, { withModels: true })
    const order = await readOrder(flags, entries)
    const models = new Models()
    const metrics = await Metrics.create({ servers: () => models.statuses() })
    const { log } = order.service
    const service = await Service.open({ ...order.service, metrics }, models)
    try {
      await models.compile(order, service, metrics)
      if (service.open && order.delegateKey) {
        const what = 'anyone may ask through the delegate'
        log.say('warn', 'open', {}, `${what}; give --tokens or --jwks to bound how often`)
      } else if (service.open) {
        const what = 'anyone may use this server up, and a client that deviates can read its weights'
        log.say('warn', 'open', {}, `${what}; give --tokens or --jwks`)
      }
      const end = await Promise.race([service.stopped.then(() => 'stopped'), models.register()])
      if (end === 'stopped') return 0
      for (const [name, { digest, plan }] of models.all()) {
        const url = service.url + (entries.length > 0 ? `/m/${name}` : '')
        const facts = { url, model: models.titles.get(name), backend: plan.backend, planDigest: toHex(digest) }
        sayReady(log, { role: 'server', ...facts, metrics: service.metricsUrl })
      }
      await service.stopped
      return 0
    } catch (error) {
      await service.close()
      throw error
    }
  },
}

/** The models of a server, by name; the first is also at every path that names none. */
class Models implements Party {
  readonly #models = new Map<string, ServedModel>()
  /** What people call them. */
  readonly titles = new Map<string, string>()
  #drainMs = 0

  all(): IterableIterator<[string, ServedModel]> {
    return this.#models.entries()
  }

  *statuses(): Iterable<readonly [string, ServerStatus]> {
    for (const [name, { status }] of this.#models) if (status) yield [name, status]
  }

  async compile(order: ServeOrder, service: Service, metrics: Metrics): Promise<void> {
    this.#drainMs = order.service.drainMs
    for (const { name, model, variant, storeBytes } of order.models) {
      const folder = findModel(model)
      const meter = new Meter()
      metrics.follow({ meter }, 'helper')
      const { log } = order.service
      const served = await ServedModel.compile({
        compile: async () => {
          const prepared = await inFlags(prepareModel(folder, variant, order.plan))
          this.titles.set(name, `${prepared.model.name}, variant ${prepared.model.variant}`)
          return prepared.compiled
        },
        connectHelper: (role: PeerRole) =>
          connect(order.helper, { role, token: order.helperToken, keepAliveMs: order.service.listen.keepAliveMs }),
        server: {
          ...order.service.times,
          helperKey: order.helperKey,
          delegateKey: order.delegateKey,
          keepMs: order.keepMs,
          storeBytes,
          meter,
        },
        overlapMs: order.overlapMs,
        hooks: {
          onEvent: (event) => service.tell(event, name),
          onError: (error, peer) => service.failed(error, peer, name),
          onWaiting: ({ code, message }) =>
            log.say('warn', 'waiting', { model: name, code, message }, `${name}: waiting for the helper: ${message}`),
        },
      })
      this.#models.set(name, served)
    }
  }

  /** Resolves when all are registered. */
  async register(): Promise<'registered'> {
    await Promise.all([...this.#models.values()].map((model) => model.register()))
    return 'registered'
  }

  run(channel: Parameters<Party['run']>[0], peer: Connection): Promise<void> {
    return this.#at(peer.target)!.run(channel, peer)
  }

  exchange(target: string): Exchange | undefined {
    return isExchange(target) ? this.#at(target)?.exchange : undefined
  }

  refuses(target: string): 'not found' | 'unavailable' | undefined {
    const named = nameIn(target)
    if (named !== undefined && !this.#models.has(named)) return this.#models.size > 0 ? 'not found' : 'unavailable'
    return this.#at(target)?.status ? undefined : 'unavailable'
  }

  problems(): string[] {
    if (this.#models.size === 0) return ['models are still being read']
    return [...this.#models].flatMap(([name, { problem }]) => (problem ? [`${name}: ${problem}`] : []))
  }

  /** Each for itself: what is wrong with one holds up no other. */
  async reload(): Promise<void> {
    const problems: string[] = []
    for (const [name, model] of this.#models) {
      await model.reload(this.#drainMs).catch((error: Error) => problems.push(`${name}: ${error.message}`))
    }
    if (problems.length > 0) throw new RingfenceError('BAD_FILE', 'models that cannot be replaced go on', problems)
  }

  async drain(withinMs: number): Promise<boolean> {
    return (await Promise.all([...this.#models.values()].map((model) => model.drain(withinMs)))).every(Boolean)
  }

  async release(): Promise<void> {
    await Promise.all([...this.#models.values()].map((model) => model.release()))
  }

  #at(target: string | undefined): ServedModel | undefined {
    const named = target === undefined ? undefined : nameIn(target)
    return named === undefined ? this.#models.values().next().value : this.#models.get(named)
  }
}

const nameIn = (target: string): string | undefined => /^\/m\/([^/?]+)/.exec(target)?.[1]

interface ModelOrder {
  readonly name: string
  readonly model: string
  readonly variant: string | undefined
  readonly storeBytes: number | undefined
}

interface ServeOrder {
  readonly models: readonly ModelOrder[]
  readonly helper: string
  readonly helperToken: string | undefined
  readonly plan: ReturnType<typeof planOptions>
  readonly helperKey: Uint8Array | undefined
  readonly delegateKey: Uint8Array | undefined
  readonly keepMs: number | undefined
  readonly overlapMs: number
  readonly service: ServiceOrder
}

async function readOrder(flags: Flags, entries: readonly ModelEntry[]): Promise<ServeOrder> {
  const hint = "the folder of a model, with the server's weights"
  const model = entries.length > 0 ? flags.text('model') : flags.required('model', hint)
  if (entries.length > 0 && model !== undefined)
    flags.fault('--model: the configuration lists models; give one or the other')
  const helper = flags.required('helper', 'where the helper listens, for example ws://127.0.0.1:7701')
  const variant = flags.text('variant')
  const delegateKey = flags.key('delegate')
  const plan = { ...planOptions(flags), ...(delegateKey && { delegated: true }) }
  const helperKey = flags.key('helper-key')
  const storeMB = flags.integer('store-mb', 1, 4096)
  const keepMs = seconds(flags, 'keep', 0, 604_800)
  if (plan.backend === 'securenn') {
    if (storeMB !== undefined) flags.fault('--store-mb: nothing is dealt ahead on securenn')
    if (keepMs !== undefined) flags.fault('--keep: nothing is dealt ahead on securenn')
    if (delegateKey) flags.fault('--delegate: only mcc can be delegated')
  }
  const overlapMs = seconds(flags, 'overlap', 0, 604_800) ?? 600_000
  const service = readService(flags, SERVER_PORT)
  const token = flags.text('helper-token')
  flags.check()
  const bytes = (mb: number | undefined) => (mb === undefined ? undefined : mb * 2 ** 20)
  const one = { name: basename(model ?? ''), model: model ?? '', variant, storeBytes: bytes(storeMB) }
  const several = entries.map((entry) => ({
    name: entry.name,
    model: entry.model,
    variant: entry.variant ?? variant,
    storeBytes: bytes(entry['store-mb'] ?? storeMB),
  }))
  const models = entries.length > 0 ? several : [one]
  return {
    models,
    helper,
    helperToken: await secretOf('helper-token', token),
    plan,
    helperKey,
    delegateKey,
    keepMs,
    overlapMs,
    service,
  }
}
