// What runs in a worker thread of `startThreads`: one job's tasks, one after the other.
import { parentPort, workerData } from 'node:worker_threads'
import { RingfenceError } from '../../errors.js'
import { startJob } from './jobs.js'
import type { ThreadAnswer, ThreadStart } from './pool.node.js'

const { kind, setup } = workerData as ThreadStart
const answer = (work: () => unknown): void => {
  parentPort!.postMessage(attempt(work))
}

function attempt(work: () => unknown): ThreadAnswer {
  try {
    return { result: work() }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { failure: { message, ...(error instanceof RingfenceError ? { code: error.code } : {}) } }
  }
}

let job: ReturnType<typeof startJob> | undefined
answer(() => {
  job = startJob(kind, setup)
  return undefined
})
parentPort!.on('message', (task) => answer(() => job!.run(task)))
