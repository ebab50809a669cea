// `npm run bench -- delegate`: what the owner of an input waits for and sends, beside a direct client of the same network in the
// same run, one inference of each in turn; then how many owners one and four connections of a delegate serve.
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { shapedFetch } from '../../src/net/exchange/shaped-fetch.js'
import { connect, Meter, type NetworkProfile, networkProfiles, Phase, shape, wait } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import { meteredFetch } from '../../src/thin/metered.js'
import { ThinClient } from '../../src/thin/thin-client.js'
import { prepareWorkload, sampleInput, type Workload } from '../../test/fixtures/workloads.js'
import { median, milliseconds, table } from '../report.js'
import { Process, withDelegate } from './parties.js'

/** Medians for one picture. */
export interface Compared {
  readonly network: string
  readonly profile: string
  readonly runs: number
  readonly direct: {
    readonly ms: number
    readonly bytesUp: number
    readonly bytesDown: number
    readonly bytesBefore: number
  }
  readonly delegated: {
    readonly ms: number
    readonly bytesUp: number
    readonly bytesDown: number
    readonly bytesBefore: number
    readonly roundTrips: number
  }
}

/** Many owners at once, preparation included. */
export interface Throughput {
  readonly connections: number
  readonly owners: number
  readonly perSecond: number
  /** Of server, delegate and helper. */
  readonly cpuSecondsEach: number
}

export interface DelegateReport extends Compared {
  readonly loopback: Compared
  readonly throughput: readonly Throughput[]
  readonly thinBytesGzip: number
}

const LATENCY: Workload = { name: 'resnet18-cifar100', options: { ring: 32, bits: 16, lo: 0 } }
const LOAD: Workload = { name: 'round-trips', options: { ring: 32, bits: 16, lo: 0 } }
const OWNERS = 32

export async function benchDelegate({ json = false, quick = false } = {}): Promise<DelegateReport> {
  const wan = await compared(quick ? 1 : 5, 'wan60')
  const loopback = await compared(quick ? 1 : 5, undefined)
  const throughput: Throughput[] = []
  for (const connections of [1, 4]) throughput.push(await loaded(connections, quick ? 1 : 3))
  const report = { ...wan, loopback, throughput, thinBytesGzip: await thinBytes() }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
  return report
}

function compared(runs: number, name: keyof typeof networkProfiles | undefined): Promise<Compared> {
  const profile: NetworkProfile | undefined = name && networkProfiles[name]
  return withDelegate(
    { workload: LATENCY },
    { connections: 1, high: 1 },
    async ({ helper, server, delegate, delegateKey }) => {
      const plain = await Process.start({ role: 'server', workload: LATENCY, helper: helper.url })
      try {
        const meter = new Meter()
        const wires = await Promise.all([plain.url, helper.url].map((url) => connect(url)))
        const [toServer, toHelper] = profile ? wires.map((wire) => shape(wire, profile)) : wires
        const direct = await Client.create({ server: toServer, helper: toHelper, meter })
        const counts = { requests: 0, bytesUp: 0, bytesDown: 0 }
        const fetch = meteredFetch(counts, profile && shapedFetch(profile))
        const owner = await ThinClient.create({ server: server.url, delegate: delegate.url, delegateKey, fetch })
        const { arch } = prepareWorkload(LATENCY)
        const input = sampleInput(arch, 1)
        const times: { direct: number[]; delegated: number[] } = { direct: [], delegated: [] }
        const before = { ...counts }
        for (let i = -1; i < runs; i++) {
          if (i === 0) Object.assign(before, counts)
          if (i === 0) for (const phase of [Phase.offline, Phase.online]) meter.reset(phase)
          await direct.prepare(1)
          await until(async () => (await delegate.standing()).prepared > 0)
          await wait(50) // what was prepared is at rest
          const { milliseconds: direct1 } = await direct.run(input)
          const { milliseconds: delegated1 } = await owner.run(input)
          if (i < 0) continue
          times.direct.push(direct1)
          times.delegated.push(delegated1)
        }
        const { server: link, helper: dealt } = meter.report().links
        await direct.release()
        return {
          network: LATENCY.name,
          profile: name ?? 'loopback',
          runs,
          direct: {
            ms: median(times.direct),
            bytesUp: link.online.bytesSent / runs,
            bytesDown: link.online.bytesReceived / runs,
            bytesBefore: (link.offline.bytesSent + dealt.offline.bytesSent) / runs,
          },
          delegated: {
            ms: median(times.delegated),
            bytesUp: (counts.bytesUp - before.bytesUp) / runs,
            bytesDown: (counts.bytesDown - before.bytesDown) / runs,
            bytesBefore: 0,
            roundTrips: 1,
          },
        }
      } finally {
        plain.stop()
      }
    },
  )
}

