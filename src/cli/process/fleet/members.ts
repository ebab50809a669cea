// `helper --queue`: flags of a fleet, its secret, and its two roles.
import type { Depth } from '../../../engine/engine.js'
import { openEngine } from '../../../engine/open.node.js'
import { RingfenceError } from '../../../errors.js'
import { FleetDealer, type Outcome } from '../../../fleet/dealer.js'
import { FleetFront } from '../../../fleet/front.js'
import { Fronts } from '../../../fleet/fronts.js'
import { checkFleetUrl, deliveryHost, HttpTransport, listenForDealers } from '../../../fleet/http.node.js'
import { FleetKeys } from '../../../fleet/keys.js'
import type { Channel, PeerRole } from '../../../net/index.js'
import { readTls, type TlsFiles } from '../../../operate/tls-files.js'
import type { DealerPool } from '../../../party/helper/dealing.js'
import type { Seed } from '../../../random/seed.js'
import { type FlagDefinitions, type Flags, fromHex } from '../../terminal/arguments.js'
import { parseAddress } from '../listening.js'
import { readSecretOf } from '../secret-file.js'
import { QUEUE_FLAGS } from './queue-flags.js'

export const FLEET_PORT = 7703
const ROLES = ['front', 'dealer', 'both'] as const

export const FLEET_FLAGS = {
  ...QUEUE_FLAGS,
  role: {
    type: 'string',
    valueHint: 'NAME',
    description: 'in a fleet: front (clients and servers connect to it), dealer (deals for fronts), or both (default)',
  },
  'fleet-key': {
    type: 'string',
    valueHint: 'FILE',
    description: 'the secret of fronts and dealers: 64 hexadecimal digits a line, the newest first',
  },
  'fleet-listen': {
    type: 'string',
    valueHint: 'HOST:PORT',
    description: `where a front listens for its dealers, with --cert and --key (default 127.0.0.1:${FLEET_PORT})`,
  },
  'fleet-url': {
    type: 'string',
    valueHint: 'URL',
    description: 'where dealers reach this front, if that is not where it listens',
  },
  'deliver-to': {
    type: 'string',
    valueHint: 'HOST:PORT,…',
    description:
      'servers that dealers bring bundles to, past the front; *.example.org:PORT for all below (default: none)',
  },
  'open-jobs': {
    type: 'string',
    valueHint: 'N',
    range: [1, 1024],
    description: 'bundles of one server that a front waits for at a time (default 16)',
  },
} as const satisfies FlagDefinitions

export interface FleetOrder {
  readonly role: (typeof ROLES)[number]
  readonly queue: string
  readonly credentials: string | undefined
  readonly keyFile: string
  readonly listen: { host: string; port: number }
  readonly url: string | undefined
  readonly width: number | undefined
  /** Hosts and ports that bundles may be brought to. */
  readonly deliverTo: readonly string[]
}

/** Undefined without `--queue`. Problems are left with `flags`. */
export function readFleet(flags: Flags): FleetOrder | undefined {
  const queue = flags.text('queue')
  const role = flags.oneOf('role', ROLES) ?? 'both'
  const keyFile = flags.text('fleet-key')
  const listen = parseAddress(flags, 'fleet-listen', FLEET_PORT) ?? { host: '127.0.0.1', port: FLEET_PORT }
  const credentials = flags.text('queue-credentials')
  const url = flags.text('fleet-url')
  const width = flags.integer('open-jobs')
  const deliverTo = flags.text('deliver-to')?.split(',') ?? []
  if (queue === undefined) {
    const given = Object.keys(FLEET_FLAGS).filter((name) => flags.text(name) !== undefined)
    if (given.length > 0) flags.fault(`${given.map((name) => `--${name}`).join(', ')}: goes with --queue`)
    return undefined
  }
  if (keyFile === undefined) flags.fault('--fleet-key is missing: openssl rand -hex 32 makes one, for all of the fleet')
  if (url !== undefined) {
    try {
      checkFleetUrl(url)
    } catch (error) {
      flags.fault(`--fleet-url: ${(error as Error).message}`)
    }
  }
  for (const each of deliverTo) {
    if (!/^(\*\.)?[\w.-]+:\d{1,5}$|^\[[\da-f:]+\]:\d{1,5}$/i.test(each)) {
      flags.fault(`--deliver-to: expected HOST:PORT or *.DOMAIN:PORT, got ${each}`)
    }
  }
  return { role, queue, credentials, keyFile: keyFile ?? '', listen, url, width, deliverTo }
}

