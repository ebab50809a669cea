// The one error class of the project. A message says what was expected, what came and what to do; it never holds a
// secret, a share or a mask.

/** What went wrong, as a closed set a caller can switch on. */
export type ErrorCode =
  | 'BAD_FILE' // a model, spec, weight or image file is not what its format says
  | 'BAD_INPUT' // an argument or an input tensor has a wrong shape, type or range
  | 'UNSUPPORTED' // well-formed, but this version cannot run it
  | 'PLAN_MISMATCH' // the parties do not hold the same plan
  | 'PROTOCOL' // a peer sent a message that the protocol does not allow here
  | 'WRONG_PARTY' // an address leads to another party: a helper where a server was meant, or the other way round
  | 'FRAME' // a frame is truncated, oversized or malformed
  | 'PEER_GONE' // a peer closed or lost the connection
  | 'PEER_FAILED' // a peer reported a failure of its own
  | 'DEADLINE' // a peer did not answer in time
  | 'ABORTED' // the caller's AbortSignal fired
  | 'STORE_FULL' // no room for more one-time material; `retryAfterMs` says when to ask again
  | 'BUSY' // a party serves as many as it can; `retryAfterMs` says when to come back
  | 'UNAUTHORIZED' // the peer does not let this caller in, or no longer: no token, a wrong one, an allowance used up
  | 'CHEATED' // a client of a guarded plan sent what no client that follows the protocol sends; its session has ended
  | 'MATERIAL_USED' // one-time material was asked for a second time, or never dealt
  | 'INSECURE' // refused: it would weaken the guarantees (plain text off loopback, test seeds on a network, …)
  | 'HOST' // the host lacks something that is needed (CSPRNG, WebAssembly, WebSocket)

/** What may have passed by the time somebody asks again. What a peer tells of itself is as its own code, its `cause`. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['PEER_GONE', 'DEADLINE', 'STORE_FULL', 'BUSY'])

/** Longest wait that anybody is told, in milliseconds: ten minutes. */
export const MAX_RETRY_MS = 600_000

/**
 * The one error of this package. `code` says what went wrong; a message never holds a secret, a share or a mask.
 *
 * @example
 * ```ts
 * import { Client, RingfenceError } from 'ringfence'
 *
 * try {
 *   await Client.create({ server: 'wss://server.example', helper: 'wss://helper.example' })
 * } catch (error) {
 *   if (!(error instanceof RingfenceError)) throw error
 *   if (error.code === 'PEER_GONE') console.error('a party cannot be reached:', error.message)
 *   for (const problem of error.problems) console.error(problem)
 * }
 * ```
 */
export class RingfenceError extends Error {
  override readonly name = 'RingfenceError'
  /** Whether the same call, after `STORE_FULL` on the same client, else on a new one, may succeed with nothing changed. */
  readonly retryable: boolean
  /** Milliseconds after which a new attempt has a chance, 0 … 600,000, where the party that refused knows. */
  readonly retryAfterMs: number | undefined

  /**
   * @param code what went wrong
   * @param message what was expected, what came, what to do
   * @param problems every problem found, when one call found several
   */
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly problems: readonly string[] = [],
    options?: { cause?: unknown; retryAfterMs?: number },
  ) {
    super(problems.length === 0 ? message : `${message}\n${problems.map((p) => `  - ${p}`).join('\n')}`, options)
    const { cause } = options ?? {}
    const told = code === 'PEER_FAILED' && cause instanceof RingfenceError && cause.retryable
    this.retryable = told || RETRYABLE.has(code)
    const wait = options?.retryAfterMs
    this.retryAfterMs = wait === undefined ? undefined : Math.min(MAX_RETRY_MS, Math.max(0, Math.ceil(wait)))
  }
}

/** What to do after a wait that was too short: of whoever calls the library, and of whoever runs a command. */
export function moreTime(deadlineMs: number): string {
  const seconds = Math.min(3600, Math.ceil(deadlineMs / 500))
  return `try again, or allow more time: deadlineMs ${1000 * seconds}, --deadline ${seconds}`
}

/** Throws one `BAD_…` error that lists every problem, or returns when there is none. */
export function throwIfAny(code: ErrorCode, what: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new RingfenceError(code, what, problems)
}
