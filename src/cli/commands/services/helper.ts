// `ringfence helper`: deals randomness to servers and their clients until it is stopped.
import { type Channel, wait } from '../../../net/index.js'
import type { Log } from '../../../operate/log.js'
import { Metrics } from '../../../operate/metrics.js'
import { listenForMetrics } from '../../../operate/pages.js'
import { Service, stopSignal } from '../../../operate/service.js'
import type { HelperStatus } from '../../../party/events.js'
import type { DealerPool } from '../../../party/helper/dealing.js'
import { Helper } from '../../../party/helper/helper.js'
import { startDealers } from '../../../party/helper/threads.node.js'
import { keyPair } from '../../../random/seed.js'
import { type Configured, configured } from '../../process/config-file.js'
import {
  FLEET_FLAGS,
  type Fleet,
  type FleetHooks,
  type FleetOrder,
  joinFleet,
  readFleet,
} from '../../process/fleet/members.js'
import { IDENTITY_FLAG, loadIdentity } from '../../process/identity.js'
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
import { type Command, toHex } from '../../terminal/arguments.js'

export const HELPER_PORT = 7701

export const helper: Command = {
  name: 'helper',
  summary: 'Help servers and their clients with randomness. The helper sees no picture, no weight and no answer.',
  flags: {
    ...SERVICE_FLAGS,
    'registered-mb': {
      ...MEGABYTES,
      range: [1, 4096],
      description: 'memory for the networks of all registered servers together (default 1024)',
    },
    workers: WORKERS,
    ...IDENTITY_FLAG,
    ...FLEET_FLAGS,
  },
  notes: [
    `Default: --listen 127.0.0.1:${HELPER_PORT}. Tell servers and clients the printed public key over a way you trust; they pin it with --helper-key.`,
    'With --queue it is one of a fleet: fronts ask for bundles, dealers on any machine deal them; see docs/scale.md.',
    'It serves both back ends: before the inferences of mcc, and during those of securenn.',
    'Whoever runs the helper must not be, or collude with, the server or a client.',
  ],
  async run(given, args) {
    const read = () => configured(helper, given, args)
    const first = await read()
    const { identity, registeredBytes, workers, fleet: fleetOrder, service: order } = readOrder(first)
    const { log } = order
    const keys = identity === undefined ? keyPair() : await loadIdentity(identity)
    const deals = fleetOrder ? fleetOrder.role !== 'front' : workers > 1
    const pool = deals ? await startDealers(workers) : undefined
    if (fleetOrder?.role === 'dealer') return await dealOnly(fleetOrder, order, pool!)
    let metrics: Metrics | undefined
    let led: Helper | undefined
    const fleet =
      fleetOrder &&
      (await joined(fleetOrder, log, {
        ...{ pool, tls: order.listen.tls },
        onJob: (outcome, milliseconds) => metrics?.job(outcome, milliseconds),
        onLed: (channel, role) => (led ? void led.run(channel, { role }) : channel.close()),
      }))
    const dealers: DealerPool | undefined = fleet?.front ?? pool
    let service: Service | undefined
    const party = await Helper.create({
      ...order.times,
      ...{ keys, registeredBytes, dealers, epoch: fleet?.epoch, tag: fleet?.fronts?.tag },
      onEvent: (event) => service?.tell(event),
      onError: (error, peer) => service?.failed(error, peer),
    })
    led = party
    const end = async () => {
      await party.release()
      await fleet?.end()
      await pool?.release()
    }
    metrics = await Metrics.create({ helper: () => party.status, queue: fleet && (() => fleet.depth()) })
    const reread = rereading({ first, read, order: async (configured) => readOrder(configured), fixed: FIXED })
    service = await Service.open(
      { ...order, metrics, reread },
      {
        run: (channel, peer) => {
          const here = (its: Channel) => party.run(its, peer)
          return fleet?.fronts ? fleet.fronts.run(channel, peer.role, here) : here(channel)
        },
        problems: () => problemsOf(party.status),
        drain: (withinMs) => party.drain(withinMs),
        release: end,
      },
    ).catch(async (error) => {
      await end()
      throw error
    })
    if (fleet)
      process.on('SIGHUP', () => void rereadKeys(fleet, log).then((read) => read && party.beginEpoch(fleet.epoch)))
    if (service.open) {
      const what = 'anyone may use this helper up'
      log.say(
        'warn',
        'open',
        {},
        `${what}, and whoever runs it and also gets in at a server reads that server's weights`,
      )
    }
    const publicKey = toHex(party.publicKey)
    const facts = { role: 'helper', url: service.url, publicKey, fleet: fleet?.url, metrics: service.metricsUrl }
    const next = `serve --model resnet20-cifar10 --helper ${service.url} --helper-key ${publicKey}`
    sayReady(log, facts, [next, 'offers a network'])
    await service.stopped
    return 0
  },
}