/** @throws RingfenceError BAD_FILE */
export async function readFleetKeys(file: string): Promise<FleetKeys> {
  const lines = (await readSecretOf('the secret of a fleet', file)).split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length > 0 && keys.every((key) => /^[0-9a-f]{64}$/i.test(key))) return new FleetKeys(keys.map(fromHex))
  throw new RingfenceError('BAD_FILE', `${file}: expected 64 hexadecimal digits on each line, the newest key first`)
}

/** What runs of a fleet in this process. */
export interface Fleet {
  /** Where there is a front: who deals for its helper. */
  readonly front: FleetFront | undefined
  /** And the others of its helper. */
  readonly fronts: Fronts | undefined
  /** For `Helper`: what k_H of sessions that begin now is derived from. */
  readonly epoch: Seed
  /** Where dealers reach the front. */
  readonly url: string | undefined
  depth(): Promise<Depth>
  /** Reads the secret again. @throws RingfenceError BAD_FILE; then the one before goes on */
  reread(): Promise<void>
  /** Dealers finish what they have begun. */
  end(): Promise<void>
}

export interface FleetHooks {
  /** Threads that deal, where there is a dealer. */
  readonly pool: DealerPool | undefined
  readonly tls: TlsFiles | undefined
  /** Serves a client that another front leads here. */
  onLed?(channel: Channel, role: PeerRole | undefined): void
  onJob(outcome: Outcome, milliseconds: number, error?: RingfenceError): void
  /** Told of a queue's folder that was not there. */
  onMade(what: string): void
}

/** Whether a server's address is one of those: whoever registers names its own, and dealers reach what others cannot. */
export const delivererTo =
  (allowed: readonly string[]) =>
  (url: string): boolean => {
    const at = deliveryHost(url)
    const is = (each: string) => at === each || (each.startsWith('*.') && at?.endsWith(each.slice(1)))
    return at !== undefined && allowed.some(is)
  }

/** Name of the queue that fronts and dealers share. */
const DEALING = 'deal'
const LEASE_MS = 15_000

/** @throws RingfenceError BAD_FILE, BAD_INPUT, INSECURE, HOST, PEER_GONE, UNAUTHORIZED */
export async function joinFleet(order: FleetOrder, { pool, tls, onJob, onLed, onMade }: FleetHooks): Promise<Fleet> {
  let keys = await readFleetKeys(order.keyFile)
  const credentials = order.credentials && (await readSecretOf("a broker's credentials", order.credentials))
  let front: FleetFront | undefined
  let fronts: Fronts | undefined
  const led = onLed && { admits: (token: Uint8Array) => fronts?.admits(token) ?? false, run: onLed }
  const desk = {
    expects: (path: string, token: Uint8Array) => front?.expects(path, token) ?? 503,
    gives: (path: string, token: Uint8Array) => front?.gives(path, token) ?? 503,
  }
  const identity = tls && (await readTls(tls))
  const listens = order.role !== 'dealer'
  const listener = listens ? await listenForDealers({ ...order.listen, tls: identity }, desk, led) : undefined
  const terms = { name: DEALING, leaseMs: LEASE_MS, credentials, create: listens, onMade }
  const engine = await openEngine(order.queue, terms).catch(async (error) => {
    await listener?.close()
    throw error
  })
  const url = listener && (order.url ?? listener.url)
  if (url)
    front = new FleetFront({
      engine,
      keys: () => keys,
      url,
      width: order.width,
      delivers: delivererTo(order.deliverTo),
    })
  if (url) fronts = new Fronts({ engine, keys: () => keys, url })
  await fronts?.announce().catch(async (error) => {
    await listener?.close()
    await engine.close()
    throw error
  })
  const ending = new AbortController()
  const transport = new HttpTransport()
  const dealer = pool && new FleetDealer({ engine, keys: () => keys, transport, pool, leaseMs: LEASE_MS, onJob })
  const dealing = dealer?.run(ending.signal)
  const end = async () => {
    ending.abort()
    await dealing
    await front?.release()
    await listener?.close()
    transport.close()
    await engine.close()
    keys.release()
  }
  return {
    ...{ front, fronts, url, end },
    get epoch() {
      return keys.epoch
    },
    depth: () => engine.jobs.depth(),
    reread: async () => {
      const next = await readFleetKeys(order.keyFile)
      keys.release()
      keys = next
      await fronts?.announce()
    },
  }
}
