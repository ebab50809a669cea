// `npm run bench -- load`: many clients of one server over WebSockets, each asking again as soon as it is answered: how
// long they wait, who is told to come back, whether an answer is wrong, and whether memory stays where it is.
import { setMaxListeners } from 'node:events'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { table } from '../report.js'
import { freePort, Party, questions } from './service.js'
import { ask, type Outcome, pause, Tally } from './tally.js'

export interface LoadRow extends Outcome {
  readonly model: string
  readonly clients: number
  readonly minutes: number
  /** Resident megabytes after the first fifth of the time, and at the end. */
  readonly serverMB: readonly [number, number]
  readonly helperMB: readonly [number, number]
}

const COUNTS = [1, 4, 16, 64, 300]
const MODELS = ['mnist-cnn3', 'resnet20-cifar10']
const MINUTES = 3

export const LOAD = {
  name: 'bench load',
  summary: 'Many clients of one server at a time: how long they wait, who is told to come back, and what memory does.',
  flags: {
    network: { type: 'string', valueHint: 'NAME', description: 'a packaged model (default: two of them)' },
    clients: { type: 'string', valueHint: 'N', description: 'how many at a time (default: 1, 4, 16, 64 and 300)' },
    minutes: { type: 'string', valueHint: 'N', description: `of each row (default ${MINUTES})` },
    rows: {
      type: 'string',
      valueHint: 'FILE',
      description: 'rows that were measured: read from there, new ones added',
    },
    quick: { type: 'boolean', description: 'a few seconds and few clients: that it works, not how well' },
  },
} as const

/** Row by row; with `--rows FILE` an interrupted run goes on where it was. */
export async function benchLoad(flags: Flags): Promise<LoadRow[]> {
  const quick = flags.on('quick')
  const minutes = flags.number('minutes', 0.05, 600) ?? (quick ? 0.05 : MINUTES)
  const clients = flags.integer('clients', 1, 4000)
  const network = flags.text('network')
  const file = flags.text('rows')
  flags.check()
  const models = network === undefined ? MODELS : [network]
  const counts = clients === undefined ? (quick ? [1, 8] : COUNTS) : [clients]
  const known = file === undefined ? [] : knownRows(file)
  const rows: LoadRow[] = []
  for (const model of models) {
    for (const count of counts) {
      const same = (row: LoadRow) => row.model === model && row.clients === count && row.minutes === minutes
      const row = known.find(same) ?? (await measure(model, count, minutes))
      rows.push(row)
      if (file !== undefined && !known.some(same)) appendFileSync(file, `${JSON.stringify(row)}\n`)
      process.stderr.write(`${model}, ${count} clients: ${row.answers} answers in ${minutes} min\n`)
    }
  }
  process.stdout.write(flags.on('json') ? `${JSON.stringify({ rows })}\n` : `${text(rows)}\n`)
  return rows
}

function knownRows(file: string): LoadRow[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
}

async function measure(model: string, clients: number, minutes: number): Promise<LoadRow> {
  const [helperPort, serverPort] = [await freePort(), await freePort()]
  const [helperUrl, serverUrl] = [helperPort, serverPort].map((port) => `ws://127.0.0.1:${port}`)
  const helper = new Party('helper', ['helper', '--listen', `127.0.0.1:${helperPort}`])
  const server = new Party('server', [
    ...['serve', '--no-guard', '--model', model, '--helper', helperUrl, '--listen', `127.0.0.1:${serverPort}`],
  ])
  try {
    await helper.start()
    await server.start()
    const tally = new Tally(await questions(model))
    const until = AbortSignal.timeout(minutes * 60_000)
    setMaxListeners(0, until) // every client waits for it
    const early = pause(minutes * 12_000, until).then(() => [server.memoryMB, helper.memoryMB] as const)
    const asking = { server: serverUrl, helper: helperUrl, until }
    await Promise.all(Array.from({ length: clients }, (_, i) => ask(i, tally, asking)))
    const [serverEarly, helperEarly] = await early
    return {
      ...{ model, clients, minutes },
      ...tally.report(),
      serverMB: [serverEarly, server.memoryMB],
      helperMB: [helperEarly, helper.memoryMB],
    }
  } finally {
    await server.kill()
    await helper.kill()
  }
}

function text(rows: readonly LoadRow[]): string {
  const head = [
    'network',
    'clients',
    'answers/s',
    'p50 ms',
    'p99',
    'p99/p50',
    'later',
    'errors',
    'wrong',
    'server MB',
    'helper',
  ]
  const cells = rows.map((row) => [
    row.model.split('-')[0],
    `${row.clients}`,
    (row.answers / row.minutes / 60).toFixed(1),
    row.p50.toFixed(0),
    row.p99.toFixed(0),
    (row.p99 / row.p50).toFixed(1),
    `${row.busy}`,
    Object.entries(row.errors)
      .map(([code, count]) => `${count} ${code}`)
      .join(' ') || '0',
    `${row.wrong}`,
    row.serverMB.join('→'),
    row.helperMB.join('→'),
  ])
  return table(head, cells)
}