/** What a helper is made with. */
const FIXED = [
  ...['identity', 'registered-mb', 'workers', 'deadline', 'idle', 'unused', 'joins-per-second'],
  ...Object.keys(FLEET_FLAGS),
]

/** The process does not stay for the sake of its threads. */
async function joined(order: FleetOrder, log: Log, hooks: Omit<FleetHooks, 'onMade'>): Promise<Fleet> {
  const onMade = (what: string) => {
    log.say('warn', 'made', { what }, `${what} was not there and is made: is it where the others of the fleet look?`)
  }
  try {
    return await joinFleet(order, { ...hooks, onMade })
  } catch (error) {
    await hooks.pool?.release()
    throw error
  }
}

/** A dealer has no clients: nothing but its pages listens. */
async function dealOnly(
  order: FleetOrder,
  { log, metricsAt, drainMs }: ServiceOrder,
  pool: DealerPool,
): Promise<number> {
  let metrics: Metrics | undefined
  const fleet = await joined(order, log, {
    ...{ pool, tls: undefined },
    onJob: (result, milliseconds, error) => {
      metrics?.job(result, milliseconds)
      const ms = Math.round(milliseconds * 10) / 10
      if (error) log.say('warn', 'job', { result, ms, code: error.code }, `a job, ${result}: ${error.message}`)
    },
  })
  metrics = await Metrics.create({ queue: () => fleet.depth() })
  let ending = false
  const pages = { problems: () => (ending ? ['it is shutting down'] : []), metrics: metrics.figures }
  const figures = metricsAt && (await listenForMetrics(metricsAt.host, metricsAt.port, pages))
  process.on('SIGHUP', () => void rereadKeys(fleet, log))
  const at = figures && `http://${metricsAt.host}:${figures.port}/metrics`
  const facts = { role: 'dealer', queue: order.queue, threads: String(pool.threads), metrics: at }
  sayReady(log, facts, [`helper --queue ${order.queue} --role front --fleet-key FILE`, 'is who it deals for'])
  await stopSignal()
  ending = true
  const late = wait(drainMs).then(() => 'late')
  if ((await Promise.race([fleet.end(), late])) === 'late') {
    log.say('warn', 'cut', {}, 'jobs were still at work when the time was over; other dealers get them')
  }
  figures?.close()
  await pool.release()
  return 0
}

async function rereadKeys(fleet: Fleet, log: Log): Promise<boolean> {
  try {
    await fleet.reread()
    log.say('info', 'reloaded', { what: 'fleet-key' }, 'read again: the secret of the fleet')
    return true
  } catch (error) {
    const { message } = error as Error
    log.say(
      'error',
      'reload failed',
      { what: 'fleet-key', message },
      `the secret of the fleet stays as it was: ${message}`,
    )
    return false
  }
}

function readOrder({ flags }: Configured) {
  const identity = flags.text('identity')
  const registeredBytes = megabytes(flags, 'registered-mb')
  const workers = flags.integer('workers') ?? 1
  const fleet = readFleet(flags)
  const service = readService(flags, HELPER_PORT)
  flags.check()
  return { identity, registeredBytes, workers, fleet, service }
}

/** Why nobody new can be served. */
function problemsOf({ draining, registered }: HelperStatus): string[] {
  if (draining) return ['it is shutting down']
  const { usedBytes, limitBytes } = registered
  return usedBytes < FULL * limitBytes ? [] : ['its memory for networks is taken']
}

/** A helper with less free than the rest takes no network of a size that people use. */
const FULL = 0.99
