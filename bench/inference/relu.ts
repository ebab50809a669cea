// `npm run bench -- relu`: 2^16 ReLUs at once, client and server over loopback, helper in a third process. The run
// includes masking the input and opening the output, so the rates are those of a whole one-layer inference.
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { measure } from '../processes/parties.js'
import { median, table } from '../report.js'
import { BASELINE_FLAGS, baseline } from './baseline.js'
import { PlainNetwork, type Ratio, type References } from './references.js'

export interface ReluRow {
  k: number
  values: number
  online: { ms: number; bestMs: number; perSecond: number }
  withDealing: { ms: number; bestMs: number; perSecond: number }
  references: References
  ratio: Ratio
  best: Ratio
}

const VALUES = 65_536

export const RELU = {
  name: 'bench relu',
  summary: '2^16 ReLUs at once over loopback.',
  flags: { quick: { type: 'boolean', description: 'a rough look' }, ...BASELINE_FLAGS },
} as const

export async function benchRelu(flags: Flags): Promise<ReluRow[]> {
  const quick = flags.on('quick')
  const files = { compare: flags.text('compare'), save: flags.text('save') }
  flags.check()
  const rows: ReluRow[] = []
  for (const k of [8, 16]) {
    const workload = { name: 'relu-65536', options: { ring: 32, bits: 16, lo: 16 - k } } as const
    const plain = await PlainNetwork.of(workload)
    const { runs } = await measure({ workload, warmup: 5, runs: quick ? 5 : 120 }, () => plain.sample())
    const rate = (ms: number[]) => ({
      ms: median(ms),
      bestMs: Math.min(...ms),
      perSecond: VALUES / (median(ms) / 1000),
    })
    const [online, offline] = [runs.map((run) => run.onlineMs), runs.map((run) => run.offlineMs)]
    rows.push({
      k,
      values: VALUES,
      online: rate(online),
      withDealing: rate(runs.map((run) => run.onlineMs + run.offlineMs)),
      references: plain.references,
      ...plain.ratios({ online, offline }),
    })
  }
  process.stdout.write(flags.on('json') ? `${JSON.stringify({ relu: rows })}\n` : `${text(rows)}\n`)
  baseline(Object.fromEntries(rows.map(({ k, ratio }) => [`k${k}`, { ratio: { ...ratio } }])), files)
  return rows
}

function text(rows: readonly ReluRow[]): string {
  const million = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} M/s`
  const cells = rows.flatMap(({ k, online, withDealing }) => [
    [`k = ${k}`, 'on line', `${online.ms.toFixed(2)} ms`, million(online.perSecond), '≥ 4 M/s'],
    [`k = ${k}`, 'with dealing', `${withDealing.ms.toFixed(2)} ms`, million(withDealing.perSecond), '≥ 1.5 M/s'],
  ])
  const plain = rows.map(({ k, references: { tfjsMs, floatMs }, ratio, best }) => [
    `k = ${k}`,
    ...[tfjsMs, floatMs].map((ms) => `${(1000 * ms).toFixed(0)} µs`),
    ...[ratio, best].flatMap(({ online, offline }) => [online, offline].map((times) => times.toFixed(0))),
  ])
  const head = ['window', 'tfjs', 'own float engine', 'on line', 'off line', 'on line, bests', 'off line, bests']
  return [
    '65,536 ReLUs at once, medians',
    table(['window', 'phase', 'time', 'rate', 'target'], cells),
    'The same in plain text, in turns with the private ones, and how many times as long these take as in tfjs:',
    table(head, plain),
  ].join('\n\n')
}
