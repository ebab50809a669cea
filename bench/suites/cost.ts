// `npm run bench -- cost`: what the cost model predicts against what three processes take, on emulated networks.
import { availableParallelism } from 'node:os'
import { type NetworkProfile, networkProfiles } from '../../src/net/index.js'
import { measureMachine } from '../../src/tune/cost/measure.js'
import { type CostPrediction, type MachineModel, predict } from '../../src/tune/cost/predict.js'
import { prepareWorkload, type Workload } from '../../test/fixtures/workloads.js'
import { measureLinks } from '../processes/links.js'
import { type Measured, measure } from '../processes/parties.js'
import { median, table } from '../report.js'

export { echoMessages } from '../processes/links.js'

type ProfileName = keyof typeof networkProfiles

export interface CostRow {
  network: string
  backend: string
  profile: ProfileName
  online: Comparison
  /** Preparation and inference, one right after the other. */
  whole: Comparison
  /** Whether bytes and flights were as predicted. */
  exact: boolean
}

interface Comparison {
  predictedMs: number
  /** Median, and best. */
  measuredMs: number
  bestMs: number
  /** Of the prediction, relative to the median. */
  error: number
}

export interface CostReport {
  machine: MachineModel
  rows: CostRow[]
}

const BLOCKS: Pick<Workload, 'block'> = { block: [4, 4] }
const WORKLOADS: readonly Workload[] = [
  { name: 'resnet20-cifar10', options: { ring: 32, bits: 16, lo: 0 } },
  { name: 'wrn16-2-cifar10', options: { ring: 28, bits: 14, lo: 2 } },
  { name: 'vgg11-cifar10', options: { ring: 32, bits: 16, lo: 0 } },
  { name: 'mobilenetv2-cifar10', options: { ring: 32, bits: 16, lo: 0 } },
  { name: 'resnet18-cifar100', options: { ring: 32, bits: 16, lo: 0 }, ...BLOCKS },
  { name: 'resnet20-cifar10', options: { backend: 'securenn', ignoredMsb: 48, ignoredLsb: 4 }, ...BLOCKS },
]
const PROFILES: readonly ProfileName[] = ['lan', 'wan60', 'mobile80']
/** The benches shape the link of client and server alone; the helper's are loopback. */
const LOOPBACK: NetworkProfile = {
  rttMs: 0,
  upBitsPerSecond: Number.POSITIVE_INFINITY,
  downBitsPerSecond: Number.POSITIVE_INFINITY,
}
const TARGET = 0.15

async function row(workload: Workload, name: ProfileName, machine: MachineModel, runs: number): Promise<CostRow> {
  const { compiled } = prepareWorkload(workload)
  const profile = networkProfiles[name]
  const links = { profile, clientHelperProfile: LOOPBACK, helperProfile: LOOPBACK }
  const prediction = predict(compiled.plan, { ...links, machine, cores: availableParallelism() })
  const { seconds } = prediction.total
  const job = { workload, warmup: 1, runs, profile: name }
  const apart = await measure({ ...job, pauseMs: 1000 * seconds.offline + 200 })
  const together = await measure(job)
  return {
    network: `${workload.name}${workload.block ? `, ${workload.block.join('×')} blocks` : ''}`,
    backend: compiled.plan.backend,
    profile: name,
    online: comparison(
      seconds.online,
      apart.runs.map((run) => run.onlineMs),
    ),
    whole: comparison(
      seconds.offline + seconds.online,
      together.runs.map((run) => run.offlineMs + run.onlineMs),
    ),
    exact: isExact(prediction, apart),
  }
}

function comparison(seconds: number, times: readonly number[]): Comparison {
  const [predictedMs, measuredMs] = [seconds * 1000, median(times)]
  return { predictedMs, measuredMs, bestMs: Math.min(...times), error: predictedMs / measuredMs - 1 }
}

