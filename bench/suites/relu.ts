// `npm run bench -- relu`: 2^16 ReLUs at once, client and server over loopback, helper in a third process. The run
// includes masking the input and opening the output, so the rates are those of a whole one-layer inference.
import { measure } from '../processes/parties.js'
import { median, table } from '../report.js'

export interface ReluRow {
  k: number
  values: number
  online: { ms: number; bestMs: number; perSecond: number }
  withDealing: { ms: number; bestMs: number; perSecond: number }
}

const VALUES = 65_536

export async function benchRelu({ json = false, quick = false } = {}): Promise<ReluRow[]> {
  const rows: ReluRow[] = []
  for (const k of [8, 16]) {
    const workload = { name: 'relu-65536', options: { ring: 32, bits: 16, lo: 16 - k } } as const
    const { runs } = await measure({ workload, warmup: 5, runs: quick ? 5 : 40 })
    const rate = (ms: number[]) => ({
      ms: median(ms),
      bestMs: Math.min(...ms),
      perSecond: VALUES / (median(ms) / 1000),
    })
    rows.push({
      k,
      values: VALUES,
      online: rate(runs.map((run) => run.onlineMs)),
      withDealing: rate(runs.map((run) => run.onlineMs + run.offlineMs)),
    })
  }
  process.stdout.write(json ? `${JSON.stringify({ relu: rows })}\n` : `${text(rows)}\n`)
  return rows
}

function text(rows: readonly ReluRow[]): string {
  const million = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} M/s`
  const cells = rows.flatMap(({ k, online, withDealing }) => [
    [`k = ${k}`, 'on line', `${online.ms.toFixed(2)} ms`, million(online.perSecond), '≥ 4 M/s'],
    [`k = ${k}`, 'with dealing', `${withDealing.ms.toFixed(2)} ms`, million(withDealing.perSecond), '≥ 1.5 M/s'],
  ])
  return `65,536 ReLUs at once, medians\n\n${table(['window', 'phase', 'time', 'rate', 'target'], cells)}`
}
