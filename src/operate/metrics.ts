// Figures in Prometheus' format. No session, address or value is in a label: what a label can say is known beforehand.
import type { Counter, Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../errors.js'
import type { Meter, Peer } from '../net/index.js'
import type { HelperStatus, PartyEvent, ServerStatus } from '../party/events.js'
import type { Figures } from './pages.js'

/** From a millisecond to a minute. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Asked whenever figures are fetched. */
export interface Sources {
  /** Servers by the name of their model. */
  servers?: () => Iterable<readonly [model: string, status: ServerStatus]>
  helper?: () => HelperStatus
  /** The queue of a fleet. */
  queue?: () => Promise<{ waiting: number; leased: number; dead: number }>
}

/** Figures of all processes together, seen from the first. */
export async function figuresOfAll(): Promise<Figures> {
  const { AggregatorRegistry } = (await import('prom-client')).default
  const registry = new AggregatorRegistry()
  return { contentType: registry.contentType, read: () => registry.clusterMetrics() }
}

type Labels<T extends string> = Partial<Record<T, string>>

export class Metrics {
  readonly #meters = new Map<Meter, string>()
  readonly #crossed = new Map<string, { received: number; sent: number }>()
  readonly #inferences: Counter<'model' | 'result'>
  readonly #phases: Histogram<'model' | 'phase'>
  readonly #bundles: Counter<'model'>
  readonly #refusals: Counter<'reason'>
  readonly #failures: Counter<'code'>
  #jobs: Counter<'result'> | undefined

  private constructor(
    prom: typeof import('prom-client'),
    readonly registry: Registry,
    sources: Sources,
  ) {
    const registers = [registry]
    const counter = <T extends string>(name: string, help: string, ...labelNames: T[]) =>
      new prom.Counter<T>({ name: `ringfence_${name}`, help, labelNames, registers })
    const gauge = <T extends string>(
      name: string,
      help: string,
      labelNames: T[],
      read: () => Iterable<[Labels<T>, number]>,
      aggregator: 'sum' | 'min' = 'sum',
    ) =>
      new prom.Gauge<T>({
        name: `ringfence_${name}`,
        help,
        labelNames,
        registers,
        aggregator,
        collect() {
          this.reset()
          for (const [labels, value] of read()) this.set(labels, value)
        },
      })
    prom.collectDefaultMetrics({ register: registry })
    this.#refusals = counter('refusals_total', 'Callers that were not let in, by reason', 'reason')
    this.#failures = counter('failures_total', 'Connections that ended with an error, by its code', 'code')
    this.#bundles = counter('bundles_total', 'Material of inferences: dealt by a helper, arrived at a server', 'model')
    this.#inferences = counter('inferences_total', 'Inferences: answered, or the code of the error', 'model', 'result')
    const phases = {
      name: 'ringfence_phase_seconds',
      help: 'Seconds by phase',
      labelNames: ['model', 'phase'] as const,
    }
    this.#phases = new prom.Histogram({ ...phases, buckets: BUCKETS, registers })
    const crossed = () => this.#links()
    new prom.Counter({
      name: 'ringfence_link_bytes_total',
      help: 'Bytes over the links, frame headers included',
      labelNames: ['link', 'direction'],
      registers,
      collect() {
        this.reset()
        for (const [link, { received, sent }] of crossed()) {
          this.inc({ link, direction: 'received' }, received)
          this.inc({ link, direction: 'sent' }, sent)
        }
      },
    })
    const { servers, helper, queue } = sources
    if (queue) {
      this.#jobs = counter('deal_jobs_total', 'Jobs that this dealer took, by how they ended', 'result')
      new prom.Gauge({
        name: 'ringfence_deal_queue',
        help: 'Jobs in the queue of the fleet; none while the queue is away',
        labelNames: ['state'],
        registers,
        async collect() {
          this.reset()
          const depth = await queue().catch(() => undefined)
          for (const [state, count] of Object.entries(depth ?? {})) this.set({ state }, count)
        },
      })
    }
    if (servers) {
      const ofModels = (read: (status: ServerStatus) => number) => () =>
        [...servers()].map(([model, status]): [{ model: string }, number] => [{ model }, read(status)])
      const free = ({ usedBytes, limitBytes }: ServerStatus['store']) =>
        limitBytes > 0 ? 1 - usedBytes / limitBytes : 1
      gauge(
        'helper_up',
        '1 while registered with the helper',
        ['model'],
        ofModels((s) => Number(s.registered)),
        'min',
      )
      gauge(
        'sessions',
        'Clients that are connected',
        ['model'],
        ofModels((s) => s.sessions),
      )
      gauge(
        'queue_length',
        'Clients that wait for their turn',
        ['model'],
        ofModels((s) => s.waiting),
      )
      gauge(
        'store_bytes',
        'One-time material dealt ahead',
        ['model'],
        ofModels((s) => s.store.usedBytes),
      )
      gauge(
        'store_free_ratio',
        'Share of the store that is free',
        ['model'],
        ofModels((s) => free(s.store)),
        'min',
      )
      gauge(
        'wasm_memory_bytes',
        'WebAssembly memory in use',
        ['model'],
        ofModels((s) => s.memoryBytes),
      )
    }
    if (helper) {
      const one = (read: (status: HelperStatus) => number) => (): [object, number][] => [[{}, read(helper())]]
      gauge(
        'registrations',
        'Models of servers that are registered',
        [],
        one((s) => s.registrations),
      )
      gauge(
        'registered_bytes',
        'Memory that the networks of all registered servers take',
        [],
        one((s) => s.registered.usedBytes),
      )
      gauge(
        'registered_free_ratio',
        'Share of that memory that is free',
        [],
        one((s) => 1 - s.registered.usedBytes / s.registered.limitBytes),
      )
      gauge(
        'connections',
        'Servers and clients that are connected',
        [],
        one((s) => s.connections),
      )
      gauge(
        'wasm_memory_bytes',
        'WebAssembly memory in use',
        [],
        one((s) => s.memoryBytes),
      )
    }
  }

  static async create(sources: Sources): Promise<Metrics> {
    const { default: prom } = await import('prom-client')
    return new Metrics(prom, new prom.Registry(), sources)
  }

  /** Figures of this process are asked for by the first of several. */
  async share(): Promise<void> {
    const { AggregatorRegistry } = (await import('prom-client')).default
    AggregatorRegistry.setRegistries(this.registry)
    new AggregatorRegistry() // from now on it answers the first
  }

  get figures(): Figures {
    return { contentType: this.registry.contentType, read: () => this.registry.metrics() }
  }

  /** @param model whose server it is; empty at a helper */
  event(event: PartyEvent, model = ''): void {
    const seconds = 'milliseconds' in event ? event.milliseconds / 1000 : 0
    switch (event.kind) {
      case 'session':
        this.#phases.observe({ model, phase: 'setup' }, seconds)
        break
      case 'bundle':
        this.#bundles.inc({ model })
        this.#phases.observe({ model, phase: 'offline' }, seconds)
        break
      case 'inference':
        this.#inferences.inc({ model, result: event.error ?? 'answered' })
        if (!event.error) this.#phases.observe({ model, phase: 'online' }, seconds)
        break
    }
  }

  /** A dealer has ended a job. */
  job(result: string, milliseconds: number): void {
    this.#jobs?.inc({ result })
    this.#phases.observe({ model: '', phase: 'deal' }, milliseconds / 1000)
  }

  refused(reason: string): void {
    this.#refusals.inc({ reason })
  }

  failed(code: ErrorCode): void {
    this.#failures.inc({ code })
  }

  /** Counts a connection's bytes from now on. @returns to be called when it has ended */
  follow({ meter }: Peer, link: string): () => void {
    if (!meter) return () => undefined
    this.#meters.set(meter, link)
    return () => {
      this.#meters.delete(meter)
      add(this.#crossed, link, meter)
    }
  }

  #links(): Map<string, { received: number; sent: number }> {
    const sums = new Map([...this.#crossed].map(([link, sum]) => [link, { ...sum }]))
    for (const [meter, link] of this.#meters) add(sums, link, meter)
    return sums
  }
}

/** Bytes over all links and phases of a meter. */
export function bytesOf(meter: Meter): { received: number; sent: number } {
  const phases = Object.values(meter.report().links).flatMap((link) => Object.values(link))
  const sum = (of: 'bytesReceived' | 'bytesSent') => phases.reduce((total, phase) => total + phase[of], 0)
  return { received: sum('bytesReceived'), sent: sum('bytesSent') }
}

function add(sums: Map<string, { received: number; sent: number }>, link: string, meter: Meter): void {
  const { received, sent } = bytesOf(meter)
  const before = sums.get(link) ?? { received: 0, sent: 0 }
  sums.set(link, { received: before.received + received, sent: before.sent + sent })
}