function loaded(connections: number, rounds: number): Promise<Throughput> {
  return withDelegate(
    { workload: LOAD },
    { connections, high: connections },
    async ({ helper, server, delegate, delegateKey }) => {
      const { arch } = prepareWorkload(LOAD)
      const input = sampleInput(arch, 1)
      const order = { server: server.url, delegate: delegate.url, delegateKey }
      const owners = await Promise.all(Array.from({ length: OWNERS }, () => ThinClient.create(order)))
      const cpu = async () => {
        const all = await Promise.all([helper, server, delegate].map((each) => each.standing()))
        return all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
      }
      await owners[0].run(input)
      const [used, began] = [await cpu(), performance.now()]
      for (let i = 0; i < rounds; i++) await Promise.all(owners.map((owner) => owner.run(input)))
      const inferences = OWNERS * rounds
      const seconds = (performance.now() - began) / 1000
      return {
        connections,
        owners: OWNERS,
        perSecond: inferences / seconds,
        cpuSecondsEach: ((await cpu()) - used) / inferences,
      }
    },
  )
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await wait(20)
}

/** A page's part, dependencies included, as it is shipped. */
async function thinBytes(): Promise<number> {
  const { build } = await import('esbuild')
  const resolveDir = fileURLToPath(new URL('../..', import.meta.url))
  const result = await build({
    stdin: { contents: "export { ThinClient } from 'ringfence/thin'", resolveDir },
    ...{ bundle: true, minify: true, write: false, format: 'esm', platform: 'browser', logLevel: 'error' },
  })
  return gzipSync(result.outputFiles[0].contents, { level: 9 }).byteLength
}

function text(report: DelegateReport): string {
  const both = [report.loopback, report]
  const row = (name: string, target: string, cell: (one: Compared) => string) => [name, ...both.map(cell), target]
  const rows = [
    row('direct client', '', ({ direct }) => milliseconds(direct.ms)),
    row('owner, delegated', '60 ms: ≤ 200 ms', ({ delegated }) => milliseconds(delegated.ms)),
    row('delegated / direct', 'loopback: ≤ 1.15', ({ direct, delegated }) => (delegated.ms / direct.ms).toFixed(2)),
    row('owner up', '≤ 13 kB', ({ delegated }) => `${delegated.bytesUp} B`),
    row('owner down', '≤ 1 kB', ({ delegated }) => `${delegated.bytesDown} B`),
    row('direct, on line', '', ({ direct }) => `${Math.round((direct.bytesUp + direct.bytesDown) / 1000)} kB`),
    row('direct, before', '', ({ direct }) => `${Math.round(direct.bytesBefore / 1000)} kB`),
  ]
  const heads = ['per picture', ...both.map(({ profile }) => profile), 'target']
  const load = report.throughput.map(({ connections, perSecond, cpuSecondsEach }) => [
    `${connections}`,
    perSecond.toFixed(1),
    `${(cpuSecondsEach * 1000).toFixed(0)} ms`,
  ])
  return [
    `${report.network}, median of ${report.runs}, one of each in turn; delegate and server on loopback`,
    table(heads, rows),
    `${OWNERS} owners at once, ${LOAD.name}, preparation included`,
    table(['connections', 'inferences/s', 'processor each'], load),
    `a thin client: ${(report.thinBytesGzip / 1000).toFixed(1)} kB gzipped`,
  ].join('\n\n')
}
