// What a command says when it fails: one readable block, or one JSON object.
import { RingfenceError } from '../../errors.js'
import { columnsOf, type Output, painter, wrapped } from './terminal.js'

export interface Failure {
  readonly code: string
  readonly message: string
  readonly problems: readonly string[]
}

/** So many problems are shown to people: the first, and the last, which may sum them up. */
const SHOWN = 12

export function describeFailure(error: unknown): Failure {
  if (error instanceof RingfenceError) {
    const list = error.problems.map((problem) => `  - ${problem}`).join('\n')
    const message = list === '' ? error.message : error.message.slice(0, -list.length).trimEnd()
    return { code: error.code, message, problems: error.problems }
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'INTERNAL', message: `a fault of this program, please report it: ${text}`, problems: [] }
}

/** The same failure in another process. */
export function restoreFailure({ code, message, problems }: Failure): Error {
  if (code === 'INTERNAL') return new Error(message)
  return new RingfenceError(code as RingfenceError['code'], message, problems)
}

/** Writes the failure: a block on stderr, or with `json` one line on stdout. */
export function reportFailure(
  error: unknown,
  json: boolean,
  { out, err }: { out: Output; err: Output } = { out: process.stdout, err: process.stderr },
): void {
  const failure = describeFailure(error)
  if (json) {
    out.write(`${JSON.stringify({ error: failure })}\n`)
    return
  }
  const paint = painter(err)
  const columns = columnsOf(err)
  const body = failure.code === 'INTERNAL' ? failure.message : wrapped(failure.message, columns, '  ')
  // All of them, a line each, where programs read them; where people do, not too many, and words kept whole.
  const more = err.isTTY ? failure.problems.length - SHOWN : 0
  const shown =
    more > 0
      ? [...failure.problems.slice(0, SHOWN - 1), `… ${more} more; --json has all …`, ...failure.problems.slice(-1)]
      : failure.problems
  const problems = shown.map((problem) =>
    err.isTTY ? `  - ${wrapped(problem, columns, '    ').slice(4)}` : `  - ${problem}`,
  )
  err.write(`${[paint(['red', 'bold'], `error ${failure.code}`), body, ...problems].join('\n')}\n`)
}