/** Off line a client also asks for material, 20 bytes per batch that belong to none of its inferences. */
function isExact({ backend, total }: CostPrediction, { bytes }: Measured): boolean {
  const { up, down, clientHelper, serverHelper, helperServer } = total.online
  const { clientUp, helperToServer } = total.offline
  const online = bytes.online
  const same = online.up === up && online.down === down && online.helper === clientHelper + serverHelper + helperServer
  if (backend === 'securenn') return same
  const asked = bytes.offline.clientUp - clientUp
  return same && online.flights === total.flights && asked === 40 && bytes.offline.helperToServer === helperToServer
}

const EXACT = { ring: 32, bits: 16, lo: 0 } as const
const ROUND_TRIPS: Workload = { name: 'round-trips', options: EXACT }
const RELUS: Workload = { name: 'relu-65536', options: EXACT }

/**
 * What parties take on bare loopback beyond the sum of its parts. Kernels that are measured one by one find their operands
 * in a cache, and two programs that do nothing but answer each other are always awake: an inference of many ReLUs tells by
 * how much all work is slower, one of many tiny layers what every message takes besides.
 */
async function inConcert(alone: MachineModel): Promise<MachineModel> {
  const relus = await beyond(RELUS, alone)
  const machine = slower(alone, 1 + Math.max(0, relus.beyondMs) / relus.busyMs)
  const trips = await beyond(ROUND_TRIPS, machine)
  const receive = machine.link.receive + (Math.max(0, trips.beyondMs) * 1e6) / trips.flights
  return { ...machine, link: { ...machine.link, receive } }
}

async function beyond(workload: Workload, machine: MachineModel) {
  const { runs } = await measure({ workload, warmup: 5, runs: 15, pauseMs: 200 })
  const links = { profile: LOOPBACK, clientHelperProfile: LOOPBACK, helperProfile: LOOPBACK }
  const { total } = predict(prepareWorkload(workload).compiled.plan, {
    ...links,
    machine,
    cores: availableParallelism(),
  })
  const busyMs = total.seconds.online * 1000
  return { busyMs, beyondMs: median(runs.map(({ onlineMs }) => onlineMs)) - busyMs, flights: total.flights }
}

/** All kernels take `factor` times as long. */
function slower(machine: MachineModel, factor: number): MachineModel {
  const scaled = <T>(costs: T): T =>
    typeof costs === 'number'
      ? ((costs * factor) as T)
      : (Object.fromEntries(Object.entries(costs as object).map(([name, cost]) => [name, scaled(cost)])) as T)
  const { ring32, ring64, chacha, mcc, securenn, comparisons, copy } = machine
  return {
    ...machine,
    ...scaled({ ring32, ring64, chacha, mcc, securenn, copy }),
    comparisons: comparisons.map(({ chunks, ...costs }) => ({ chunks, ...scaled(costs) })),
  }
}

export async function benchCost({ json = false, quick = false } = {}): Promise<CostReport> {
  const machine = await inConcert(measureMachine('this machine', await measureLinks()))
  const rows: CostRow[] = []
  for (const workload of quick ? WORKLOADS.slice(0, 1) : WORKLOADS) {
    for (const profile of PROFILES) rows.push(await row(workload, profile, machine, quick ? 2 : 5))
  }
  process.stdout.write(`${json ? JSON.stringify({ machine, rows }) : text(rows)}\n`)
  return { machine, rows }
}

const ms = (value: number): string => value.toFixed(value < 100 ? 1 : 0)
const percent = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value * 100).toFixed(1)} %`

function text(rows: readonly CostRow[]): string {
  const cells = ({ predictedMs, measuredMs, bestMs, error }: Comparison) => [
    ...[ms(predictedMs), ms(measuredMs), ms(bestMs), percent(error)],
  ]
  const body = rows.map((r) => [
    ...[r.network, r.backend, r.profile, ...cells(r.online)],
    ...[...cells(r.whole), r.exact ? 'exact' : 'NOT AS DECLARED'],
  ])
  const met = rows.filter(({ online }) => Math.abs(online.error) <= TARGET).length
  const head = ['network', 'back end', 'profile', 'predicted, ms', 'measured', 'best', 'error']
  const whole = ['with off line', 'measured', 'best', 'error', 'bytes, flights']
  return `${table([...head, ...whole], body)}\n\non line within 15 %: ${met} of ${rows.length}`
}
