// `npm run bench -- guard`: what a guarded plan costs beside the same network unguarded, in turns; how many honest
// inferences are refused; and the published attacks on either.
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { guardEpsilon } from '../../src/plan/guard.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { type AttackOutcome, attackLabels, attackLastLayer, attackNetwork } from '../../test/fixtures/attacks.js'
import { prepareWorkload, type Workload } from '../../test/fixtures/workloads.js'
import { type Measured, measure } from '../processes/parties.js'
import { median, megabytes, milliseconds, table } from '../report.js'
import { type HonestRow, honestRuns } from './honest.js'

interface Side {
  online: { ms: number; flights: number; bytes: number }
  offline: { ms: number; helperToServer: number; clientUp: number }
}

interface GuardReport {
  network: string
  plain: Side
  guarded: Side
  /** Guarded to plain, medians over rounds of both. */
  ratio: { onlineMs: number; onlineBytes: number; offlineMs: number; helperToServer: number }
  /** The same on-line bytes with one comparison per block of 4×4. */
  blocks: { onlineBytes: number }
  epsilonLog2: number
  honest: number
  refused: number
  attacks: AttackOutcome[]
}

const OPTIONS = { ring: 32, bits: 16, lo: 0 } as const
const plainOf = (name: Workload['name']): Workload => ({ name, options: OPTIONS })
const guardedOf = (name: Workload['name']): Workload => ({ name, options: { ...OPTIONS, guard: {} } })

const sideOf = (measured: readonly Measured[]): Side => {
  const runs = measured.flatMap((each) => each.runs)
  const [{ bytes }] = measured
  return {
    online: {
      ms: median(runs.map(({ onlineMs }) => onlineMs)),
      flights: bytes.online.flights,
      bytes: bytes.online.up + bytes.online.down,
    },
    offline: {
      ms: median(runs.map(({ offlineMs }) => offlineMs)),
      helperToServer: bytes.offline.helperToServer,
      clientUp: bytes.offline.clientUp,
    },
  }
}

export const GUARD = {
  name: 'bench guard',
  summary: 'A guarded plan beside the plain one, and the attacks on either.',
  flags: {
    quick: { type: 'boolean', description: 'a smaller network, few rounds, 1,000 honest inferences' },
    honest: {
      type: 'string',
      valueHint: 'N',
      description: 'nothing but N honest inferences of small networks, and how many were refused',
    },
  },
} as const

export async function benchGuard(flags: Flags): Promise<void> {
  const [json, quick] = [flags.on('json'), flags.on('quick')]
  const honest = flags.integer('honest', 1, 10_000_000)
  flags.check()
  if (honest === undefined) await compareBoth(json, quick)
  else {
    const rows = await honestRuns(honest)
    process.stdout.write(json ? `${JSON.stringify({ rows, ...summed(rows) })}\n` : `${honestText(rows)}\n`)
  }
}

const summed = (rows: readonly HonestRow[]): { honest: number; refused: number } => {
  const sum = (key: 'honest' | 'refused') => rows.reduce((all, row) => all + row[key], 0)
  return { honest: sum('honest'), refused: sum('refused') }
}

const honestText = (rows: readonly HonestRow[]): string =>
  table(
    ['network', 'honest inferences', 'refused'],
    rows.map(({ network, honest, refused }) => [network, `${honest}`, `${refused}`]),
  )

async function compareBoth(json: boolean, quick: boolean): Promise<void> {
  const name: Workload['name'] = quick ? 'resnet20-cifar10' : 'resnet18-cifar100'
  const rounds: [Measured, Measured][] = []
  for (let round = 0; round < (quick ? 2 : 5); round++) {
    const job = { warmup: 1, runs: quick ? 3 : 5 }
    rounds.push([
      await measure({ ...job, workload: plainOf(name) }),
      await measure({ ...job, workload: guardedOf(name) }),
    ])
  }
  const ratioOf = (value: (side: Side) => number) =>
    median(rounds.map(([plain, guarded]) => value(sideOf([guarded])) / value(sideOf([plain]))))
  const { compiled } = prepareWorkload(guardedOf(name))
  const plan = compiled.plan as MccPlan
  const report: GuardReport = {
    network: name,
    plain: sideOf(rounds.map(([plain]) => plain)),
    guarded: sideOf(rounds.map(([, guarded]) => guarded)),
    ratio: {
      onlineMs: ratioOf(({ online }) => online.ms),
      onlineBytes: ratioOf(({ online }) => online.bytes),
      offlineMs: ratioOf(({ offline }) => offline.ms),
      helperToServer: ratioOf(({ offline }) => offline.helperToServer),
    },
    blocks: { onlineBytes: await blocksRatio(name) },
    epsilonLog2: guardEpsilon(plan, plan.guard!),
    ...summed(await honestRuns(quick ? 1000 : 100_000)),
    attacks: [await attackLastLayer(), await attackNetwork(), await attackLabels()],
  }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
}

/** With one comparison for every 4×4 elements, 6.25 % of them. */
async function blocksRatio(name: Workload['name']): Promise<number> {
  const blocked = (workload: Workload) => measure({ workload: { ...workload, block: [4, 4] }, warmup: 0, runs: 1 })
  const [plain, guarded] = [sideOf([await blocked(plainOf(name))]), sideOf([await blocked(guardedOf(name))])]
  return guarded.online.bytes / plain.online.bytes
}

function text(report: GuardReport): string {
  const { plain, guarded, ratio } = report
  const rows = [
    [
      'on line',
      milliseconds(plain.online.ms),
      milliseconds(guarded.online.ms),
      `${ratio.onlineMs.toFixed(2)}×`,
      '≤ 1.8×',
    ],
    ['flights', `${plain.online.flights}`, `${guarded.online.flights}`, '', 'the same'],
    [
      'bytes on line',
      megabytes(plain.online.bytes),
      megabytes(guarded.online.bytes),
      `${ratio.onlineBytes.toFixed(2)}×`,
      '≤ 8.2 MB',
    ],
    ['  4×4 blocks', '', '', `${report.blocks.onlineBytes.toFixed(2)}×`, '≤ 1.55×'],
    [
      'off line',
      milliseconds(plain.offline.ms),
      milliseconds(guarded.offline.ms),
      `${ratio.offlineMs.toFixed(2)}×`,
      '≤ 2.2×',
    ],
    [
      'helper to server',
      megabytes(plain.offline.helperToServer),
      megabytes(guarded.offline.helperToServer),
      `${ratio.helperToServer.toFixed(2)}×`,
      '≤ 60 MB',
    ],
    ['client up', megabytes(plain.offline.clientUp), megabytes(guarded.offline.clientUp), '', ''],
  ]
  const attacks = report.attacks.map(({ name, weights, plainRecovered, guardedRecovered, caughtAtInference }) => [
    name,
    `${plainRecovered} of ${weights}`,
    `${guardedRecovered}`,
    caughtAtInference === null ? 'never' : `inference ${caughtAtInference}`,
  ])
  return [
    `${report.network}, random weights, n = 32, n' = 16, σ = 16; three processes, in turns, medians`,
    '',
    table(['per inference', 'plain', 'guarded', 'ratio', 'target'], rows),
    '',
    `a deviation passes with 2^${report.epsilonLog2.toFixed(1)} at best; ${report.refused} of ${report.honest} honest inferences refused`,
    '',
    table(['attack', 'weights read, plain', 'guarded', 'caught at'], attacks),
  ].join('\n')
}
