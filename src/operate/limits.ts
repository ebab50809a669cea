// What a principal may use, and what it has used: kept by name, so that neither a new connection nor a token file that was
// read again starts it anew.
import type { Allowance, Principal } from '../net/index.js'

/** Limits as an operator writes them; what is absent is not limited. */
export interface Limits {
  /** At a time. */
  connections?: number
  inferencesPerMinute?: number
  /** In all, since this process started. */
  inferences?: number
  /** Share of the server's store. */
  storeMB?: number
}

export const LIMIT_NAMES = [
  'connections',
  'inferencesPerMinute',
  'inferences',
  'storeMB',
] as const satisfies readonly (keyof Limits)[]

const MINUTE_MS = 60_000

interface Account {
  spent: number
  /** What is left of the minute's inferences, as of `at`. */
  left: number
  at: number
}

/** Principals by name, each with one account for as long as the process lives. */
export class Accounts {
  readonly #accounts = new Map<string, Account>()

  /** @param now milliseconds, monotone @param processes that share every limit */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly processes = 1,
  ) {}

  principal(name: string, whole: Limits): Principal {
    const limits = this.#part(whole)
    const { connections, storeMB, inferences, inferencesPerMinute } = limits
    const bounded = inferences !== undefined || inferencesPerMinute !== undefined
    const storeBytes = storeMB === undefined ? undefined : storeMB * 2 ** 20
    return { name, connections, storeBytes, ...(bounded ? { spend: (count) => this.#spend(name, limits, count) } : {}) }
  }

  /** Of each limit, what this process may give. */
  #part(limits: Limits): Limits {
    return Object.fromEntries(
      Object.entries(limits).map(([name, limit]) => [name, limit && partOf(limit, this.processes)]),
    )
  }

  /** Inferences are taken as soon as they are promised; the minute's come back evenly over a minute. */
  #spend(name: string, { inferences = Infinity, inferencesPerMinute = Infinity }: Limits, count: number): Allowance {
    const now = this.now()
    const account = this.#accounts.get(name) ?? { spent: 0, left: inferencesPerMinute, at: now }
    this.#accounts.set(name, account)
    if (inferencesPerMinute < Infinity) {
      const refilled = account.left + ((now - account.at) / MINUTE_MS) * inferencesPerMinute
      account.left = Math.min(inferencesPerMinute, refilled)
    }
    account.at = now
    const inAll = inferences - account.spent
    if (inAll < 1) return { granted: 0 }
    const granted = Math.min(count, inAll, Math.floor(account.left))
    if (granted < 1) return { granted: 0, retryAfterMs: ((1 - account.left) / inferencesPerMinute) * MINUTE_MS }
    account.spent += granted
    account.left -= granted
    return { granted }
  }
}

/** A limit's part for one of several processes: rounded up, so that nobody whom one lets in gets nothing. */
export const partOf = (limit: number, processes: number): number => Math.ceil(limit / processes)
