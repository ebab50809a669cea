// Every reader against damaged files: each either reads or refuses with a RingfenceError, soon, and within its memory.
import { describe, expect, test } from 'vitest'
import { processorMs } from '../fixtures/clock.js'
import { allocationsOf } from './allocation.js'
import { FORMATS } from './fuzz-formats.js'
import { mutated } from './mutate.js'

/** Cases in total, shared out evenly. */
const CASES = 24_000
/** No damaged file of a kilobyte may take longer, in milliseconds of the processor: a thousand times the usual. */
const LONGEST = 3000
/** Bytes of typed arrays one case may ask for: what `Budget` gives, and as much again for the inflater. */
const MOST_BYTES = 2 ** 27

const perFormat = Math.ceil(CASES / FORMATS.length)

describe(`${CASES} damaged files`, () => {
  test.each(FORMATS)('$name', ({ name, file, read }) => {
    read(file)
    let refused = 0
    let slowest = 0
    let largest = 0
    for (let index = 0; index < perFormat; index++) {
      const damaged = mutated(file, index)
      const start = processorMs()
      let error: unknown
      const bytes = allocationsOf(() => {
        try {
          read(damaged)
        } catch (thrown) {
          error = thrown
        }
      })
      slowest = Math.max(slowest, processorMs() - start)
      largest = Math.max(largest, bytes)
      if (error === undefined) continue
      refused++
      // Not instanceof alone: the message says which case to look at.
      if ((error as Error).name !== 'RingfenceError') throw new Error(`${name}, case ${index}`, { cause: error })
    }
    expect(slowest).toBeLessThan(LONGEST)
    expect(largest).toBeLessThan(MOST_BYTES)
    // Damage that is never noticed, or always, would mean that nothing was tested.
    expect(refused).toBeGreaterThan(perFormat / 20)
    expect(refused).toBeLessThan(perFormat)
  })
})
