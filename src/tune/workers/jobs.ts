// What a thread can be set up for. Setups, tasks and results are plain data that can be sent to another thread.
import { shardJob } from '../../gradient/shard-job.js'
import { rangesJob } from '../calibration/ranges-job.js'
import { distortionJob } from '../distortion/job.js'
import { floatJob, referenceJob } from '../evaluation/logits-job.js'

/** One thread's place of work: what it has prepared and does tasks with. */
export interface Job<T, R> {
  run(task: T): R
  release(): void
}

const JOBS = {
  distortion: distortionJob,
  ranges: rangesJob,
  float: floatJob,
  reference: referenceJob,
  shard: shardJob,
} as const

/** What a thread can be set up for. */
export type JobKind = keyof typeof JOBS
/** What a thread is set up with. */
export type Setup<K extends JobKind> = Parameters<(typeof JOBS)[K]>[0]
type JobOf<K extends JobKind> = ReturnType<(typeof JOBS)[K]>
/** What a thread is given to do. */
export type Task<K extends JobKind> = Parameters<JobOf<K>['run']>[0]
/** What a thread gives back. */
export type Result<K extends JobKind> = ReturnType<JobOf<K>['run']>

export function startJob<K extends JobKind>(kind: K, setup: Setup<K>): Job<Task<K>, Result<K>> {
  return JOBS[kind](setup as never) as unknown as Job<Task<K>, Result<K>>
}
