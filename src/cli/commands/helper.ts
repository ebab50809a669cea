// `ringfence helper`: deals randomness to servers and their clients until it is stopped.
import { Metrics } from '../../operate/metrics.js'
import { Service } from '../../operate/service.js'
import type { HelperStatus } from '../../party/events.js'
import { Helper } from '../../party/helper/helper.js'
import { startDealers } from '../../party/helper/threads.node.js'
import { keyPair } from '../../random/seed.js'
import { type Configured, configured } from '../process/config-file.js'
import { IDENTITY_FLAG, loadIdentity } from '../process/identity.js'
import { MEGABYTES, megabytes, readService, SERVICE_FLAGS, sayReady, WORKERS } from '../process/listening.js'
import { rereading } from '../process/reloading.js'
import { type Command, toHex } from '../terminal/arguments.js'

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
  },
  notes: [
    `Default: --listen 127.0.0.1:${HELPER_PORT}. Tell servers and clients the printed public key over a way you trust; they pin it with --helper-key.`,
    'It serves both back ends: before the inferences of mcc, and during those of securenn.',
    'Whoever runs the helper must not be, or collude with, the server or a client.',
  ],
  async run(given, args) {
    const read = () => configured(helper, given, args)
    const first = await read()
    const { identity, registeredBytes, workers, service: order } = readOrder(first)
    const { log } = order
    const keys = identity === undefined ? keyPair() : await loadIdentity(identity)
    const dealers = workers > 1 ? await startDealers(workers) : undefined
    let service: Service | undefined
    const party = await Helper.create({
      ...order.times,
      ...{ keys, registeredBytes, dealers },
      onEvent: (event) => service?.tell(event),
      onError: (error, peer) => service?.failed(error, peer),
    })
    const metrics = await Metrics.create({ helper: () => party.status })
    const reread = rereading({ first, read, order: async (configured) => readOrder(configured), fixed: FIXED })
    service = await Service.open(
      { ...order, metrics, reread },
      {
        run: (channel, peer) => party.run(channel, peer),
        problems: () => problemsOf(party.status),
        drain: (withinMs) => party.drain(withinMs),
        release: async () => {
          await party.release()
          await dealers?.release()
        },
      },
    )
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
    const facts = { role: 'helper', url: service.url, publicKey, metrics: service.metricsUrl }
    const next = `serve --model resnet20-cifar10 --helper ${service.url} --helper-key ${publicKey}`
    sayReady(log, facts, [next, 'offers a network'])
    await service.stopped
    return 0
  },
}

/** What a helper is made with. */
const FIXED = ['identity', 'registered-mb', 'workers', 'deadline', 'idle', 'unused', 'joins-per-second']

function readOrder({ flags }: Configured) {
  const identity = flags.text('identity')
  const registeredBytes = megabytes(flags, 'registered-mb')
  const workers = flags.integer('workers') ?? 1
  const service = readService(flags, HELPER_PORT)
  flags.check()
  return { identity, registeredBytes, workers, service }
}

/** Why nobody new can be served. */
function problemsOf({ draining, registered }: HelperStatus): string[] {
  if (draining) return ['it is shutting down']
  const { usedBytes, limitBytes } = registered
  return usedBytes < FULL * limitBytes ? [] : ['its memory for networks is taken']
}

/** A helper with less free than the rest takes no network of a size that people use. */
const FULL = 0.99
