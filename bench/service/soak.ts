// `npm run bench -- soak`: helper, server and a few clients that come and go, for an hour: what each process holds, minute
// by minute, and how steeply that rises. Ctrl-C ends it early, with the report of what was seen.

import type { Flags } from '../../src/cli/terminal/arguments.js'
import { RingfenceError } from '../../src/errors.js'
import { table } from '../report.js'
import { freePort, Party, questions } from './service.js'
import { ask, type Outcome, pause, Tally } from './tally.js'

const PARTIES = ['helper', 'server', 'clients'] as const
const HOLDINGS = ['rss', 'heap', 'wasm'] as const
type Holdings = Readonly<Record<(typeof HOLDINGS)[number], number>>
/** Megabytes of each process at a time. */
type Sample = { readonly minutes: number; readonly answers: number } & Readonly<
  Record<(typeof PARTIES)[number], Holdings>
>

interface Slope {
  /** Megabytes per hour, and the standard error of that. */
  readonly perHour: number
  readonly error: number
}

export interface SoakReport extends Outcome {
  readonly model: string
  readonly clients: number
  readonly minutes: number
  readonly slopes: Readonly<Record<(typeof PARTIES)[number], Readonly<Record<(typeof HOLDINGS)[number], Slope>>>>
}

/** Caches and heaps fill first. */
const WARM_UP = 0.2
/** Answers after which a client leaves and another comes: sessions end as well as inferences. */
const STAY = 20
const MB = 1e6

export const SOAK = {
  name: 'bench soak',
  summary:
    'A few clients for an hour: what helper, server and clients hold, minute by minute, and how steeply that rises.',
  flags: {
    minutes: { type: 'string', valueHint: 'N', description: 'how long (default 60)' },
    clients: { type: 'string', valueHint: 'N', description: 'how many at a time (default 8)' },
    pause: { type: 'string', valueHint: 'MS', description: 'between two questions of a client (default 0)' },
    network: { type: 'string', valueHint: 'NAME', description: 'a packaged model (default mnist-cnn3)' },
    quick: { type: 'boolean', description: 'two short minutes: that it works' },
  },
} as const

/** @param flags those of `SOAK` */
export async function benchSoak(flags: Flags): Promise<SoakReport> {
  const quick = flags.on('quick')
  const minutes = flags.integer('minutes', 3, 10_000) ?? (quick ? 5 : 60)
  const clients = flags.integer('clients', 1, 1000) ?? 8
  const pauseMs = flags.integer('pause', 0, 60_000) ?? 0
  const model = flags.text('network') ?? 'mnist-cnn3'
  flags.check()
  const [helperPort, serverPort] = [await freePort(), await freePort()]
  const [helperUrl, serverUrl] = [helperPort, serverPort].map((port) => `ws://127.0.0.1:${port}`)
  const helper = new Party('helper', ['helper', '--listen', `127.0.0.1:${helperPort}`])
  const serving = [
    'serve',
    '--no-guard',
    '--model',
    model,
    '--helper',
    helperUrl,
    '--listen',
    `127.0.0.1:${serverPort}`,
  ]
  const server = new Party('server', serving)
  const end = new AbortController()
  const stop = () => end.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    await helper.start()
    await server.start()
    const tally = new Tally(await questions(model))
    const addresses = { server: serverUrl, helper: helperUrl, until: end.signal, pauseMs, stay: STAY }
    const asking = Array.from({ length: clients }, (_, i) => ask(i, tally, addresses))
    const began = performance.now()
    const samples: Sample[] = []
    for (let minute = 1; minute <= minutes && !end.signal.aborted; minute++) {
      await pause(began + minute * (quick ? 1000 : 60_000) - performance.now(), end.signal)
      if (end.signal.aborted) break
      const sample: Sample = {
        ...{ minutes: (performance.now() - began) / 60_000, answers: tally.answers },
        ...{ helper: await holdings(helperPort), server: await holdings(serverPort), clients: own(tally) },
      }
      samples.push(sample)
      process.stderr.write(`${flags.on('json') ? JSON.stringify(sample) : line(sample)}\n`)
    }
    end.abort()
    await Promise.all(asking)
    const report = {
      model,
      clients,
      minutes: samples.at(-1)?.minutes ?? 0,
      ...tally.report(),
      slopes: slopesOf(samples),
    }
    process.stdout.write(flags.on('json') ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
    return report
  } finally {
    end.abort()
    await server.kill()
    await helper.kill()
  }
}

