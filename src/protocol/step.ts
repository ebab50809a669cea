// A step as a party holds it: the plan's step plus its public index maps in WASM memory.
import type { Kernels, Region } from '../kernels/index.js'
import { upload } from '../kernels/index.js'
import { type Activation, mapSize, type Plan, type Step, stepLayout } from '../plan/plan.js'

/**
 * Which activated value and which comparison belongs to which element. Values are numbered switched ones first, then
 * passed ones, both in element order, then one per patch. A layer that is ReLU everywhere needs no map.
 */
export interface ReluMaps {
  /** Elements that a comparison switches, that pass unchanged, and both together. */
  readonly switched: number
  readonly passed: number
  readonly values: number
  readonly comparisons: number
  readonly patches: number
  /** Element of every value; null when value i is element i. */
  readonly valueElement: Region | null
  /** Comparison of every switched value; null when value i is switched by comparison i. */
  readonly comparisonOf: Region | null
  /** Position among values and patch sums of what each comparison tests; null when comparison i tests value i. */
  readonly tested: Region | null
  readonly patch: { count: number; start: Region; elements: Region; shifts: Region } | null
  /** Elements that become zero. */
  readonly zeros: { count: number; index: Region } | null
}

export interface PlannedStep<A extends Activation = Activation> {
  readonly index: number
  readonly step: Step<A>
  /** Elements of y. */
  readonly size: number
  readonly activation: A | null
  readonly relu: ReluMaps | null
}

/** A step that has an activation. */
export type ActiveStep<A extends Activation = Activation> = PlannedStep<A> & { activation: A; relu: ReluMaps }

export function isActive<A extends Activation>(step: PlannedStep<A>): step is ActiveStep<A> {
  return step.relu !== null
}

type ActivationOf<P extends Plan> = NonNullable<P['steps'][number]['activation']>

/** Everything a party needs of a plan to walk it; made once per plan and instance. */
export interface PlannedSteps<P extends Plan = Plan> {
  readonly plan: P
  readonly steps: readonly PlannedStep<ActivationOf<P>>[]
  release(): void
}

export function layOut<P extends Plan>(k: Kernels, plan: P): PlannedSteps<P> {
  const regions: Region[] = []
  const keep = (data: ArrayBufferView): Region => {
    const region = upload(k.memory, data)
    regions.push(region)
    return region
  }
  const steps = plan.steps.map((each, index) => {
    const step = each as Step<ActivationOf<P>>
    return { index, step, size: mapSize(step.out), activation: step.activation, relu: reluMaps(step, keep) }
  })
  return { plan, steps, release: () => regions.forEach((region) => void region.release()) }
}

function reluMaps(step: Step, keep: (data: ArrayBufferView) => Region): ReluMaps | null {
  const layout = stepLayout(step)
  if (!layout) return null
  const { switched, identity, group, singles, patches, elements } = layout
  const values = switched.length + identity.length
  const plain = switched.length === elements && patches === 0
  const comparisons = singles + patches
  const tested = new Int32Array(comparisons)
  group.forEach((g, position) => {
    if (g < singles) tested[g] = position
  })
  for (let p = 0; p < patches; p++) tested[singles + p] = values + p
  const order = Int32Array.from([...switched, ...identity])
  const inOrder = values === elements && order.every((element, i) => element === i)
  return {
    switched: switched.length,
    passed: identity.length,
    values,
    comparisons,
    patches,
    valueElement: inOrder ? null : keep(order),
    comparisonOf: plain ? null : keep(group),
    tested: plain ? null : keep(tested),
    patch:
      patches === 0
        ? null
        : {
            count: patches,
            start: keep(layout.patchStart),
            elements: keep(layout.patchElements),
            shifts: keep(layout.patchShift),
          },
    zeros: values === elements ? null : zeroMap(order, elements, keep),
  }
}

function zeroMap(order: Int32Array, elements: number, keep: (data: ArrayBufferView) => Region) {
  const kept = new Uint8Array(elements)
  for (const element of order) kept[element] = 1
  const index = Int32Array.from(Array.from({ length: elements }, (_, i) => i).filter((i) => kept[i] === 0))
  return { count: index.length, index: keep(index) }
}
