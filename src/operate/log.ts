// What a long-running party tells its operator: one line each, for people or for programs. A log whose reader has gone
// away, or whose disk is full, loses lines and ends nothing.
import { fstatSync, writeSync } from 'node:fs'

export type LogFormat = 'text' | 'json'
export type Level = 'info' | 'warn' | 'error'
export type Facts = Readonly<Record<string, string | number | boolean | undefined>>

/** Where lines go. Must not throw. */
export type Sink = (line: string) => void

export interface LogOptions {
  format?: LogFormat
  /** Only what is a warning or worse, and `ready`. */
  quiet?: boolean
  /** Which of several processes that write to one log. */
  process?: number
  sink?: Sink
  now?: () => Date
}

export class Log {
  readonly format: LogFormat
  readonly #quiet: boolean
  readonly #process: number | undefined
  readonly #sink: Sink
  readonly #now: () => Date

  constructor(options: LogOptions = {}) {
    const { format = 'text', quiet = false, process, sink = standardOutput(), now = () => new Date() } = options
    this.format = format
    this.#process = process
    this.#quiet = quiet
    this.#sink = sink
    this.#now = now
  }

  /** Something happened: `facts` for programs, `text` for people. */
  say(level: Level, event: string, facts: Facts, text: string): void {
    if (this.#quiet && level === 'info') return
    const time = this.#now().toISOString()
    const process = this.#process
    const about = process === undefined ? '' : `process ${process}: `
    if (this.format === 'json') this.#sink(`${JSON.stringify({ time, level, event, process, ...facts })}\n`)
    else this.#sink(`${time} ${level.padEnd(5)} ${about}${oneLine(text)}\n`)
  }

  /** What whoever started the party waits for: said even when quiet. `shown` is how people read it. */
  ready(facts: Facts, shown: readonly string[]): void {
    const line = { time: this.#now().toISOString(), level: 'info', event: 'ready', ...facts }
    if (this.format === 'json') this.#sink(`${JSON.stringify(line)}\n`)
    else for (const text of shown) this.#sink(`${text}\n`)
  }
}

/** A peer's words cannot begin a line of their own. */
const oneLine = (text: string): string => text.replace(/[\r\n]+/g, ' ')

/** Bytes that may wait for a reader that is slow. */
const BACKLOG = 2 ** 20

/** Standard output, whatever becomes of it. */
export function standardOutput(): Sink {
  if (writesAtOnce(1)) {
    return (line) => {
      try {
        writeSync(1, line)
      } catch {
        // The disk is full: the next line may find room again.
      }
    }
  }
  // The program ends when its reader is gone; a party that others depend on does not.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => undefined)
  return (line) => {
    if (process.stdout.writable && process.stdout.writableLength < BACKLOG) process.stdout.write(line)
  }
}

/** Files and devices take what is written or fail; pipes, sockets and terminals may make their writer wait. */
function writesAtOnce(descriptor: number): boolean {
  if (process.stdout.isTTY) return false
  try {
    const stat = fstatSync(descriptor)
    return !stat.isFIFO() && !stat.isSocket()
  } catch {
    return false
  }
}
