// How long it will still take, from how far it got.

/** Answers within the first moments are guesses. */
const WARM_UP_MS = 1000

export class Remaining {
  readonly #now: () => number
  #start: { at: number; done: number } | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** @param done share of the work, 0 to 1 @returns `about 2 min left`, or nothing as long as nobody knows */
  text(done: number): string {
    this.#start ??= { at: this.#now(), done }
    const passed = this.#now() - this.#start.at
    const won = done - this.#start.done
    if (passed < WARM_UP_MS || won <= 0) return ''
    return `about ${span((passed / won) * (1 - done))} left`
  }
}

/** `8 s`, `2 min 10 s`, `3 h 5 min` */
export function span(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
