// `ringfence serve`: offers networks to clients until it is told to end.
import { basename } from 'node:path'
import { inputNotesOf, type ModelDirectory } from '../../../files/model-directory.js'
import { findModel, packagedModels, prepareModel } from '../../../files/prepared-model.js'
import type { FleetListener } from '../../../fleet/http.node.js'
import { isWritten } from '../../../model/pictures/range.js'
import { checkUrl, connect, Meter } from '../../../net/index.js'
import type { Log } from '../../../operate/log.js'
import { figuresOfAll, Metrics } from '../../../operate/metrics.js'
import { Models } from '../../../operate/models.js'
import { listenForMetrics } from '../../../operate/pages.js'
import { OneOfSeveral, Several } from '../../../operate/processes.js'
import type { ModelOptions } from '../../../operate/served-model.js'
import { Service } from '../../../operate/service.js'
import type { SharedRegistration } from '../../../party/server-options.js'
import type { CompileOptions } from '../../../plan/compile/compile.js'
import { coarseNotes } from '../../../plan/compile/rounding.js'
import { planMemory } from '../../../protocol/memory.js'
import { type Configured, configured } from '../../process/config-file.js'
import { DELIVER_FLAGS, type DeliverOrder, readDelivering, takeDeliveries } from '../../process/fleet/delivering.js'
import { readRegistration } from '../../process/fleet/shared-registration.js'
import { compiledGuarded, guardsByDefault, NO_GUARD_FLAG, whatClientsCanDo } from '../../process/guarding.js'
import {
  MEGABYTES,
  megabytes,
  readService,
  SERVICE_FLAGS,
  type ServiceOrder,
  sayReady,
  WORKERS,
} from '../../process/listening.js'
import { rereading } from '../../process/reloading.js'
import { memoryWords } from '../../report/plan-words.js'
import { type Command, HELPER_KEY_FLAG, PLAN_FLAGS, planOptions, seconds, toHex } from '../../terminal/arguments.js'
import { inFlags, secretOf } from '../../terminal/flag-words.js'
import { quoted } from '../../terminal/terminal.js'

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
    ...NO_GUARD_FLAG,
    ...HELPER_KEY_FLAG,
    ...DELIVER_FLAGS,
    delegate: {
      type: 'string',
      valueHint: 'HEX',
      description: "the delegate's public key: strangers' inputs come through it, and no other client is served",
    },
    'store-mb': { ...MEGABYTES, range: [1, 4096], description: 'mcc: memory for material dealt ahead (default 512)' },
    'store-share': {
      type: 'string',
      valueHint: 'PERCENT',
      range: [1, 100],
      description: 'mcc: what one client, or all clients of a principal, may hold of it (default 25)',
    },
    keep: {
      type: 'string',
      valueHint: 'SECONDS',
      range: [0, 604_800],
      description: 'mcc: how long kept material outlives its connection (default 600)',
    },
    'kept-at': {
      type: 'string',
      valueHint: 'URL',
      description:
        'mcc: where clients reach this server alone, wss://…, if others share its address: there they come back for it',
    },
    workers: WORKERS,
    overlap: {
      type: 'string',
      valueHint: 'SECONDS',
      range: [0, 604_800],
      description: 'how long a model that was replaced stays for clients that want its plan (default 600)',
    },
  },
  notes: [
    `Default: --listen 127.0.0.1:${SERVER_PORT}. Models that come with ringfence: ${packagedModels().join(', ')}.`,
    'Several models: a list `models` in the file of --config, each at /m/NAME; see docs/operate.md.',
    'Where it asks nobody for a token, plans are guarded: clients that deviate are caught, at about twice the work.',
    'It waits for its helper, and goes on with what is prepared while the helper is away. SIGHUP reads configuration, models, tokens and certificate again; SIGTERM lets clients finish.',
  ],
  async run(given, args) {
    const read = () => configured(serve, given, args, { withModels: true })
    const first = await read()
    const among = OneOfSeveral.here()
    try {
      const order = await readOrder(first, among)
      return among || order.workers === 1 ? await serveHere({ first, read, order, among }) : await serveInSeveral(order)
    } finally {
      among?.leave()
    }
  },
}

interface ServeHere {
  readonly first: Configured
  read(): Promise<Configured>
  readonly order: ServeOrder
  readonly among: OneOfSeveral | undefined
}

