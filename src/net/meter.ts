// Counts what crosses the links of one party, so that a declared cost can be held against a measured one.
import { PHASE_NAMES, Phase, type PhaseCode, type PhaseName } from './phase.js'

/** What crossed a link. */
export interface Traffic {
  /** Frame headers included; the transport's own framing (WebSocket, TLS, TCP) is not. */
  bytesSent: number
  bytesReceived: number
  messagesSent: number
  messagesReceived: number
  /**
   * One-way waves, each of which waits for the one before: consecutive messages of one direction count once, and so do
   * those that cross the answers to the first of them. A wave belongs to the step that starts it.
   */
  flights: number
}

/** A link's traffic in one phase, and of each step of the plan. */
export type PhaseTraffic = Traffic & { steps: (Traffic & { step: number })[] }
/** Milliseconds in one phase, and of each step of the plan. */
export type PhaseTime = { total: number; steps: { step: number; ms: number }[] }

/** What a meter counted: `links` by the link's name, times in milliseconds. */
export interface MeterReport {
  links: Record<string, Record<PhaseName, PhaseTraffic>>
  milliseconds: Record<PhaseName, PhaseTime>
  /** How much of `milliseconds` went by waiting for a peer; the rest is work. */
  waiting: Record<PhaseName, PhaseTime>
}

type Direction = 'sent' | 'received'

/** One link in one phase. */
class Ledger {
  readonly steps = new Map<number, Traffic>()
  /** The latest wave of either direction. */
  #sent = 0
  #received = 0

  add(direction: Direction, step: number, bytes: number, beside = false): void {
    let traffic = this.steps.get(step)
    if (traffic === undefined) this.steps.set(step, (traffic = nothing()))
    if (direction === 'sent') {
      traffic.bytesSent += bytes
      traffic.messagesSent++
    } else {
      traffic.bytesReceived += bytes
      traffic.messagesReceived++
    }
    if (this.#wave(direction, beside)) traffic.flights++
  }

  /** Whether a message starts a wave. */
  #wave(direction: Direction, beside: boolean): boolean {
    const [sent, received] = [this.#sent, this.#received]
    if (direction === 'sent') this.#sent = received + 1
    else if (!beside) this.#received = sent + 1
    return this.#sent !== sent || this.#received !== received
  }

  merge(other: Ledger): void {
    for (const [step, traffic] of other.steps) this.steps.set(step, sum(this.steps.get(step) ?? nothing(), traffic))
  }

  report(): PhaseTraffic {
    const steps = [...this.steps].sort(([a], [b]) => a - b).map(([step, traffic]) => ({ step, ...traffic }))
    return { ...steps.reduce(sum, nothing()), steps }
  }
}

/**
 * Counts bytes, messages, one-way waves and time of a party, per link, phase and step of the plan.
 *
 * @example
 * ```ts
 * import { Client, Meter } from 'ringfence'
 *
 * const meter = new Meter()
 * const client = await Client.create({ server: 'wss://server.example', helper: 'wss://helper.example', meter })
 * await client.prepare(1)
 * const { offline } = meter.report().links.server
 * console.log(offline.bytesSent, offline.bytesReceived, offline.flights)
 * ```
 */
export class Meter {
  readonly #links = new Map<string, Ledger[]>()
  readonly #times: Map<number, number>[] = PHASE_NAMES.map(() => new Map())
  readonly #waits: Map<number, number>[] = PHASE_NAMES.map(() => new Map())
  #waitedUntil = 0
  #open: { phase: PhaseCode; step: number; since: number } | undefined

  /** A link is reported from now on, also while nothing passes over it. */
  link(name: string): void {
    this.#ledger(name, Phase.setup)
  }

  /** `bytes` were sent on a link, in one message. */
  sent(link: string, phase: PhaseCode, step: number, bytes: number): void {
    this.#ledger(link, phase).add('sent', step, bytes)
  }

