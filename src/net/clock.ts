// Time to a fraction of a millisecond, for emulating networks.

export interface Clock {
  /** Milliseconds, monotone. */
  now(): number
  /** Resolves after `ms` milliseconds, at once when that is not positive. */
  sleep(ms: number): Promise<void>
}

/** What deadlines are measured by. Tests in which all parties share a process put the clock of their timers in its place. */
export const deadlineClock = { now: (): number => performance.now() }

/** How late a timer may fire; the rest of a sleep is spent turning the event loop. */
const COARSE_MARGIN_MS = 1.5

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(ms) {
    const end = performance.now() + ms
    if (ms >= COARSE_MARGIN_MS + 1) await new Promise((done) => setTimeout(done, Math.floor(ms - COARSE_MARGIN_MS)))
    while (performance.now() < end) await turn()
  },
}

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}

/** Resolves in the event loop's next turn, after pending input was handled. */
export const turn: () => Promise<void> = 'setImmediate' in globalThis ? immediate : throughPort()

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function throughPort(): () => Promise<void> {
  let waiting: (() => void)[] = []
  let ports: MessageChannel | undefined
  return () =>
    new Promise((resolve) => {
      if (ports === undefined) {
        ports = new MessageChannel()
        ports.port1.onmessage = () => {
          const ready = waiting
          waiting = []
          for (const wake of ready) wake()
        }
      }
      waiting.push(resolve)
      if (waiting.length === 1) ports.port2.postMessage(null)
    })
}
