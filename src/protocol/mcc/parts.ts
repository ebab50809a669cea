// A step's values in parts: while one party works on some of them, the other has others in hand, and what lies between is
// on its way. The bytes of a step and its one round trip stay what they are.
import type { Region } from '../../kernels/instance.js'
import { tableBytes } from '../../kernels/mcc.js'
import type { ReluNumbers } from '../layout.js'
import { PART_VALUES } from '../pieces.js'
import type { PlannedRelu } from '../step.js'
import type { ReluStep } from './step.js'

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
export function partsOf<R extends ReluNumbers>(step: ReluStep<R>, guarded: boolean): readonly Part<R>[] {
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
}

/** A part's tables, or their pads. */
export function tablesOf({ step: { activation, size }, from, whole }: Part, tables: Region): Region {
  const each = (count: number) => tableBytes(activation.chunks, count)
  return whole ? tables : tables.part(each(from), each(size))
}

/** A part's words of a region that has one for each of the step's values. */
export const wordsOf = ({ step, from, whole }: Part, region: Region): Region =>
  whole ? region : region.part(from * 4, step.size * 4)
