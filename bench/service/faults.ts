// `npm run bench -- faults`: sixteen clients work while helper and server are killed, held still, cut off and started again
// at random. No answer may be wrong, no call may hang beyond its deadline, and everybody is answered again within ten
// seconds of the party's return.
import { RingfenceError } from '../../src/errors.js'
import { ReconnectingClient } from '../../src/party/client/reconnecting-client.js'
import { drawFrom } from '../../test/protocol/mcc/gadget-plan.js'
import { table } from '../report.js'
import { freePort, isRight, Line, Party, type Question, questions } from './service.js'

export interface FaultReport {
  readonly seed: number
  readonly minutes: number
  readonly clients: number
  readonly faults: Readonly<Record<string, number>>
  readonly answers: number
  readonly wrong: number
  /** Calls that ended with a typed error, by code. */
  readonly errors: Readonly<Record<string, number>>
  /** Milliseconds of the longest call, and the most it may take. */
  readonly longest: number
  readonly allowed: number
  /** Milliseconds from a party's return until the last client had an answer, per fault. */
  readonly recovery: readonly number[]
}

const CLIENTS = 16
const DEADLINE_MS = 5000
const PATIENCE_MS = 20_000
/** A call waits for a connection, runs, and is repeated once: every wait inside has its deadline. */
const ALLOWED_MS = PATIENCE_MS + 4 * DEADLINE_MS
const RECOVERY_MS = 10_000
const MODEL = 'mnist-cnn3'

/** Everything the faults are done to. */
interface Scene {
  readonly parties: readonly Party[]
  readonly lines: readonly (readonly [string, Line])[]
}

type Fault = { readonly name: string; begin(): Promise<void> | void; end(): Promise<void> | void }

export async function benchFaults({ json = false, quick = false } = {}): Promise<FaultReport> {
  const minutes = quick ? 0.5 : 10
  const seed = 1
  const draw = drawFrom(seed)
  const [helperPort, serverPort] = [await freePort(), await freePort()]
  const toHelper = await Line.to(helperPort)
  const [clientHelper, clientServer] = [await Line.to(helperPort), await Line.to(serverPort)]
  const helper = new Party('helper', ['helper', '--listen', `127.0.0.1:${helperPort}`])
  const server = new Party('server', [
    ...['serve', '--no-guard', '--model', MODEL, '--helper', toHelper.url, '--listen', `127.0.0.1:${serverPort}`],
  ])
  const scene: Scene = {
    parties: [helper, server],
    lines: [
      ['server–helper', toHelper],
      ['client–helper', clientHelper],
      ['client–server', clientServer],
    ],
  }
  const crowd = new Crowd(await questions(MODEL))
  try {
    await helper.start()
    await server.start()
    await crowd.enter(clientServer.url, clientHelper.url)
    const faults: Record<string, number> = {}
    const recovery: number[] = []
    const end = performance.now() + minutes * 60_000
    while (performance.now() < end) {
      await pause(1000 + 3000 * draw())
      const fault = pick(scene, draw)
      faults[fault.name] = (faults[fault.name] ?? 0) + 1
      if (!json) process.stderr.write(`${fault.name} …`)
      await fault.begin()
      await pause(500 + 6000 * draw())
      await fault.end()
      const took = await crowd.everybodyAnswered()
      recovery.push(took)
      if (!json) process.stderr.write(` everybody answered again after ${(took / 1000).toFixed(1)} s\n`)
    }
    await crowd.leave()
    const report = { seed, minutes, clients: CLIENTS, faults, ...crowd.report(), allowed: ALLOWED_MS, recovery }
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
    return report
  } finally {
    await crowd.leave()
    for (const party of scene.parties) await party.kill()
    for (const [, line] of scene.lines) line.close()
  }
}

function pick({ parties, lines }: Scene, draw: () => number): Fault {
  const faults: Fault[] = [
    ...parties.flatMap((party) => [
      { name: `${party.name} killed`, begin: () => party.kill(), end: () => party.start() },
      { name: `${party.name} held`, begin: () => party.signal('SIGSTOP'), end: () => party.signal('SIGCONT') },
    ]),
    ...lines.map(([name, line]) => ({
      name: `${name} silent`,
      begin: () => line.silence(),
      end: () => line.restore(),
    })),
  ]
  return faults[Math.floor(draw() * faults.length)]
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Clients that ask one question after another. */
class Crowd {
  readonly #errors = new Map<string, number>()
  /** When each client was last answered. */
  readonly #last: number[] = []
  #clients: ReconnectingClient[] = []
  #asking: Promise<void>[] = []
  #over = false
  #answers = 0
  #wrong = 0
  #longest = 0

  constructor(private readonly questions: readonly Question[]) {}

  async enter(server: string, helper: string): Promise<void> {
    const options = { server, helper, deadlineMs: DEADLINE_MS, patienceMs: PATIENCE_MS, pausesMs: [100, 1000] } as const
    this.#clients = await Promise.all(Array.from({ length: CLIENTS }, () => ReconnectingClient.create(options)))
    this.#asking = this.#clients.map((client, i) => this.#ask(client, i))
  }

  async leave(): Promise<void> {
    this.#over = true
    await Promise.all(this.#clients.map((client) => client.release()))
    await Promise.all(this.#asking)
  }

  /** Milliseconds until every client has an answer that it did not have yet. */
  async everybodyAnswered(): Promise<number> {
    const from = performance.now()
    const most = 6 * RECOVERY_MS
    while (this.#last.some((at) => !(at > from)) && performance.now() - from < most) await pause(20)
    return performance.now() - from
  }

  report() {
    const [answers, wrong, longest] = [this.#answers, this.#wrong, Math.round(this.#longest)]
    return { answers, wrong, longest, errors: Object.fromEntries(this.#errors) }
  }

  async #ask(client: ReconnectingClient, index: number): Promise<void> {
    this.#last[index] = Number.NEGATIVE_INFINITY
    for (let i = index; !this.#over; i++) {
      const question = this.questions[i % this.questions.length]
      const started = performance.now()
      try {
        const { logits } = await client.run(question.input)
        this.#answers++
        if (!isRight(question, logits)) this.#wrong++
        this.#last[index] = performance.now()
      } catch (error) {
        if (!(error instanceof RingfenceError)) throw error
        if (this.#over) return
        this.#errors.set(error.code, (this.#errors.get(error.code) ?? 0) + 1)
        await pause(50)
      }
      this.#longest = Math.max(this.#longest, performance.now() - started)
    }
  }
}

function text(report: FaultReport): string {
  const { recovery } = report
  const late = recovery.filter((ms) => ms > RECOVERY_MS).length
  const rows = [
    [
      'faults',
      Object.values(report.faults)
        .reduce((a, b) => a + b, 0)
        .toString(),
      '',
    ],
    ['answers', `${report.answers}`, ''],
    ['wrong answers', `${report.wrong}`, '0'],
    ['longest call, s', (report.longest / 1000).toFixed(1), `≤ ${report.allowed / 1000}`],
    ['longest recovery, s', (Math.max(0, ...recovery) / 1000).toFixed(1), `≤ ${RECOVERY_MS / 1000}`],
    ['recoveries later than that', `${late}`, '0'],
    ...Object.entries(report.errors).map(([code, count]) => [`calls that ended with ${code}`, `${count}`, '']),
  ]
  const title = `${report.clients} clients of ${MODEL}, ${report.minutes} minutes, seed ${report.seed}`
  return `${title}\n\n${table(['', 'measured', 'target'], rows)}`
}
