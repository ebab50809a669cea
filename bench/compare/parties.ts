// One batch end to end: a role's part over its links, and what the three parts' meters add up to.
import {
  type Channel,
  Link,
  Meter,
  type MeterReport,
  type NetworkProfile,
  networkProfiles,
  shape,
} from '../../src/net/index.js'
import type { Backend, CompareCost, Role, Variant } from './backend.js'

export type ProfileName = keyof typeof networkProfiles

export interface Job {
  readonly variant: Variant
  readonly elements: number
  readonly warmup: number
  readonly runs: number
  /** Emulated on the client's links; none is the bare channel. */
  readonly profile?: ProfileName
}

export interface PartReport {
  /** Of every run after the warm-up. The server's count: it starts a batch and ends with the result. */
  readonly milliseconds: readonly number[]
  readonly links: MeterReport['links']
}

/** Ends of a role's channels, by the role at the other end. */
export type Ends = Readonly<Partial<Record<Role, Channel>>>

/** Plays one role of a job to its end, then closes its channels. */
export async function playPart(backend: Backend, role: Role, job: Job, ends: Ends): Promise<PartReport> {
  const meter = new Meter()
  const links: Partial<Record<Role, Link>> = {}
  for (const [name, channel] of Object.entries(ends) as [Role, Channel][]) {
    const profile: NetworkProfile | undefined = job.profile && networkProfiles[job.profile]
    const wire = role === 'client' && profile ? shape(channel, profile) : channel
    links[name] = new Link(wire, { name, meter, deadlineMs: 60_000, maxFrame: 2 ** 30 })
  }
  const values = backend.uniform(job.variant, job.elements)
  const party = await backend.party(role, job.variant, values, links)
  const milliseconds: number[] = []
  for (let i = 0; i < job.warmup + job.runs; i++) {
    const started = performance.now()
    await party.run()
    if (i >= job.warmup) milliseconds.push(performance.now() - started)
  }
  party.release()
  for (const link of Object.values(links)) link.close()
  return { milliseconds, links: meter.report().links }
}

export type PartReports = Readonly<Record<Role, PartReport>>

/** Bytes and waves of one batch, as the meters of three parties show them. */
export function metered({ client, server }: PartReports, { warmup, runs }: Job): CompareCost {
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
      flights: each(main.online.flights),
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
  const what = `${variant.backend} ${variant.operation} of ${variant.bits} bits, shape ${variant.shape.join('+')}`
  const list = faults.map(([name, value]) => `${name} ${value} declared, ${meters.get(name)} measured`)
  throw new Error(`${what}: ${list.join('; ')}`)
}

/** Seconds of one batch under a network: the work, each wave's half round trip, each byte's time on the wire. */
export function secondsUnder(
  { rttMs, upBitsPerSecond, downBitsPerSecond }: NetworkProfile,
  cost: CompareCost,
  workMs: number,
) {
  const { up, down, flights } = cost.online
  return workMs / 1000 + (flights * rttMs) / 2000 + (up * 8) / upBitsPerSecond + (down * 8) / downBitsPerSecond
}
