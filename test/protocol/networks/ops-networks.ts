// How a network of random weights is run: equal to the integer reference in every value, and close to float.
import { expect } from 'vitest'
import { type ExactRow, runExactly } from '../../../bench/suites/exact.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { CompileOptions } from '../../../src/plan/compile/compile.js'

export const THIN = { widthMultiplier: 0.25, headChannels: 32 }

export async function expectExact(file: object, options: CompileOptions): Promise<ExactRow> {
  const row = await runExactly(parseArchitecture(file), options)
  const { network, backend, differing, overflows, error, range, flights } = row
  console.log(`${network}, ${backend}: error ${error.toFixed(5)} of ${range.toFixed(3)}, ${flights} flights`)
  expect({ differing, overflows }).toEqual({ differing: 0, overflows: 0 })
  expect(range).toBeGreaterThan(0.05)
  // Two bits of an output are headroom.
  expect(error).toBeLessThan(0.015 * range)
  return row
}
