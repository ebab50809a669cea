// A party as a service: it listens, tells what happens, reads its files again when told to, and ends without cutting
// anybody off.
import { RingfenceError } from '../errors.js'
import type { RefusalReason } from '../net/access/credentials.js'
import type { AccessRequest } from '../net/access/gate.node.js'
import type { Exchange } from '../net/exchange/exchange.js'
import { type Channel, Meter, type Peer } from '../net/index.js'
import { type ConnectionInfo, type Listener, type ListenOptions, listen } from '../net/websocket-server.node.js'
import type { PartyEvent } from '../party/events.js'
import { Doorkeeper, type DoorkeeperOptions } from './doorkeeper.js'
import type { Log } from './log.js'
import { bytesOf, type Metrics } from './metrics.js'
import { listenForMetrics, type MetricsListener, operatorPages } from './pages.js'
import type { OneOfSeveral } from './processes.js'
import { aboutFiles, readTls, type TlsFiles } from './tls-files.js'

export interface ServiceOptions {
  listen: Omit<ListenOptions, 'tls' | 'server' | 'path' | 'onConnection' | 'onRequest' | 'onRefused' | 'authorize'> & {
    tls?: TlsFiles
  }
  door: DoorkeeperOptions
  metricsAt?: { host: string; port: number }
  /** Longest time for those at work to finish once the service is told to end. */
  drainMs: number
  log: Log
  metrics: Metrics
  /** This process, where it is one of several that share the port. Figures are then the business of the first of them. */
  among?: OneOfSeveral
  /** Reads its configuration again: what of it can change while it runs. @throws RingfenceError when it stays as it was */
  reread?: () => Promise<Changeable>
}

/** What of a service can change while it runs. */
export type Changeable = Pick<ServiceOptions, 'door' | 'drainMs'> & {
  listen: Pick<ServiceOptions['listen'], 'tls' | 'origins' | 'connections' | 'connectionsPerAddress'>
}

/** What is behind the door. */
export interface Party {
  run(channel: Channel, peer: Connection): Promise<void>
  /** What answers requests at this path, if anything does. @throws RingfenceError where nothing can be asked now */
  exchange?(target: string): Exchange | undefined
  /** Why somebody who may enter cannot be served at this path, if so. */
  refuses?(target: string): RefusalReason | undefined
  /** Why nobody new can be served; empty when all is well. */
  problems(): readonly string[]
  /** Takes in what has changed in files. */
  reload?(): Promise<void>
  drain(withinMs: number): Promise<boolean>
  release(): Promise<void>
}

/** A peer, as logs know it: by a number that says nothing of it. */
export interface Connection extends Peer {
  readonly connection: number
  /** Path and query it asked for. */
  readonly target: string
}

export class Service {
  /** Resolves when somebody has told the process to end and all that was at work has ended, or been cut off. */
  readonly stopped: Promise<void>
  #accepted = 0
  /** It was told to end. */
  draining = false

