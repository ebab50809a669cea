// A step as a party holds it: its layout with the index maps in WASM memory, where kernels read them.
import { RingfenceError } from '../errors.js'
import { type Kernels, type Region, upload } from '../kernels/instance.js'
import { type Activation, elementCount, type Plan, reluShape } from '../plan/plan.js'
import {
  type ActivationOf,
  type ActiveLayout,
  type IndexMap,
  type PlanLayout,
  planLayout,
  type ReluMaps,
  type StepLayout,
} from './layout.js'

export { isActive } from './layout.js'

export type PlannedStep<A extends Activation = Activation> = StepLayout<A, Region>
/** A step that has an activation. */
export type ActiveStep<A extends Activation = Activation> = ActiveLayout<A, Region>

/** Everything a party needs of a plan to walk it; made once per plan and instance. */
export interface PlannedSteps<P extends Plan = Plan> extends PlanLayout<P, Region> {
  release(): void
}

/**
 * Puts a plan's maps into an instance's memory.
 * @throws RingfenceError PROTOCOL where a map points outside what it indexes; gather and scatter rely on it
 */
export function layOut<P extends Plan>(k: Kernels, plan: P): PlannedSteps<P> {
  const { steps, waves } = planLayout(plan)
  const maps = new MapsInMemory(k)
  try {
    const placed = steps.map((step): PlannedStep<ActivationOf<P>> => ({ ...step, relu: inMemory(step, maps) }))
    const grouped = waves.map((wave) => wave.map(({ index }) => placed[index]))
    return { plan, steps: placed, waves: grouped, release: () => maps.release() }
  } catch (error) {
    maps.release()
    throw error
  }
}

/** One region per map, however many names it has. */
class MapsInMemory {
  readonly #regions = new Map<IndexMap, Region>()

  constructor(private readonly k: Kernels) {}

  /** @param limit what is indexed has as many places */
  indices(map: IndexMap, limit: number): Region {
    // Unsigned: a negative index is a large one.
    if (map.some((index) => index >>> 0 >= limit)) {
      throw new RingfenceError(
        'PROTOCOL',
        `an index map of the plan points beyond ${limit} places; it is not a sound plan`,
      )
    }
    return this.numbers(map)
  }

  numbers(map: IndexMap): Region {
    let region = this.#regions.get(map)
    if (!region) this.#regions.set(map, (region = upload(this.k.memory, map)))
    return region
  }

  release(): void {
    for (const region of this.#regions.values()) region.release()
    this.#regions.clear()
  }
}

function inMemory({ step, relu, size }: StepLayout, maps: MapsInMemory): ReluMaps<Region> | null {
  if (!relu) return null
  const { opened, copied, patch, zeros } = relu
  const all = elementCount(reluShape(step))
  const out = elementCount(step.out)
  const indices = (map: IndexMap | null, limit: number) => map && maps.indices(map, limit)
  return {
    ...relu,
    valueElement: indices(relu.valueElement, all),
    comparisonOf: indices(relu.comparisonOf, relu.comparisons),
    tested: indices(relu.tested, relu.values + relu.patches),
    opened: { ...opened, element: indices(opened.element, copied ? size : all) },
    copied: copied && {
      runs: copied.runs,
      openedOf: indices(copied.openedOf, opened.values),
      patches: copied.patches && {
        of: maps.indices(copied.patches.of, opened.patches),
        offset: maps.numbers(copied.patches.offset),
      },
    },
    patch: patch && {
      count: patch.count,
      start: maps.indices(patch.start, patch.elements.length + 1),
      elements: maps.indices(patch.elements, copied ? size : all),
      shifts: maps.numbers(patch.shifts),
    },
    resultElement: indices(relu.resultElement, out),
    zeros: zeros && { count: zeros.count, index: maps.indices(zeros.index, out) },
  }
}
