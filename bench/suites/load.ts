// `npm run bench -- load`: many clients of one server over WebSockets, each asking again as soon as it is answered: how
// long they wait, who is told to come back, whether an answer is wrong, and whether memory stays where it is.
import { RingfenceError } from '../../src/errors.js'
import { Client } from '../../src/party/client/client.js'
import { freePort, isRight, Party, type Question, questions } from '../processes/service.js'
import { median, table } from '../report.js'

export interface LoadRow {
  readonly model: string
  readonly clients: number
  readonly seconds: number
  readonly answers: number
  /** Answers that are not the network's. */
  readonly wrong: number
  /** Times a client was told to come back later. */
  readonly busy: number
  /** Every other failure, by code. */
  readonly errors: Readonly<Record<string, number>>
  /** Milliseconds of a call, preparation included, over all clients. */
  readonly p50: number
  readonly p99: number
  /** Resident megabytes after the first fifth of the time, and at the end. */
  readonly serverMB: readonly [number, number]
  readonly helperMB: readonly [number, number]
}

const COUNTS = [1, 4, 16, 64, 300]
const MODELS = ['mnist-cnn3', 'resnet20-cifar10'] as const
/** What a server says that has no room just now. */
const COME_BACK = ['BUSY', 'STORE_FULL']
const DEADLINE_MS = 60_000

/** @param quick a few seconds and few clients: that it works, not how well */
export async function benchLoad({ json = false, quick = false } = {}): Promise<LoadRow[]> {
  const rows: LoadRow[] = []
  for (const model of MODELS) {
    for (const clients of quick ? [1, 8] : COUNTS) {
      const row = await measure(model, clients, quick ? 3 : clients === 64 ? 180 : 45)
      rows.push(row)
      if (!json) process.stderr.write(`${model}, ${clients} clients: ${row.answers} answers in ${row.seconds} s\n`)
    }
  }
  process.stdout.write(json ? `${JSON.stringify({ rows })}\n` : `${text(rows)}\n`)
  return rows
}

async function measure(model: string, clients: number, seconds: number): Promise<LoadRow> {
  const [helperPort, serverPort] = [await freePort(), await freePort()]
  const [helperUrl, serverUrl] = [helperPort, serverPort].map((port) => `ws://127.0.0.1:${port}`)
  const helper = new Party('helper', ['helper', '--listen', `127.0.0.1:${helperPort}`])
  const server = new Party('server', [
    ...['serve', '--model', model, '--helper', helperUrl, '--listen', `127.0.0.1:${serverPort}`],
  ])
  try {
    await helper.start()
    await server.start()
    const tally = new Tally(await questions(model))
    const end = performance.now() + seconds * 1000
    const early = new Promise((resolve) => setTimeout(resolve, seconds * 200)).then(
      () => [server.memoryMB, helper.memoryMB] as const,
    )
    const asking = Array.from({ length: clients }, (_, i) =>
      ask(i, { server: serverUrl, helper: helperUrl }, tally, end),
    )
    await Promise.all(asking)
    const [serverEarly, helperEarly] = await early
    return {
      ...{ model, clients, seconds },
      ...tally.report(),
      serverMB: [serverEarly, server.memoryMB],
      helperMB: [helperEarly, helper.memoryMB],
    }
  } finally {
    await server.kill()
    await helper.kill()
  }
}

/** What came back. */
class Tally {
  readonly #times: number[] = []
  readonly #errors = new Map<string, number>()
  #wrong = 0
  #busy = 0

  constructor(readonly questions: readonly Question[]) {}

  answered(question: Question, answer: ArrayLike<number>, ms: number): void {
    this.#times.push(ms)
    if (!isRight(question, answer)) this.#wrong++
  }

  failed(code: string): void {
    if (COME_BACK.includes(code)) this.#busy++
    else this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1)
  }

  report() {
    const sorted = [...this.#times].sort((a, b) => a - b)
    return {
      answers: sorted.length,
      ...{ wrong: this.#wrong, busy: this.#busy, errors: Object.fromEntries(this.#errors) },
      p50: sorted.length === 0 ? Number.NaN : median(sorted),
      p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    }
  }
}

/** One client until the time is over. */
async function ask(index: number, addresses: { server: string; helper: string }, tally: Tally, end: number) {
  const { questions } = tally
  let client: Client | undefined
  for (let i = index; performance.now() < end; i++) {
    try {
      client ??= await Client.create({ ...addresses, deadlineMs: DEADLINE_MS })
      const question = questions[i % questions.length]
      const started = performance.now()
      const { logits } = await client.run(question.input)
      tally.answered(question, logits, performance.now() - started)
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      const { code } = error.cause instanceof RingfenceError ? error.cause : error
      tally.failed(code)
      if (code !== 'STORE_FULL') {
        await client?.release()
        client = undefined
      }
      const { retryAfterMs = 500 } = error as { retryAfterMs?: number }
      await new Promise((resolve) => setTimeout(resolve, Math.min(retryAfterMs, Math.max(0, end - performance.now()))))
    }
  }
  await client?.release()
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
    (row.answers / row.seconds).toFixed(1),
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
