// `npm run bench -- guard`: what a guarded plan costs beside the same network unguarded, in turns; how many honest
// inferences are refused; and the published attacks on either.
import type { ConvGeometry } from '../../src/kernels/geometry.js'
import type { Compiled } from '../../src/plan/compile/compile.js'
import { guardEpsilon, guardOf } from '../../src/plan/guard.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { localParties } from '../../src/testing.js'
import { type AttackOutcome, attackLastLayer, attackNetwork } from '../../test/fixtures/attacks.js'
import { prepareWorkload, type Workload } from '../../test/fixtures/workloads.js'
import { type Measured, measure } from '../processes/parties.js'
import { median, megabytes, milliseconds, table } from '../report.js'

interface Side {
  online: { ms: number; flights: number; bytes: number }
  offline: { ms: number; helperToServer: number; clientUp: number }
}

export interface GuardReport {
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

export async function benchGuard({ json = false, quick = false } = {}): Promise<GuardReport> {
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
    ...(await honestRuns(quick ? 1000 : 100_000)),
    attacks: [await attackLastLayer(), await attackNetwork()],
  }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
  return report
}

/** With one comparison for every 4×4 elements, 6.25 % of them. */
async function blocksRatio(name: Workload['name']): Promise<number> {
  const blocked = (workload: Workload) => measure({ workload: { ...workload, block: [4, 4] }, warmup: 0, runs: 1 })
  const [plain, guarded] = [sideOf([await blocked(plainOf(name))]), sideOf([await blocked(guardedOf(name))])]
  return guarded.online.bytes / plain.online.bytes
}

/** A client that follows the protocol, as often as it takes to see that nobody honest is refused. */
async function honestRuns(count: number): Promise<{ honest: number; refused: number }> {
  const parties = await localParties(tiny())
  let refused = 0
  try {
    for (let done = 0; done < count; done += 50) {
      await parties.client.prepare(50)
      for (let i = 0; i < 50; i++) {
        const x = Float32Array.from({ length: 4 }, (_, j) => ((done * 31 + i * 7 + j * 13) % 2001) / 1000 - 1)
        await parties.client.run(x).catch(() => refused++)
      }
    }
  } finally {
    await parties.release()
  }
  return { honest: count, refused }
}

/** Four values, a clip (two comparisons each) and an output. */
function tiny(): Compiled<MccPlan> {
  const shape = [4, 1, 1] as const
  const geometry: ConvGeometry = {
    ...{ cin: 4, h: 1, w: 1, cout: 4, groups: 4 },
    ...{ kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], dilation: [1, 1] },
  }
  const plan: MccPlan = {
    ...{ format: 'plan/1', backend: 'mcc', network: 'tiny', ring: 32, rounds: 12, labels: [] },
    input: { shape, scale: 10, bits: 16, preprocess: { scale: 1, mean: [0], std: [1] } },
    steps: [
      {
        ...{ id: 'clip', out: shape, scale: 4 },
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'w', geometry, scale: 0, out: shape },
        ],
        activation: {
          ...{ truncate: 6, bits: 16, lo: 0, chunks: [4, 4, 4, 4], relu: { kind: 'relu' } },
          bends: { shifts: [0, -8], sum: { signs: [1, -1], plus: 0 } },
        },
      },
      {
        ...{ id: 'out', out: shape, scale: 4, activation: null },
        linear: [
          { op: 'tensor', tensor: 1, out: shape },
          { op: 'lift', of: 0, factor: 1, out: shape },
        ],
      },
    ],
  }
  const model = {
    weights: new Map([['0.1', Int32Array.of(3, -5, 7, 2)]]),
    bias: [Int32Array.of(9, -90, 900, -9), new Int32Array(4)],
  }
  return { plan: { ...plan, guard: guardOf(plan, 16) }, model }
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
