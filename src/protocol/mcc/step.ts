// A step as a party holds it: the plan's step plus its public index maps in WASM memory.
import type { Kernels, Region } from '../../kernels/index.js'
import { upload } from '../../kernels/index.js'
import type { Chain } from '../../kernels/mcc.js'
import { type Activation, mapSize, type Plan, type Step, stepLayout } from '../../plan/plan.js'

/**
 * Which opened value and which comparison belongs to which element. Opened values are numbered switched ones first,
 * then passed ones, both in element order, then one per patch. A layer that is ReLU everywhere needs no map.
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
  /** Position among the opened values of what each comparison tests; null when comparison i tests value i. */
  readonly tested: Region | null
  readonly patch: { count: number; start: Region; elements: Region; shifts: Region } | null
  /** Elements that become zero. */
  readonly zeros: { count: number; index: Region } | null
  readonly chain: Chain
}

export interface PlannedStep {
  readonly index: number
  readonly step: Step
  /** Elements of y. */
  readonly size: number
  readonly activation: Activation | null
  readonly relu: ReluMaps | null
}

/** Everything a party needs of a plan to walk it; made once per plan and instance. */
export interface PlannedSteps {
  readonly plan: Plan
  readonly steps: readonly PlannedStep[]
  release(): void
}

export function layOut(k: Kernels, plan: Plan): PlannedSteps {
  const regions: Region[] = []
  const keep = (data: ArrayBufferView): Region => {
    const region = upload(k.memory, data)
    regions.push(region)
    return region
  }
  const steps = plan.steps.map((step, index) => ({
    index,
    step,
    size: mapSize(step.out),
    activation: step.activation,
    relu: step.activation && reluMaps(step, step.activation, keep),
  }))
  return { plan, steps, release: () => regions.forEach((region) => void region.release()) }
}

function reluMaps(step: Step, activation: Activation, keep: (data: ArrayBufferView) => Region): ReluMaps {
  const layout = stepLayout(step)!
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
    chain: chainOf(activation),
  }
}

function zeroMap(order: Int32Array, elements: number, keep: (data: ArrayBufferView) => Region) {
  const kept = new Set(order)
  const index = Int32Array.from(Array.from({ length: elements }, (_, i) => i).filter((i) => !kept.has(i)))
  return { count: index.length, index: keep(index) }
}

/** The comparison of an activation; the window's errors are centred on zero. */
export function chainOf({ bits, lo, chunks }: Activation): Chain {
  return { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
}