  private constructor(
    private options: ServiceOptions,
    private readonly party: Party,
    private readonly door: Doorkeeper,
    private readonly listener: Listener,
    private readonly figures: MetricsListener | undefined,
  ) {
    this.stopped = stopSignal().then(() => this.#stop())
    process.on('SIGHUP', this.#onHangup)
  }

  /** Listens. @throws RingfenceError HOST, BAD_FILE, BAD_INPUT, INSECURE */
  static async open(options: ServiceOptions, party: Party): Promise<Service> {
    const { listen: at, metrics, log, among } = options
    const metricsAt = among ? undefined : options.metricsAt
    const door = await Doorkeeper.create(options.door)
    among?.onBanned((name) => door.refuse(name))
    const tls = at.tls && (await readTls(at.tls))
    let service: Service | undefined
    const problems = () => (service?.draining ? ['it is shutting down'] : party.problems())
    const pages = {
      problems,
      metrics: metrics.figures,
      behindProxy: at.behindProxy,
      metricsElsewhere: among !== undefined || metricsAt !== undefined,
    }
    const authorize = async (request: AccessRequest) => {
      const decision = await door.authorize(request)
      const reason = 'refused' in decision ? undefined : party.refuses?.(request.target)
      return reason ? { refused: reason } : decision
    }
    const listener = await aboutFiles(at.tls, () =>
      listen({
        ...at,
        tls,
        authorize,
        exchange: (target) => service?.told(party.exchange?.(target)),
        onRequest: operatorPages(pages),
        onRefused: ({ reason, remoteAddress }) => {
          metrics.refused(reason)
          log.say('info', 'refused', { reason, remoteAddress }, `${remoteAddress} was not let in: ${reason}`)
        },
        onConnection: (channel, info) => void service!.#serve(channel, info),
      }),
    )
    let figures: MetricsListener | undefined
    try {
      figures = metricsAt && (await listenForMetrics(metricsAt.host, metricsAt.port, pages))
    } catch (error) {
      await listener.close()
      throw error
    }
    service = new Service(options, party, door, listener, figures)
    return service
  }

  get url(): string {
    return this.listener.url
  }

  /** Where the figures are, when they have an address of their own. */
  get metricsUrl(): string | undefined {
    const { host } = this.options.metricsAt ?? {}
    return this.figures && `http://${host}:${this.figures.port}/metrics`
  }

  /** Anybody may connect. */
  get open(): boolean {
    return this.door.open
  }

  async #stop(): Promise<void> {
    const { log, drainMs } = this.options
    this.draining = true
    this.listener.refuse()
    log.say(
      'info',
      'draining',
      { seconds: drainMs / 1000 },
      `shutting down: up to ${drainMs / 1000} s for those at work`,
    )
    if (!(await this.party.drain(drainMs))) {
      log.say('warn', 'cut', {}, 'some were still at work when the time was over; they were cut off')
    }
    await this.close()
  }

  async close(): Promise<void> {
    process.off('SIGHUP', this.#onHangup)
    await this.listener.close()
    this.figures?.close()
    await this.party.release()
  }

  /** An exchange whose failures are logged. */
  told(exchange: Exchange | undefined): Exchange | undefined {
    return (
      exchange && {
        requestBytes: exchange.requestBytes,
        describe: () => exchange.describe(),
        answer: async (request, call) => {
          try {
            return await exchange.answer(request, call)
          } catch (error) {
            if (error instanceof RingfenceError) this.failed(error, call.peer)
            throw error
          }
        },
      }
    )
  }

  /** Logs what a party tells of its peers. */
  tell(event: PartyEvent, model?: string): void {
    const { log, metrics } = this.options
    metrics.event(event, model)
    const about = model === undefined ? '' : `${model}: `
    if (event.kind === 'helper') {
      const text = event.up ? 'registered with the helper' : 'the helper is gone; trying to come back to it'
      log.say(event.up ? 'info' : 'warn', 'helper', { model, up: event.up }, about + text)
    } else if (event.kind === 'inference') {
      const { error, milliseconds } = event
      const who = facts(event.peer)
      const result = error ?? 'answered'
      const ms = Math.round(milliseconds * 10) / 10
      log.say(
        'info',
        'inference',
        { ...who, model, result, ms },
        `${name(who)}: an inference, ${result} after ${ms} ms`,
      )
    }
  }

  /** Logs that a connection ended with an error. That a peer left, as a page that was closed does, is none. */
  failed(error: RingfenceError, peer?: Peer, model?: string): void {
    const { log, metrics } = this.options
    metrics.failed(error.code)
    const [message] = error.message.split('\n', 1)
    const who = facts(peer)
    const left = error.code === 'PEER_GONE' && peer !== undefined
    const text = left ? `${name(who)}: left in the middle` : `${name(who)}: ${error.code}: ${message}`
    log.say(left ? 'info' : 'warn', left ? 'left' : 'failure', { ...who, model, code: error.code, message }, text)
    if (error.code === 'CHEATED' && peer?.principal) void this.#ban(peer.principal.name)
  }

  async #ban(principal: string): Promise<void> {
    const { log } = this.options
    try {
      this.options.among?.banned(principal)
      await this.door.ban(principal)
      log.say('warn', 'banned', { principal }, `${principal} deviated from the protocol and is not let in any more`)
    } catch (error) {
      const { message } = error as Error
      log.say('error', 'ban failed', { principal, message }, `${principal} is banned until a restart: ${message}`)
    }
  }

  readonly #onHangup = (): void => void this.#reload()

  async #reload(): Promise<void> {
    const { log, reread } = this.options
    const attempt = async (what: string, work: () => Promise<void> | void) => {
      try {
        await work()
        log.say('info', 'reloaded', { what }, `read again: ${what}`)
      } catch (error) {
        const { message } = error as Error
        log.say('error', 'reload failed', { what, message }, `${what} stays as it was: ${message}`)
      }
    }
    if (reread) {
      await attempt('the configuration', async () => {
        const { listen: at, ...changed } = await reread()
        const { origins, connections, connectionsPerAddress } = at
        this.listener.admit({ origins, connections, connectionsPerAddress })
        const tls = this.options.listen.tls && (at.tls ?? this.options.listen.tls)
        this.options = { ...this.options, ...changed, listen: { ...this.options.listen, tls } }
      })
    }
    const { door, listen: at } = this.options
    if (!this.door.open || door.tokens || door.jwks) await attempt('who may connect', () => this.door.reread(door))
    if (at.tls)
      await attempt('the certificate', async () => {
        const tls = await readTls(at.tls!)
        await aboutFiles(at.tls, () => this.listener.renew(tls))
      })
    if (this.party.reload) await attempt('models', () => this.party.reload!())
  }

  async #serve(channel: Channel, info: ConnectionInfo): Promise<void> {
    const { log, metrics } = this.options
    const { remoteAddress, ...peer } = info
    const meter = new Meter()
    const connection: Connection = { ...peer, meter, connection: ++this.#accepted }
    const who = facts(connection)
    const began = performance.now()
    log.say('info', 'open', { ...who, remoteAddress }, `${name(who)}: from ${remoteAddress}`)
    const done = metrics.follow(connection, 'peer')
    await this.party.run(channel, connection)
    done()
    const { received, sent } = bytesOf(meter)
    const seconds = Math.round((performance.now() - began) / 100) / 10
    const text = `${name(who)}: ended after ${seconds} s, ${received} bytes in, ${sent} bytes out`
    log.say('info', 'close', { ...who, seconds, bytesReceived: received, bytesSent: sent }, text)
  }
}

interface Who {
  connection: number | undefined
  principal: string | undefined
}

function facts(peer: Peer | undefined): Who {
  return { connection: (peer as Connection | undefined)?.connection, principal: peer?.principal?.name }
}

function name({ connection, principal }: Who): string {
  if (connection === undefined) return 'this party'
  return `connection ${connection}${principal === undefined ? '' : ` (${principal})`}`
}

/** Resolves when the process is told to end; told again it ends at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let told = false
    const stop = () => {
      if (told) process.exit(130)
      told = true
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
  })
}
