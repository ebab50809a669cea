// Work on many inputs, cut into tasks that any number of threads take; what comes out does not depend on how many.
import { RingfenceError } from '../../errors.js'
import { type JobKind, openPost, type Result, type Setup, type Task } from './jobs.js'

/** Threads that are set up for one job. */
export interface Crew<K extends JobKind> {
  /** How many tasks they work on at a time. */
  readonly threads: number
  /** Does one task on whichever thread is free. */
  run(task: Task<K>): Promise<Result<K>>
  /** Ends them; what they work on is lost. */
  release(): Promise<void>
}

/** Gets a crew for a job. `ringfence/node` has one of worker threads. */
export type Hire = <K extends JobKind>(kind: K, setup: Setup<K>) => Promise<Crew<K>>

/** A crew of one: this thread. Between tasks the event loop turns. */
export const hireOne: Hire = async (kind, setup) => {
  const post = openPost(kind, setup)
  return {
    threads: 1,
    run: async (task) => {
      await new Promise((resolve) => setTimeout(resolve, 0))
      return post.run(task)
    },
    release: async () => post.release(),
  }
}

/** Who does the work, and how it is called off. */
export interface CrewOptions {
  /** Who does the work; this thread without it. */
  readonly hire?: Hire
  /** Stops before the next task; what was reported until then holds. */
  readonly signal?: AbortSignal
}

/**
 * Has every task done once, in their order as far as threads are free.
 * @param onResult gets each result as it comes, with the task's place in the list
 * @throws RingfenceError ABORTED by `signal`, and the first error of a task
 */
export async function runTasks<K extends JobKind>(
  kind: K,
  setup: Setup<K>,
  tasks: readonly Task<K>[],
  onResult: (result: Result<K>, index: number) => void,
  { hire = hireOne, signal }: CrewOptions = {},
): Promise<void> {
  throwIfAborted(signal)
  if (tasks.length === 0) return
  const crew = await hire(kind, setup)
  let next = 0
  let failed = false
  const lane = async () => {
    while (next < tasks.length && !failed) {
      throwIfAborted(signal)
      const index = next++
      onResult(await crew.run(tasks[index]), index)
    }
  }
  try {
    const lanes = Array.from({ length: crew.threads }, () =>
      lane().catch((error) => {
        failed = true
        throw error
      }),
    )
    const ends = await Promise.allSettled(lanes)
    const broken = ends.find((end) => end.status === 'rejected')
    if (broken) throw broken.reason
  } finally {
    await crew.release()
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new RingfenceError('ABORTED', 'the measurement was aborted by the caller', [], { cause: signal.reason })
  }
}
