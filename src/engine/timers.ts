// Time, so that a simulation can have one of its own.

/** What a fleet waits by. */
export interface Timers {
  /** Milliseconds, monotone. */
  now(): number
  /** Milliseconds since 1970. */
  date(): number
  /** Calls once so many milliseconds have passed, unless it is called off. */
  after(ms: number, call: () => void): () => void
}

export const hostTimers: Timers = {
  now: () => performance.now(),
  date: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}
