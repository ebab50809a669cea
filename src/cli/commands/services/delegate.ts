// `ringfence delegate`: plays the client for owners of inputs until it is told to end.
import { Delegate } from '../../../delegate/delegate.js'
import type { LentInference } from '../../../delegate/pool.js'
import { RingfenceError } from '../../../errors.js'
import { isExchange } from '../../../net/exchange/exchange.js'
import { Meter, wait } from '../../../net/index.js'
import { Metrics } from '../../../operate/metrics.js'
import { Service } from '../../../operate/service.js'
import { wrongParty } from '../../../party/greeting.js'
import { linkTo } from '../../../party/options.js'
import { keyPair } from '../../../random/seed.js'
import { configured } from '../../process/config-file.js'
import { IDENTITY_FLAG, loadIdentity } from '../../process/identity.js'
import { readService, SERVICE_FLAGS, sayReady } from '../../process/listening.js'
import { type Command, type Flags, HELPER_KEY_FLAG, toHex } from '../../terminal/arguments.js'
import { secretOf } from '../../terminal/flag-words.js'

export const DELEGATE_PORT = 7703

export const delegate: Command = {
  name: 'delegate',
  summary: 'Play the client for owners of inputs, who send one request. The delegate sees no input and no answer.',
  flags: {
    server: { type: 'string', valueHint: 'URL', description: 'the server, wss://… (or ws:// on this machine)' },
    helper: { type: 'string', valueHint: 'URL', description: 'the helper that server works with' },
    'party-token': {
      type: 'string',
      valueHint: 'TOKEN|@FILE',
      description: 'what server and helper ask the delegate for; @FILE keeps it off the command line',
    },
    ...HELPER_KEY_FLAG,
    parallel: {
      type: 'string',
      valueHint: 'COUNT',
      description: 'inferences that run at once, each on a connection of its own (default 2)',
    },
    low: { type: 'string', valueHint: 'COUNT', description: 'prepares when fewer inferences are ready (default 4)' },
    high: { type: 'string', valueHint: 'COUNT', description: 'until so many are ready (default 16)' },
    ...IDENTITY_FLAG,
    ...SERVICE_FLAGS,
  },
  notes: [
    `Default: --listen 127.0.0.1:${DELEGATE_PORT}. Tell the server the printed public key (serve --delegate), and owners over a way they trust.`,
    'Whoever runs the delegate must not be, or collude with, the server or the helper; see docs/delegated.md.',
    'It waits for its server. SIGTERM lets owners that wait have their answers.',
  ],
  async run(given, args) {
    const { flags } = await configured(delegate, given, args)
    const order = await readOrder(flags)
    const { log } = order.service
    let party: Delegate | undefined
    const metrics = await Metrics.create({ delegate: () => party?.status })
    const meter = new Meter()
    metrics.follow({ meter }, 'server and helper')
    const service = await Service.open(
      { ...order.service, metrics },
      {
        // Owners send requests over HTTP: who opens a channel took it for another party.
        run: async (channel) => linkTo('peer', channel, {}).fail(wrongParty('delegate', 'server or a helper')),
        exchange: (target) => (isExchange(target) ? need(party).exchange : undefined),
        problems: () => (party?.status.ready ? [] : ['it is not connected to its server']),
        drain: async (withinMs) => (await party?.drain(withinMs)) ?? true,
        release: async () => party?.release(),
      },
    )
    try {
      if (service.open) log.say('warn', 'open', {}, 'anyone may use this delegate up; give --tokens or --jwks')
      const publicKey = toHex(order.party.identity.publicKey)
      log.say('info', 'key', { publicKey }, `public key ${publicKey}, for the server and for owners of inputs`)
      const onError = (error: RingfenceError) => service.failed(error)
      const onLent = ({ begun, milliseconds, error }: LentInference) => {
        const code = error?.code ?? (begun ? undefined : 'ABORTED') // its owner had left
        service.tell({ kind: 'inference', peer: {}, milliseconds, error: code })
      }
      const hooks = { meter, onError, onLent }
      const begun = await Promise.race([service.stopped, joined({ ...order.party, ...hooks }, onError)])
      if (!begun) return 0
      party = begun
      const url = service.url.replace('ws', 'http')
      const next = `infer IMAGE… --delegate ${url} --delegate-key ${publicKey} --server ${order.party.server}`
      sayReady(log, { role: 'delegate', url, publicKey, metrics: service.metricsUrl }, [next, 'classifies pictures'])
      await service.stopped
      return 0
    } catch (error) {
      await service.close()
      throw error
    }
  },
}

function need(party: Delegate | undefined): Delegate {
  if (party) return party
  throw new RingfenceError('BUSY', 'the delegate has not reached its server yet; come back later')
}

/** Waits for the server for as long as that takes. @throws RingfenceError what waiting cannot cure */
async function joined(
  options: Parameters<typeof Delegate.create>[0],
  onWaiting: (error: RingfenceError) => void,
): Promise<Delegate> {
  for (let ms = 500; ; ms = Math.min(2 * ms, 5000)) {
    try {
      return await Delegate.create(options)
    } catch (error) {
      if (!(error instanceof RingfenceError) || !(error.retryable || error.code === 'PEER_FAILED')) throw error
      onWaiting(error)
      await wait(ms)
    }
  }
}

async function readOrder(flags: Flags) {
  const server = flags.required('server', 'where the server listens, for example ws://127.0.0.1:7702')
  const helper = flags.required('helper', 'where the helper listens, for example ws://127.0.0.1:7701')
  const helperKey = flags.key('helper-key')
  const connections = flags.integer('parallel', 1, 64)
  const [low = 4, high = 16] = [flags.integer('low', 0, 4096), flags.integer('high', 1, 4096)]
  if (low > high) flags.fault(`--low: at most --high, ${high}, not ${low}`)
  const [identity, token] = [flags.text('identity'), flags.text('party-token')]
  const service = readService(flags, DELEGATE_PORT)
  flags.check()
  const keys = identity === undefined ? keyPair() : await loadIdentity(identity)
  const prepared = { low, high }
  const { deadlineMs } = service.times
  const shown = await secretOf('party-token', token)
  return {
    service,
    party: { server, helper, helperKey, connections, prepared, identity: keys, token: shown, deadlineMs },
  }
}