/** Serves in this process until it is told to end; the result is its status. */
async function serveHere({ first, read, order, among }: ServeHere): Promise<number> {
  const models = new Models()
  const metrics = await Metrics.create({ servers: () => models.statuses() })
  const { log } = order.service
  const take = (next: ServeOrder) => {
    models.drainMs = next.service.drainMs
    models.wanted = offer.of(next)
  }
  const reread = rereading({ first, read, order: (next) => readOrder(next, among), take, fixed: ['workers'] })
  if (among) await metrics.share()
  const service = await Service.open({ ...order.service, metrics, reread, among }, models)
  const offer = new Offer(service, metrics, log)
  let deliveries: FleetListener | undefined
  try {
    const { deliver } = order
    deliveries = deliver && (await takeDeliveries(deliver, order.service.listen.tls, models))
    take(order)
    await models.compile()
    const says = service.open && (among?.number ?? 1) === 1
    if (says && order.delegateKey) {
      const what = 'anyone may ask through the delegate'
      log.say('warn', 'open', {}, `${what}; give --tokens or --jwks to bound how often`)
    } else if (says) {
      const guarded = [...models.all()].every(([, { plan }]) => plan.backend === 'mcc' && plan.guard)
      const can = whatClientsCanDo(guarded, order.guardedByDefault, order.plan.backend)
      log.say('warn', 'open', { guarded }, `anyone may use this server up, and ${can}; give --tokens or --jwks`)
    }
    const end = await Promise.race([service.stopped.then(() => 'stopped'), models.register()])
    if (end === 'stopped') return 0
    const told = [...models.all()].map(([name, { digest, plan }]): Told => {
      const url = service.url + (first.models.length > 0 ? `/m/${name}` : '')
      const facts = { url, model: offer.titles.get(name), backend: plan.backend, planDigest: toHex(digest) }
      return { facts: { role: 'server', ...facts, metrics: service.metricsUrl }, next: nextFor(url, order) }
    })
    if (among) among.ready(told)
    else for (const { facts, next } of told) sayReady(log, facts, next)
    await service.stopped
    return 0
  } catch (error) {
    await service.close()
    throw error
  } finally {
    await deliveries?.close()
  }
}

/** Starts the processes that do; each has its own store and is registered by itself. */
async function serveInSeveral({ workers, service }: ServeOrder): Promise<number> {
  const { log, metricsAt } = service
  let ready = false
  const problems = () => (ready ? [] : ['some processes do not serve yet'])
  const metrics = await figuresOfAll()
  const figures = metricsAt && (await listenForMetrics(metricsAt.host, metricsAt.port, { problems, metrics }))
  try {
    const several = new Several({
      count: workers,
      log,
      onReady: (told) => {
        ready = true
        const at = figures && `http://${metricsAt.host}:${figures.port}/metrics`
        const more = { processes: String(workers), metrics: at }
        for (const { facts, next } of told as Told[]) sayReady(log, { ...facts, ...more }, next)
      },
    })
    return await several.ended
  } finally {
    figures?.close()
  }
}

/** What is said of one model once it is served. */
interface Told {
  readonly facts: Parameters<typeof sayReady>[1]
  readonly next: Parameters<typeof sayReady>[2]
}

/** The command that uses what is offered at `url`. */
function nextFor(
  url: string,
  { helper, helperKey, delegateKey }: ServeOrder,
): readonly [command: string, does: string] {
  if (delegateKey) return [`delegate --server ${url} --helper ${quoted(helper)}`, 'plays the client for strangers']
  const pin = helperKey ? ` --helper-key ${toHex(helperKey)}` : ''
  return [`infer IMAGE… --server ${url} --helper ${quoted(helper)}${pin}`, 'classifies pictures']
}

/** What each model of an order takes. */
class Offer {
  /** What people call the models. */
  readonly titles = new Map<string, string>()
  /** Of a model's links to its helper. */
  readonly #meters = new Map<string, Meter>()

  constructor(
    private readonly service: Service,
    private readonly metrics: Metrics,
    private readonly log: Log,
  ) {}

  of(order: ServeOrder): Map<string, ModelOptions> {
    return new Map(order.models.map((model) => [model.name, this.#model(order, model)]))
  }

  #model(order: ServeOrder, { name, model, variant, storeBytes }: ModelOrder): ModelOptions {
    const { helper, helperToken: token, helperKey, delegateKey, keepMs, storeShare, overlapMs, plan } = order
    const keptAt = order.keptAt && order.several ? `${order.keptAt}/m/${name}` : order.keptAt
    const { registration, deliver } = order
    const shared = { registration, deliverAt: deliver?.url }
    const { times, listen } = order.service
    const { keepAliveMs, maxPayload } = listen
    return {
      compile: async () => {
        const compiled = (options: CompileOptions) => inFlags(prepareModel(findModel(model), variant, options))
        const prepared = await (order.guardedByDefault ? compiledGuarded(compiled, plan) : compiled(plan))
        this.titles.set(name, `${prepared.model.name}, variant ${prepared.model.variant}`)
        this.#tellUnsaid(name, prepared.model)
        for (const note of coarseNotes(prepared.compiled.coarse)) {
          this.log.say('warn', 'coarse', { model: name }, `${name}: ${note}`)
        }
        const memory = planMemory(prepared.compiled.plan)
        this.log.say('info', 'memory', { model: name, ...memory }, `${name}: ${memoryWords(memory)}`)
        return prepared.compiled
      },
      connectHelper: (role) => connect(helper, { role, token, keepAliveMs, maxPayload }),
      reach: [helper, token],
      server: { ...times, ...shared, helperKey, delegateKey, keepMs, keptAt, storeBytes, storeShare },
      meter: this.#meter(name),
      overlapMs,
      hooks: {
        onEvent: (event) => this.service.tell(event, name),
        onError: (error, peer) => this.service.failed(error, peer, name),
        onWaiting: ({ code, message }) => {
          const text = `${name}: waiting for the helper: ${message}`
          this.log.say('warn', 'waiting', { model: name, code, message }, text)
        },
      },
    }
  }

  /** Where the model does not say how pictures become inputs, what they will be. */
  #tellUnsaid(name: string, model: ModelDirectory): void {
    if (model.arch.inputs.every(({ preprocess }) => isWritten(preprocess))) return
    for (const note of inputNotesOf(model)) this.log.say('info', 'pictures', { model: name }, `${name}: ${note}`)
  }

  #meter(name: string): Meter {
    const meter = this.#meters.get(name) ?? new Meter()
    if (!this.#meters.has(name)) this.metrics.follow({ meter }, 'helper')
    this.#meters.set(name, meter)
    return meter
  }
}

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
  readonly plan: CompileOptions
  /** Because nobody is asked who they are. */
  readonly guardedByDefault: boolean
  readonly helperKey: Uint8Array | undefined
  readonly delegateKey: Uint8Array | undefined
  readonly keepMs: number | undefined
  readonly keptAt: string | undefined
  /** Models, each at /m/NAME. */
  readonly several: boolean
  readonly storeShare: number | undefined
  readonly overlapMs: number
  readonly workers: number
  readonly registration: SharedRegistration | undefined
  readonly deliver: DeliverOrder | undefined
  readonly service: ServiceOrder
}

