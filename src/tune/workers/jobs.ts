// What a thread can be set up for. Setups, tasks and results are plain data that can be sent to another thread.

import { rangesPost } from '../calibration/ranges-job.js'
import { distortionPost } from '../distortion/job.js'
import { floatPost, referencePost } from '../evaluation/logits-job.js'

/** One thread's place of work: what it has prepared and does tasks with. */
export interface Post<T, R> {
  run(task: T): R
  release(): void
}

const POSTS = {
  distortion: distortionPost,
  ranges: rangesPost,
  float: floatPost,
  reference: referencePost,
} as const

/** What a thread can be set up for. */
export type JobKind = keyof typeof POSTS
/** What a thread is set up with. */
export type Setup<K extends JobKind> = Parameters<(typeof POSTS)[K]>[0]
type PostOf<K extends JobKind> = ReturnType<(typeof POSTS)[K]>
/** What a thread is given to do. */
export type Task<K extends JobKind> = Parameters<PostOf<K>['run']>[0]
/** What a thread gives back. */
export type Result<K extends JobKind> = ReturnType<PostOf<K>['run']>

export function openPost<K extends JobKind>(kind: K, setup: Setup<K>): Post<Task<K>, Result<K>> {
  return POSTS[kind](setup as never) as unknown as Post<Task<K>, Result<K>>
}
