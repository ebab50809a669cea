// The measurement itself: one row per variant, and which row of a bit count is best.
import { Bench } from 'tinybench'
import type { Circumstances } from '../../src/cli/report/circumstances.js'
import { RingfenceError } from '../../src/errors.js'
import { networkProfiles } from '../../src/net/index.js'
import { deviation, median } from '../report.js'
import type { Activations, Backend, CompareCost, LocalWork, Values, Variant } from './backend.js'
import type { Host } from './host.js'
import { secondsUnder } from './network.js'
import type { CompareOptions } from './options.js'
import { batchTimes, expectDeclared, type Job, metered, type ProfileName } from './parties.js'
import { countFlights } from './waves.js'

export interface LocalTimes {
  readonly clientNs: number
  readonly serverNs: number
  readonly helperNs: number
}

export interface Rates {
  /** Share of the values whose sign came out wrong, and the expectation over the masks. */
  readonly measured: number
  readonly predicted: number
}

export interface ShapedTime {
  readonly declared: number
  readonly measured: number
  /** measured / declared - 1. */
  readonly difference: number
}

export interface CompareRow extends CompareCost, Variant {
  readonly elements: number
  /** Nanoseconds of local work per comparison, medians, and of each the spread. */
  readonly local: LocalTimes & { readonly spread: LocalTimes }
  /** On line, with the material at hand; the median of `runs` batches. */
  readonly endToEnd: { readonly perSecond: number; readonly runs: number; readonly spread: number }
  /** Uniform values of the range that calibration guarantees, and a real layer's. */
  readonly wrongSign: Rates & { readonly layer: (Rates & { readonly name: string }) | null }
  /** Seconds of one batch by declared cost. */
  readonly seconds: Readonly<Record<(typeof PROFILES)[number], number>>
  /** The same through the emulated network. */
  readonly shaped: Readonly<Record<(typeof SHAPED)[number], ShapedTime>>
  /** Among all shapes of one back end, operation and bit count: fewest bytes in all, or fastest on line. */
  readonly best: readonly ('bytes' | 'time')[]
}

export interface Unsupported {
  readonly backend: string
  readonly bits: number
  readonly reason: string
}

export interface Comparison {
  readonly rows: readonly CompareRow[]
  readonly unsupported: readonly Unsupported[]
  readonly place: string
  readonly circumstances: Circumstances
}

export const PROFILES = ['lan', 'wan40', 'mobile80'] as const
export const SHAPED = ['wan40', 'mobile80'] as const
/** How closely the emulated network has to agree with the declared cost. */
export const AGREEMENT = 0.1

/**
 * Through the emulated network as many runs as fit `shapedMs` by declared cost, at least one. Before batches of less than
 * `warmBelow` ms comes one that does not count: it is some ms late.
 */
const FULL = { localMs: 200, warmup: 10, runs: 30, shapedRuns: 5, shapedMs: 3000, warmBelow: 1000 }
const QUICK = { localMs: 10, warmup: 10, runs: 5, shapedRuns: 1, shapedMs: 0, warmBelow: 150 }

/**
 * Every row is warmed up on its own, or the first of a back end pays for the compiler: rounds of all parties' work until
 * one is no faster than those before it.
 */
const WARM_UP = { leastRounds: 4, mostMs: 1000, faster: 0.95 }

/**
 * Measures every variant of every back end and bit count.
 * @throws RingfenceError UNSUPPORTED when none of them can be measured
 */
export async function compare(options: CompareOptions, host: Host): Promise<Comparison> {
  const unsupported: Unsupported[] = []
  const planned = options.backends.flatMap((backend) =>
    options.bits.flatMap((bits) => {
      const found = backend.variants(bits, options.ignored)
      if (!('unsupported' in found)) return found.map((variant) => ({ backend, variant }))
      unsupported.push({ backend: backend.name, bits, reason: found.unsupported })
      return []
    }),
  )
  if (planned.length === 0) {
    const problems = unsupported.map(({ backend, bits, reason }) => `${backend}, ${bits} bits: ${reason}`)
    throw new RingfenceError('UNSUPPORTED', 'none of these bit counts can be compared by this version:', problems)
  }
  const activations = await host.activations()
  const rows: Omit<CompareRow, 'best'>[] = []
  for (const [i, { backend, variant }] of planned.entries()) {
    host.progress(`${i + 1} of ${planned.length}: ${backend.name}, ${variant.operation} of ${variant.bits} bits`)
    rows.push(await measure(backend, variant, activations, options, host))
  }
  return { rows: markBest(rows), unsupported, place: host.place, circumstances: host.circumstances() }
}

