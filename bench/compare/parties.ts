// One batch end to end: a role's part over its links, and what the three parts' meters add up to.
import { type Channel, Link, Meter, type MeterReport, networkProfiles, shape } from '../../src/net/index.js'
import type { Backend, CompareCost, Role, Variant } from './backend.js'
import { emulated } from './network.js'

export type ProfileName = keyof typeof networkProfiles

export interface Job {
  readonly variant: Variant
  readonly elements: number
  readonly warmup: number
  readonly runs: number
  /** Emulated between all parties; none is the bare channels. */
  readonly profile?: ProfileName
}

export interface PartReport {
  /** Of every run after the warm-up. */
  readonly milliseconds: readonly number[]
  readonly links: MeterReport['links']
}

/** Ends of a role's channels, by the role at the other end. */
export type Ends = Readonly<Partial<Record<Role, Channel>>>

const LIMIT = 2 ** 30

/** Plays one role of a job to its end, then closes its channels. */
export async function playPart(backend: Backend, role: Role, job: Job, ends: Ends): Promise<PartReport> {
  const meter = new Meter()
  const links: Partial<Record<Role, Link>> = {}
  for (const [name, channel] of Object.entries(ends) as [Role, Channel][]) {
    const line = job.profile && emulated(networkProfiles[job.profile], role, name)
    const wire = line ? shape(channel, { ...line, inboxLimit: LIMIT }) : channel
    links[name] = new Link(wire, { name, meter, deadlineMs: 60_000, maxFrame: LIMIT })
  }
  const values = backend.uniform(job.variant, job.elements)
  const party = await backend.party(role, job.variant, values, links)
  const milliseconds: number[] = []
  for (let i = 0; i < job.warmup + job.runs; i++) {
    await party.ready?.()
    const started = performance.now()
    await party.run()
    if (i >= job.warmup) milliseconds.push(performance.now() - started)
  }
  party.release()
  for (const link of Object.values(links)) link.close()
  return { milliseconds, links: meter.report().links }
}

export type PartReports = Readonly<Record<Role, PartReport>>

/** Milliseconds of every run: as long as the slowest of the clocks that count. */
export const batchTimes = ({ timed }: Backend, parts: PartReports): number[] =>
  parts[timed[0]].milliseconds.map((_, i) => Math.max(...timed.map((role) => parts[role].milliseconds[i])))

/**
 * Bytes of one batch, as the meters of three parties show them.
 * @param flights counted apart: no party sees the waves of all links
 */
export function metered({ client, server }: PartReports, { warmup, runs }: Job, flights: number): CompareCost {
  const each = (count: number) => count / (warmup + runs)
  const both = (traffic?: { bytesSent: number; bytesReceived: number }) =>
    traffic ? traffic.bytesSent + traffic.bytesReceived : 0
  const main = client.links.server
  const [mine, theirs] = [client.links.helper, server.links.helper]
  return {
    online: {
      up: each(main.online.bytesSent),
      down: each(main.online.bytesReceived),
      helper: each(both(mine?.online) + both(theirs?.online)),
      flights,
    },
    offline: {
      clientDown: main.offline.bytesReceived + (mine?.offline.bytesReceived ?? 0),
      clientUp: main.offline.bytesSent + (mine?.offline.bytesSent ?? 0),
      helperToServer: theirs?.offline.bytesReceived ?? 0,
    },
  }
}

/** Throws when the meters show anything but the declared cost. */
export function expectDeclared(variant: Variant, declared: CompareCost, measured: CompareCost): void {
  const figures = (cost: CompareCost): [string, number][] => [
    ...Object.entries(cost.online).map(([name, value]): [string, number] => [`on line ${name}`, value]),
    ...Object.entries(cost.offline).map(([name, value]): [string, number] => [`off line ${name}`, value]),
  ]
  const meters = new Map(figures(measured))
  const faults = figures(declared).filter(([name, value]) => meters.get(name) !== value)
  if (faults.length === 0) return
  const shaped = variant.shape.length > 0 ? `, shape ${variant.shape.join('+')}` : ''
  const what = `${variant.backend} ${variant.operation} of ${variant.bits} bits${shaped}`
  const list = faults.map(([name, value]) => `${name} ${value} declared, ${meters.get(name)} measured`)
  throw new Error(`${what}: ${list.join('; ')}`)
}
