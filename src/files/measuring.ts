// What measurements on a model's files have in common: who works on them, and what an interrupted one leaves.
import { availableParallelism } from 'node:os'
import type { Engine } from '../engine/engine.js'
import { openEngine } from '../engine/open.node.js'
import type { OnStage } from '../tune/progress.js'
import type { PoolOptions } from '../tune/workers/pool.js'
import { startThreads } from '../tune/workers/pool.node.js'
import { PartFile } from './part-file.js'
import { LEASE_MS, sharedPool } from './shared-pool.js'
import { readTextOf } from './whole-files.js'

/** How a measurement is run. */
export interface MeasuringOptions {
  /** Worker threads; default one per core. */
  readonly threads?: number
  /** Stops the measurement; what was measured is left beside the output, and the same call goes on from there. */
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
  /** Overwrites what is there, and starts anew. */
  readonly force?: boolean
}

/** How a measurement is shared with other machines, which are given the same call. */
export interface Shared {
  /** Address of a queue: file:///FOLDER, nats://HOST:PORT or tls://HOST:PORT. */
  readonly queue?: string
  /** A file with what its broker asks for. */
  readonly queueCredentials?: string
}

/** @param queue of this measurement, where other machines work on it too */
export function poolOf({ threads = availableParallelism(), signal }: MeasuringOptions, queue?: Engine): PoolOptions {
  const here = startThreads(threads)
  return { startPool: queue ? sharedPool(queue, here) : here, signal }
}

/** The queue of a measurement: of that model, pictures and options alone. @param key names it */
export async function queueOf({ queue, queueCredentials }: Shared, key: string): Promise<Engine | undefined> {
  if (queue === undefined) return undefined
  const credentials = queueCredentials && (await readTextOf("a broker's credentials", queueCredentials))
  return openEngine(queue, {
    name: `measure-${key.slice(0, 32)}`,
    leaseMs: LEASE_MS,
    limit: 100_000,
    // Machines that are not that far, or further, give a task back.
    attempts: 1000,
    prefetch: 1,
    credentials,
  })
}

/**
 * Does work that may be interrupted, with the part file beside its output; removes that when `finish` is through.
 * @param work gets what an earlier run left, unless that is not wanted
 */
export async function resumably<T>(
  output: string,
  { force = false }: MeasuringOptions,
  work: (left: string | undefined, part: PartFile) => Promise<T>,
  finish: (result: T) => Promise<void> = async () => {},
): Promise<T> {
  const part = new PartFile(output)
  const left = force ? undefined : await part.read()
  let result: T
  try {
    result = await work(left, part)
  } catch (error) {
    throw await part.left(error)
  }
  await finish(result)
  await part.remove()
  return result
}