async function readOrder({ flags, models: entries }: Configured, among: OneOfSeveral | undefined): Promise<ServeOrder> {
  const hint = "the folder of a model, with the server's weights"
  const model = entries.length > 0 ? flags.text('model') : flags.required('model', hint)
  if (entries.length > 0 && model !== undefined)
    flags.fault('--model: the configuration lists models; give one or the other')
  const helper = flags.required('helper', 'where the helper listens, for example ws://127.0.0.1:7701')
  const variant = flags.text('variant')
  const delegateKey = flags.key('delegate')
  const plan = { ...planOptions(flags), ...(delegateKey && { delegated: true }) }
  const helperKey = flags.key('helper-key')
  const storeBytes = megabytes(flags, 'store-mb')
  const percent = flags.integer('store-share')
  const keepMs = seconds(flags, 'keep')
  const keptAt = flags.text('kept-at')
  try {
    if (keptAt !== undefined) checkUrl(keptAt)
  } catch (error) {
    flags.fault(`--kept-at: ${(error as Error).message}`)
  }
  if (plan.backend === 'securenn') {
    const ahead = 'nothing is dealt ahead on securenn'
    flags.refuse(['store-mb', 'store-share', 'keep', 'kept-at', 'deliver', 'deliver-listen'], ahead)
    for (const entry of entries) if (entry['store-mb']) flags.fault(`models: ${entry.name}: store-mb: ${ahead}`)
    flags.refuse(['delegate'], 'only mcc can be delegated')
    flags.refuse(['no-guard'], 'securenn has no guard that could be left out')
  }
  const overlapMs = seconds(flags, 'overlap') ?? 600_000
  const workers = flags.integer('workers') ?? 1
  if (workers > 1 && delegateKey) {
    flags.fault(
      '--workers: the delegate and those who ask through it have to meet in one process; start several servers',
    )
  }
  const { registration, deliver } = readDelivering(flags)
  if (registration !== undefined && entries.length > 0) flags.fault('--registration: it is of one model, not of a list')
  if (deliver && workers > 1)
    flags.fault('--deliver: several processes of one port cannot be told apart; start several servers')
  if (keptAt !== undefined && workers > 1)
    flags.fault('--kept-at: several processes of one port cannot be told apart; start several servers')
  const service = readService(flags, SERVER_PORT, among && { number: among.number, count: workers })
  const token = flags.text('helper-token')
  const known = Boolean(delegateKey ?? service.door.tokens ?? service.door.jwks)
  const guardedByDefault = guardsByDefault(flags, plan, known)
  if (registration !== undefined && (guardedByDefault || flags.on('guard'))) {
    flags.fault('--registration: guarded plans are registered by each server; give --tokens or --jwks, or --no-guard')
  }
  flags.check()
  const one = { name: basename(model ?? ''), model: model ?? '', variant, storeBytes }
  const several = entries.map((entry) => ({
    name: entry.name,
    model: entry.model,
    variant: entry.variant ?? variant,
    storeBytes: entry['store-mb'] === undefined ? storeBytes : entry['store-mb'] * 2 ** 20,
  }))
  const models = entries.length > 0 ? several : [one]
  return {
    models,
    helper,
    helperToken: await secretOf('helper-token', token),
    plan,
    guardedByDefault,
    helperKey,
    delegateKey,
    keepMs,
    keptAt,
    several: entries.length > 0,
    storeShare: percent === undefined ? undefined : percent / 100,
    overlapMs,
    workers,
    registration: registration === undefined ? undefined : await readRegistration(registration),
    deliver,
    service,
  }
}