  /**
   * `bytes` were received on a link, in one message.
   * @param beside whether it waited for nothing that was sent since the last message came
   */
  received(link: string, phase: PhaseCode, step: number, bytes: number, beside = false): void {
    this.#ledger(link, phase).add('received', step, bytes, beside)
  }

  /** From now on time is charged to this step, until the next `mark` or `stop`. `now` in milliseconds. */
  mark(phase: PhaseCode, step: number, now = performance.now()): void {
    this.stop(now)
    this.#open = { phase, step, since: now }
  }

  /** Time is charged to no step until the next `mark`. `now` in milliseconds. */
  stop(now = performance.now()): void {
    if (this.#open === undefined) return
    const { phase, step, since } = this.#open
    const times = this.#times[phase]
    times.set(step, (times.get(step) ?? 0) + now - since)
    this.#open = undefined
  }

  /** A wait for a peer began at `from` and is over: it is charged to the open mark. Waits that overlap count once. */
  waited(from: number, now = performance.now()): void {
    if (this.#open === undefined) return
    const { phase, step, since } = this.#open
    const ms = now - Math.max(from, since, this.#waitedUntil)
    this.#waitedUntil = now
    if (ms > 0) this.#waits[phase].set(step, (this.#waits[phase].get(step) ?? 0) + ms)
  }

  /** Counts what another meter has counted as well. */
  add(other: Meter): void {
    for (const [name, ledgers] of other.#links)
      for (const [phase, ledger] of ledgers.entries()) this.#ledger(name, phase as PhaseCode).merge(ledger)
    for (const [mine, theirs] of [
      [this.#times, other.#times],
      [this.#waits, other.#waits],
    ] as const) {
      for (const [phase, times] of theirs.entries())
        for (const [step, ms] of times) mine[phase].set(step, (mine[phase].get(step) ?? 0) + ms)
    }
  }

  /** Forgets one phase on all links, or all of them. */
  reset(phase?: PhaseCode): void {
    for (const code of phase === undefined ? Object.values(Phase) : [phase]) {
      for (const ledgers of this.#links.values()) ledgers[code] = new Ledger()
      this.#times[code].clear()
      this.#waits[code].clear()
      if (this.#open?.phase === code) this.#open = undefined
    }
  }

  /** All counts as plain JSON data. Time of a mark that is still open is not in it. */
  report(): MeterReport {
    const links: MeterReport['links'] = {}
    for (const [name, ledgers] of this.#links) links[name] = perPhase((code) => ledgers[code].report())
    const milliseconds = perPhase((code) => time(this.#times[code]))
    return { links, milliseconds, waiting: perPhase((code) => time(this.#waits[code])) }
  }

  #ledger(link: string, phase: PhaseCode): Ledger {
    let ledgers = this.#links.get(link)
    if (ledgers === undefined) this.#links.set(link, (ledgers = PHASE_NAMES.map(() => new Ledger())))
    return ledgers[phase]
  }
}

function nothing(): Traffic {
  return { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0, flights: 0 }
}

function sum(a: Traffic, b: Traffic): Traffic {
  return {
    bytesSent: a.bytesSent + b.bytesSent,
    bytesReceived: a.bytesReceived + b.bytesReceived,
    messagesSent: a.messagesSent + b.messagesSent,
    messagesReceived: a.messagesReceived + b.messagesReceived,
    flights: a.flights + b.flights,
  }
}

function time(times: ReadonlyMap<number, number>): PhaseTime {
  const steps = [...times].sort(([a], [b]) => a - b).map(([step, ms]) => ({ step, ms }))
  return { total: steps.reduce((total, { ms }) => total + ms, 0), steps }
}

function perPhase<T>(of: (code: PhaseCode) => T): Record<PhaseName, T> {
  return Object.fromEntries(PHASE_NAMES.map((name, code) => [name, of(code as PhaseCode)])) as Record<PhaseName, T>
}