async function measure(
  backend: Backend,
  variant: Variant,
  activations: Activations | null,
  { elements, quick }: CompareOptions,
  host: Host,
): Promise<Omit<CompareRow, 'best'>> {
  const effort = quick ? QUICK : FULL
  const values = backend.uniform(variant, elements)
  const { local, work, measured } = await localWork(backend, variant, values, effort.localMs)
  const cost = backend.cost(variant, elements)
  const messages = backend.messages(variant, elements)
  const flights = await countFlights(backend, variant)
  const play = async (job: Pick<Job, 'warmup' | 'runs' | 'profile'>) => {
    const whole = { variant, elements, ...job }
    const parts = await host.endToEnd(whole)
    expectDeclared(variant, cost, metered(parts, whole, flights))
    return batchTimes(backend, parts)
  }
  const batches = await play({ warmup: effort.warmup, runs: effort.runs })
  const workMs = median(batches)
  const under = (profile: ProfileName) => secondsUnder(networkProfiles[profile], messages, work ?? { server: [workMs] })
  const shaped: Partial<Record<(typeof SHAPED)[number], ShapedTime>> = {}
  for (const profile of SHAPED) {
    const declared = under(profile)
    const warmup = declared * 1000 < effort.warmBelow ? 1 : 0
    const runs = Math.max(1, Math.min(effort.shapedRuns, Math.floor(effort.shapedMs / (declared * 1000))))
    const seconds = median(await play({ warmup, runs, profile })) / 1000
    shaped[profile] = { declared, measured: seconds, difference: seconds / declared - 1 }
  }
  return {
    ...variant,
    elements,
    local,
    endToEnd: { perSecond: elements / (workMs / 1000), runs: batches.length, spread: deviation(batches) / workMs },
    ...cost,
    wrongSign: {
      measured,
      predicted: backend.predictedWrong(variant, values),
      layer: activations && (await layerRates(backend, variant, activations, elements)),
    },
    seconds: Object.fromEntries(PROFILES.map((name) => [name, under(name)])) as CompareRow['seconds'],
    shaped: shaped as CompareRow['shaped'],
  }
}

async function localWork(backend: Backend, variant: Variant, values: Values, ms: number) {
  const work = await backend.local(variant, values)
  await warmUp(work)
  const bench = new Bench({ time: ms, iterations: 5, warmupTime: ms / 4, warmupIterations: 2 })
  // Declared asynchronous: otherwise tinybench tries them once, without waiting for the end.
  const options = { async: true }
  bench.add('client', () => work.client(), options)
  bench.add('server', () => work.server(), options)
  bench.add('helper', () => work.helper(), options)
  await bench.run()
  const latencies = bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') throw new Error(`${variant.backend} ${name}: ${result.state}`)
    return result.latency
  })
  const perValue = (of: (latency: (typeof latencies)[number]) => number): LocalTimes => {
    const [clientNs, serverNs, helperNs] = latencies.map((latency) => (of(latency) * 1e6) / values.length)
    return { clientNs, serverNs, helperNs }
  }
  const measured = wrongShare(values, work.signs())
  const between = await work.work?.()
  work.release()
  const local = { ...perValue(({ p50 }) => p50), spread: perValue(({ mad }) => mad) }
  return { local, work: between, measured }
}

async function warmUp(work: LocalWork): Promise<void> {
  const started = performance.now()
  let best = Number.POSITIVE_INFINITY
  for (let round = 1; performance.now() - started < WARM_UP.mostMs; round++) {
    const begun = performance.now()
    for (const party of [work.client, work.server, work.helper]) await party.call(work)
    const took = performance.now() - begun
    if (round >= WARM_UP.leastRounds && took > WARM_UP.faster * best) return
    best = Math.min(best, took)
  }
}

async function layerRates(backend: Backend, variant: Variant, activations: Activations, elements: number) {
  const values = backend.quantise(variant, activations, elements)
  const work = await backend.local(variant, values)
  const measured = wrongShare(values, work.signs())
  work.release()
  return { name: activations.layer, measured, predicted: backend.predictedWrong(variant, values) }
}

function wrongShare(values: Values, signs: Uint8Array): number {
  let wrong = 0
  for (let i = 0; i < values.length; i++) if (values[i] >= 0 !== (signs[i] === 1)) wrong++
  return wrong / values.length
}

/** Bytes of one batch over all links. */
export const onlineBytes = ({ online }: CompareCost): number => online.up + online.down + online.helper
export const offlineBytes = ({ offline }: CompareCost): number =>
  offline.clientDown + offline.clientUp + offline.helperToServer
const allBytes = (cost: CompareCost): number => onlineBytes(cost) + offlineBytes(cost)

function markBest(rows: readonly Omit<CompareRow, 'best'>[]): CompareRow[] {
  return rows.map((row) => {
    const rivals = rows.filter(
      ({ backend, operation, bits }) => backend === row.backend && operation === row.operation && bits === row.bits,
    )
    const best: ('bytes' | 'time')[] = []
    if (rivals.every((other) => allBytes(row) <= allBytes(other))) best.push('bytes')
    if (rivals.every((other) => row.endToEnd.perSecond >= other.endToEnd.perSecond)) best.push('time')
    return { ...row, best }
  })
}

/** In the order of their rows. */
export const backendsOf = (rows: readonly CompareRow[]): string[] => [...new Set(rows.map(({ backend }) => backend))]

/** Comparisons alone, one row per bit count: the best of its shapes. */
export function bestRows(rows: readonly CompareRow[], backend: string, criterion: 'bytes' | 'time'): CompareRow[] {
  const alone = rows.filter((row) => row.backend === backend && row.operation === 'comparison')
  const counts = [...new Set(alone.map(({ bits }) => bits))]
  return counts.map((bits) => {
    const shapes = alone.filter((row) => row.bits === bits)
    return shapes.find(({ best }) => best.includes(criterion)) ?? shapes[0]
  })
}