/** What a party says of itself to its operator. */
async function holdings(port: number): Promise<Holdings> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  const page = await response.text()
  const sum = (name: string) =>
    [...page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((all, [, value]) => all + +value, 0)
  const of = {
    rss: 'process_resident_memory_bytes',
    heap: 'nodejs_heap_size_used_bytes',
    wasm: 'ringfence_wasm_memory_bytes',
  }
  return { rss: sum(of.rss) / MB, heap: sum(of.heap) / MB, wasm: sum(of.wasm) / MB }
}

/** Of this process, in which the clients are. */
function own({ present }: Tally): Holdings {
  const { rss, heapUsed } = process.memoryUsage()
  const wasm = [...present].reduce((sum, { memoryInUse }) => sum + memoryInUse, 0)
  return { rss: rss / MB, heap: heapUsed / MB, wasm: wasm / MB }
}

function slopesOf(samples: readonly Sample[]): SoakReport['slopes'] {
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP))
  if (warm.length < 3) throw new RingfenceError('ABORTED', 'the soak ended before there was a slope to speak of')
  const hours = warm.map(({ minutes }) => minutes / 60)
  const of = (party: (typeof PARTIES)[number]) =>
    Object.fromEntries(
      HOLDINGS.map((what) => [
        what,
        slope(
          hours,
          warm.map((sample) => sample[party][what]),
        ),
      ]),
    )
  return Object.fromEntries(PARTIES.map((party) => [party, of(party)])) as SoakReport['slopes']
}

/** The least-squares line through points, and the standard error of its slope. */
function slope(xs: readonly number[], ys: readonly number[]): Slope {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const [x0, y0] = [mean(xs), mean(ys)]
  const spread = xs.reduce((sum, x) => sum + (x - x0) ** 2, 0)
  const perHour = xs.reduce((sum, x, i) => sum + (x - x0) * (ys[i] - y0), 0) / spread
  const left = xs.reduce((sum, x, i) => sum + (ys[i] - y0 - perHour * (x - x0)) ** 2, 0)
  return { perHour, error: Math.sqrt(left / (xs.length - 2) / spread) }
}

function line(sample: Sample): string {
  const parts = PARTIES.map((party) => `${party} ${HOLDINGS.map((what) => sample[party][what].toFixed(1)).join(' ')}`)
  return `minute ${sample.minutes.toFixed(1)}, ${sample.answers} answers; MB rss, heap, wasm: ${parts.join(' · ')}`
}

function text(report: SoakReport): string {
  const { model, clients, minutes, answers, wrong, busy, errors } = report
  const failed = Object.entries(errors).map(([code, count]) => `${count} ${code}`)
  const title = `${clients} clients of ${model} for ${minutes.toFixed(0)} minutes: ${answers} answers, ${wrong} wrong, ${busy} told to come back, errors: ${failed.join(', ') || 'none'}`
  const cell = ({ perHour, error }: Slope) => `${perHour.toFixed(2)} ± ${error.toFixed(2)}`
  const rows = PARTIES.map((party) => [party, ...HOLDINGS.map((what) => cell(report.slopes[party][what]))])
  const share = `${WARM_UP * 100} %`
  return `${title}\n\n${table(['MB per hour', ...HOLDINGS], rows)}\nleast squares after the first ${share}, ± standard error`
}
