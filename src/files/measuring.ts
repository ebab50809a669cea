// What measurements on a model's files have in common: who works on them, and what an interrupted one leaves.
import { availableParallelism } from 'node:os'
import type { OnStage } from '../tune/progress.js'
import type { PoolOptions } from '../tune/workers/pool.js'
import { startThreads } from '../tune/workers/pool.node.js'
import { PartFile } from './part-file.js'

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

export function poolOf({ threads = availableParallelism(), signal }: MeasuringOptions): PoolOptions {
  return { startPool: startThreads(threads), signal }
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
