// Many inputs, several inferences at a time, each over a connection of its own. A connection reads an input when its last
// outcome was taken: no more inputs are held than are in flight.
import { RingfenceError } from '../../errors.js'
import { wait } from '../../net/index.js'
import { asRingfenceError } from '../options.js'
import type { ClientEngine, Lane, ManyOptions, Outcome } from './client-options.js'

const MAX_IN_FLIGHT = 256

/** So often an input is tried again where a party has no room although nothing else is in flight, and after how long. */
const REFUSALS = 3
const PAUSE_MS = 1000

/** @param first a client's own connection, which stays open */
export async function* runMany(
  first: ClientEngine,
  inputs: Iterable<Float32Array> | AsyncIterable<Float32Array>,
  { inFlight = 8, signal, onProgress }: ManyOptions,
): AsyncGenerator<Outcome, void, undefined> {
  if (!Number.isInteger(inFlight) || inFlight < 1 || inFlight > MAX_IN_FLIGHT) {
    throw new RingfenceError(
      'BAD_INPUT',
      `inFlight: expected a whole number from 1 to ${MAX_IN_FLIGHT}, got ${inFlight}`,
    )
  }
  const source = Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]()
  const outcomes: { outcome: Outcome; taken: () => void }[] = []
  const refused: { index: number; input: Float32Array; times: number }[] = []
  const others = new Set<Lane>()
  const stops = new Set<AbortController>()
  const waiting = new Set<() => void>()
  let working = Math.max(1, Math.min(inFlight, (inputs as { length?: number }).length ?? inFlight))
  let [read, running, done, failed] = [0, 0, 0, 0]
  let [over, unreadable] = [false, false]
  let fault: { readonly error: unknown } | undefined
  const ring = () => {
    for (const wake of waiting) wake()
    waiting.clear()
  }
  /** Until something has happened. */
  const rung = () => new Promise<void>((resolve) => waiting.add(resolve))
  const aborted = () => {
    over = true
    for (const each of stops) each.abort()
    ring()
  }
  /** Under a signal of its own: a host warns of one that too many listen to. */
  const stoppable = async <T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const controller = new AbortController()
    stops.add(controller)
    try {
      return await task(controller.signal)
    } finally {
      stops.delete(controller)
    }
  }

  const next = async () => {
    if (over) return undefined
    const index = read++
    const { done, value: input } = await source.next()
    over ||= done === true
    return over ? undefined : { index, input, times: 0 }
  }
  const work = async (lane: Lane) => {
    for (let job = await next(); job; job = refused.pop() ?? (await next())) {
      const { index, input } = job
      running++
      const outcome = await stoppable((signal) => lane.run(input, { signal })).then(
        (result): Outcome => ({ index, result }),
        (cause): Outcome => ({ index, error: asRingfenceError(cause) }),
      )
      running--
      const { error } = outcome
      const full = error && error.cause === undefined && (error.code === 'STORE_FULL' || error.code === 'BUSY')
      if (full && (running > 0 || job.times++ < REFUSALS)) {
        refused.push(job)
        await (running > 0 ? rung() : stoppable((signal) => wait(error.retryAfterMs ?? PAUSE_MS, signal)))
        continue
      }
      await new Promise<void>((taken) => {
        outcomes.push({ outcome, taken })
        ring()
      })
      if (error && !full && error.code !== 'BAD_INPUT') {
        fault ??= { error } // and the connection has ended
        return
      }
    }
  }
  const attend = async (lane: Lane) => {
    try {
      await work(lane)
    } catch (error) {
      fault = { error }
      unreadable = over = true
    }
    if (others.delete(lane)) void lane.release()
  }
  const another = async () => {
    try {
      const lane = await stoppable((signal) => first.another(signal))
      others.add(lane)
      await attend(lane)
    } catch {
      // Those that are open go on.
    }
  }
  signal?.addEventListener('abort', aborted)
  try {
    for (let i = 0; i < working; i++) {
      void (i === 0 ? attend(first) : another()).finally(() => {
        working--
        ring()
      })
    }
    for (;;) {
      if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted by the caller')
      const ended = outcomes.shift()
      if (ended) {
        done++
        if (ended.outcome.error) failed++
        onProgress?.({ done, failed, inFlight: running, connections: others.size + 1 })
        yield ended.outcome
        ended.taken()
      } else if (working > 0) await rung()
      else if (fault && (unreadable || !over || refused.length > 0)) throw fault.error
      else return
    }
  } finally {
    over = true
    signal?.removeEventListener('abort', aborted)
    for (const lane of others) void lane.release()
    void Promise.resolve(source.return?.()).catch(() => undefined) // not waited for: it may be waiting itself
  }
}
