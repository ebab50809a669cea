// Work on many inputs, cut into tasks that any number of threads take; what comes out does not depend on how many.
import { RingfenceError } from '../../errors.js'
import { type JobKind, type Result, type Setup, startJob, type Task } from './jobs.js'

/** Threads that are set up for one job. */
export interface WorkerPool<K extends JobKind> {
  /** How many tasks they work on at a time. */
  readonly threads: number
  /** Does one task on whichever thread is free. */
  run(task: Task<K>): Promise<Result<K>>
  /** Ends them; what they work on is lost. */
  release(): Promise<void>
}

/** Starts a pool for a job. `ringfence/node` has one of worker threads. */
export type StartPool = <K extends JobKind>(kind: K, setup: Setup<K>) => Promise<WorkerPool<K>>

/** A pool of one: this thread. Between tasks the event loop turns. */
export const startHere: StartPool = async (kind, setup) => {
  const job = startJob(kind, setup)
  return {
    threads: 1,
    run: async (task) => {
      await new Promise((resolve) => setTimeout(resolve, 0))
      return job.run(task)
    },
    release: async () => job.release(),
  }
}

/** Who does the work, and how it is called off. */
export interface PoolOptions {
  /** Who does the work; this thread without it. */
  readonly startPool?: StartPool
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
  { startPool = startHere, signal }: PoolOptions = {},
): Promise<void> {
  throwIfAborted(signal)
  if (tasks.length === 0) return
  const pool = await startPool(kind, setup)
  try {
    await runTasksOn(pool, tasks, onResult, signal)
  } finally {
    await pool.release()
  }
}

/** As `runTasks`, on threads that stay set up for what comes next. */
export async function runTasksOn<K extends JobKind>(
  pool: WorkerPool<K>,
  tasks: readonly Task<K>[],
  onResult: (result: Result<K>, index: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0
  let failed = false
  const lane = async () => {
    while (next < tasks.length && !failed) {
      throwIfAborted(signal)
      const index = next++
      onResult(await pool.run(tasks[index]), index)
    }
  }
  const lanes = Array.from({ length: pool.threads }, () =>
    lane().catch((error) => {
      failed = true
      throw error
    }),
  )
  const ends = await Promise.allSettled(lanes)
  const broken = ends.find((end) => end.status === 'rejected')
  if (broken) throw broken.reason
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new RingfenceError('ABORTED', 'the measurement was aborted by the caller', [], { cause: signal.reason })
  }
}
