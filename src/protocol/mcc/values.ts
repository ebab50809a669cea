// Which words of a ReLU step belong together: opened values, what is compared, activated values, results; one call per map of
// the layout, each of which may be left out where it changes nothing. And parts of a step: while one party works on some of
// its values, the other has others in hand, and what lies between is on its way.
import { gather32, gatherBits, scatter32 } from '../../kernels/index-maps.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { groupsOf, tableBytes } from '../../kernels/mcc.js'
import { elementCount } from '../../plan/plan.js'
import type { ReluNumbers } from '../layout.js'
import { PART_VALUES } from '../pieces.js'
import { remembered } from '../remembered.js'
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

/** So many values of a step from `from` on, as a step of their own; or all of it, whatever belongs together there. */
export interface Part<R extends ReluNumbers = PlannedRelu> {
  readonly step: ReluStep<R>
  readonly from: number
  readonly whole: boolean
}

/**
 * The parts of a step in which every element has a comparison of its own; any other step is one.
 * @param guarded then a step is one, too: a guard counts by steps
 */
export const partsOf = remembered(<R extends ReluNumbers>(step: ReluStep<R>, guarded: boolean): readonly Part<R>[] => {
  const { size, relu, activation } = step
  const alike = relu.paired && relu.inOrder && !activation.bends && relu.results === size
  if (guarded || !alike || size <= PART_VALUES) return [{ step, from: 0, whole: true }]
  return Array.from({ length: Math.ceil(size / PART_VALUES) }, (_, i): Part<R> => {
    const from = i * PART_VALUES
    const count = Math.min(PART_VALUES, size - from)
    const numbers = { switched: count, values: count, comparisons: count, results: count }
    const opened = { values: count, patches: 0 }
    return { step: { ...step, size: count, relu: { ...relu, ...numbers, opened } }, from, whole: false }
  })
})

/** A part's tables, or their pads. */
export function tablesOf({ step: { activation, size }, from, whole }: Part, tables: Region): Region {
  const each = (count: number) => tableBytes(activation.chunks, count)
  return whole ? tables : tables.part(each(from), each(size))
}

/** A part's words of a region that has one for each of the step's values. */
export const wordsOf = ({ step, from, whole }: Part, region: Region): Region =>
  whole ? region : region.part(from * 4, step.size * 4)
