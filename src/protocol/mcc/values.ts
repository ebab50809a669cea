// Which words of a ReLU step belong together: opened values, what is compared, activated values, results. One call per map
// of the layout, each of which may be left out where it changes nothing.
import { gather32, gatherBits, scatter32 } from '../../kernels/index-maps.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { groupsOf } from '../../kernels/mcc.js'
import { elementCount } from '../../plan/plan.js'
import type { PlannedRelu } from '../step.js'
import { grouped } from './bends.js'
import type { ReluStep } from './step.js'

/** What comparisons test, in whole groups: `values` itself, or picked from it. Released by the caller if not `values`. */
export function tested(k: Kernels, { tested: index, comparisons }: PlannedRelu, values: Region): Region {
  if (!index) return values
  const out = grouped(k, comparisons)
  gather32(k, values, index, out)
  return out
}

/** Per-value bits from per-comparison bits. */
export function perValue(k: Kernels, { comparisonOf, switched }: PlannedRelu, bits: Region): Region {
  if (!comparisonOf) return bits
  const out = k.memory.alloc(groupsOf(switched))
  gatherBits(k, bits, comparisonOf, out)
  return out
}

/** The opened elements of a map, in the order in which they are opened. Released by the caller if it is not `map`. */
export function openedValues(k: Kernels, { opened, openedElement }: PlannedRelu, map: Region): Region {
  if (!openedElement) return map
  const out = k.memory.alloc(opened.values * 4)
  gather32(k, map, openedElement, out)
  return out
}

/** Words of the results from one per element: `map` itself where all are. */
export function picked(k: Kernels, map: Region, { results, resultElement }: PlannedRelu): Region {
  if (!resultElement) return map
  const out = k.memory.alloc(results * 4)
  gather32(k, map, resultElement, out)
  return out
}

/** One word per element from the results'; releases what it was given if that is not the same. */
export function placed(k: Kernels, { step, relu }: ReluStep, results: Region): Region {
  if (!relu.resultElement) return results
  const out = k.memory.allocZero(elementCount(step.out) * 4)
  scatter32(k, results, relu.resultElement, out)
  results.release()
  return out
}
