// `npm run bench -- distortion`: a whole distortion table of ResNet-8, nine candidates and 32 inputs, on every core.
import { availableParallelism } from 'node:os'
import { parseArchitecture } from '../../src/model/architecture.js'
import { COMMON_BLOCKS, distortion } from '../../src/tune/distortion/distortion.js'
import { startThreads } from '../../src/tune/workers/pool.node.js'
import { randomWeights } from '../../test/fixtures/networks.js'
import { vectors } from '../../test/fixtures/vectors.js'
import { sampleInput } from '../../test/fixtures/workloads.js'
import { median, table } from '../report.js'

export interface DistortionRow {
  readonly network: string
  readonly images: number
  readonly candidates: number
  readonly threads: number
  /** Median, threads' start included. */
  readonly seconds: number
  /** Networks run from a changed layer on, per second. */
  readonly runsPerSecond: number
  /** Processor time of this process by its threads and the time: near 1 on an idle machine. */
  readonly busy: number
  readonly target: number
  readonly met: boolean
}

const IMAGES = 32
/** Seconds on two cores. */
const TARGET = 10

export async function benchDistortion({ json = false, quick = false } = {}): Promise<DistortionRow[]> {
  const arch = parseArchitecture(vectors('examples/resnet8-cifar10.arch.json'))
  const weights = randomWeights(arch, 1)
  const inputs = Array.from({ length: IMAGES }, (_, i) => sampleInput(arch, i + 1))
  const rows: DistortionRow[] = []
  for (const threads of new Set([1, 2, availableParallelism()])) {
    const times: number[] = []
    const busy: number[] = []
    let runs = 0
    for (let run = 0; run < (quick ? 1 : 3); run++) {
      const [since, before] = [performance.now(), process.cpuUsage()]
      const { layers } = await distortion(arch, weights, inputs, { startPool: startThreads(threads) })
      const ms = performance.now() - since
      const { user, system } = process.cpuUsage(before)
      times.push(ms / 1000)
      busy.push((user + system) / 1000 / ms / threads)
      const values = [...layers.values()].reduce((sum, layer) => sum + layer.values.length, 0)
      runs = (values * (COMMON_BLOCKS.length - 1) * IMAGES) / COMMON_BLOCKS.length
    }
    const seconds = median(times)
    const met = seconds <= TARGET
    const figures = { seconds, runsPerSecond: runs / seconds, busy: median(busy), target: TARGET, met }
    rows.push({ network: arch.name, images: IMAGES, candidates: COMMON_BLOCKS.length, threads, ...figures })
  }
  process.stdout.write(json ? `${JSON.stringify({ distortion: rows })}\n` : `${text(rows)}\n`)
  return rows
}

function text(rows: readonly DistortionRow[]): string {
  const head = ['network', 'images', 'candidates', 'threads', 'time', 'runs/s', 'busy', 'target on two', 'met']
  const body = rows.map((r) => [
    ...[r.network, `${r.images}`, `${r.candidates}`, `${r.threads}`, `${r.seconds.toFixed(2)} s`],
    ...[r.runsPerSecond.toFixed(0), r.busy.toFixed(2), `${r.target} s`],
    r.threads === 2 ? (r.met ? 'yes' : 'NO') : '',
  ])
  return table(head, body)
}
