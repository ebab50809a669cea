// Clients that ask one question after another, and what comes back.
import { RingfenceError } from '../../src/errors.js'
import { Client } from '../../src/party/client/client.js'
import { median } from '../report.js'
import { isRight, type Question } from './service.js'

/** What a server says that has no room just now. */
const COME_BACK = ['BUSY', 'STORE_FULL']
const DEADLINE_MS = 60_000
/** A client that was not told when to come back waits that long. */
const PAUSE_MS = 500

export interface Outcome {
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
}

/** What came back. */
export class Tally {
  readonly #times: number[] = []
  readonly #errors = new Map<string, number>()
  /** Clients that are connected. */
  readonly present = new Set<Client>()
  #wrong = 0
  #busy = 0

  constructor(readonly questions: readonly Question[]) {}

  get answers(): number {
    return this.#times.length
  }

  answered(question: Question, answer: ArrayLike<number>, ms: number): void {
    this.#times.push(ms)
    if (!isRight(question, answer)) this.#wrong++
  }

  failed(code: string): void {
    if (COME_BACK.includes(code)) this.#busy++
    else this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1)
  }

  report(): Outcome {
    const sorted = [...this.#times].sort((a, b) => a - b)
    return {
      answers: sorted.length,
      ...{ wrong: this.#wrong, busy: this.#busy, errors: Object.fromEntries(this.#errors) },
      p50: sorted.length === 0 ? Number.NaN : median(sorted),
      p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    }
  }
}

export interface Asking {
  readonly server: string
  readonly helper: string
  /** When to stop. */
  readonly until: AbortSignal
  /** Between an answer and the next question. */
  readonly pauseMs?: number
  /** Answers after which a client leaves and another comes. */
  readonly stay?: number
}

/** One client after another, each asking again as soon as it is answered, until the time is over. */
export async function ask(index: number, tally: Tally, asking: Asking): Promise<void> {
  const { server, helper, until, pauseMs = 0, stay = Number.POSITIVE_INFINITY } = asking
  const { questions } = tally
  let client: Client | undefined
  const leave = async () => {
    if (!client) return
    tally.present.delete(client)
    await client.release()
    client = undefined
  }
  for (let i = index, answered = 0; !until.aborted; i++) {
    try {
      client ??= await Client.create({ server, helper, deadlineMs: DEADLINE_MS })
      tally.present.add(client)
      const question = questions[i % questions.length]
      const started = performance.now()
      const { logits } = await client.run(question.input)
      tally.answered(question, logits, performance.now() - started)
      if (++answered % stay === 0) await leave()
      if (pauseMs > 0) await pause(pauseMs, until)
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      const { code } = error.cause instanceof RingfenceError ? error.cause : error
      tally.failed(code)
      if (code !== 'STORE_FULL') await leave()
      await pause(error.retryAfterMs ?? PAUSE_MS, until)
    }
  }
  await leave()
}

/** Waits, but not beyond the end. */
export function pause(ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (until.aborted) return resolve()
    const over = () => {
      clearTimeout(timer)
      until.removeEventListener('abort', over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    until.addEventListener('abort', over)
  })
}
