// What a library call says of its options, said of the flags that set them.
import { RingfenceError } from '../../errors.js'
import { aboutFlags } from './arguments.js'
import { describeFailure } from './failure-report.js'

/** @throws what `work` throws, with every option called by its flag */
export async function inFlags<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof RingfenceError) || error.problems.length === 0) throw error
    const { code, message } = describeFailure(error)
    throw new RingfenceError(code as RingfenceError['code'], message, error.problems.map(aboutFlags), { cause: error })
  }
}
