// What a plan makes of its steps, as numbers and index maps: public, the same at every party, and no memory of kernels
// (step.ts puts it there). Declared costs and predictions need no more.
import type { PatchLists } from '../kernels/index-maps.js'
import { type Openings, openings, type Run } from '../plan/openings.js'
import {
  type Activation,
  type Backend,
  elementCount,
  linearShape,
  type Plan,
  type Step,
  stepLayout,
} from '../plan/plan.js'
import { waves } from '../plan/waves.js'

/** How maps are held: positions, words that go with them, and lists of positions per patch. */
export interface Forms {
  readonly map: unknown
  readonly words: unknown
  readonly patches: unknown
}

/** As plain arrays. */
export interface Lists extends Forms {
  readonly map: Int32Array
  readonly words: Int32Array
  readonly patches: PatchLists
}

/**
 * Which activated value and which comparison belongs to which element. Values are numbered switched ones first, then
 * passed ones, both in element order, then one per patch. A layer that is ReLU everywhere needs no map. Where several
 * ReLUs read one value (`bends`), the elements are those of all copies.
 */
export interface ReluMaps<F extends Forms = Lists> {
  /** Elements that a comparison switches, that pass unchanged, and both together. */
  readonly switched: number
  readonly passed: number
  readonly values: number
  readonly comparisons: number
  /** Comparisons that test the sum of a patch. */
  readonly patches: number
  /** Element of every value; null when value i is element i. */
  readonly valueElement: F['map'] | null
  /** Comparison of every switched value; null when value i is switched by comparison i. */
  readonly comparisonOf: F['map'] | null
  /** Position among values and patch sums of what each comparison tests; null when comparison i tests value i. */
  readonly tested: F['map'] | null
  readonly opened: OpenedMaps<F>
  /** How values and patch sums follow from opened ones; null when they are the same. */
  readonly copied: CopyMaps<F> | null
  /** Sums that are taken: on `mcc` the opened ones, of y; on `securenn` the compared ones, of all copies. */
  readonly patch: F['patches'] | null
  /** Elements of the step's result that are not known to be zero: as many words come back. */
  readonly results: number
  /** Element of every result, null when result i is element i: in the order of values, or ascending where copies are summed. */
  readonly resultElement: F['map'] | null
  /** Elements of the result that become zero. */
  readonly zeros: F['map'] | null
}

/** What is opened on `mcc`: values, then patch sums. */
export interface OpenedMaps<F extends Forms = Lists> {
  readonly values: number
  readonly patches: number
  /** Element of y of every opened value; null when opened value i is element i. */
  readonly element: F['map'] | null
}

/** Several ReLUs of one opened value on `mcc`. */
export interface CopyMaps<F extends Forms = Lists> {
  readonly runs: readonly Run[]
  /** Opened value of every value; null when every run is all of them in order. */
  readonly openedOf: F['map'] | null
  readonly patches: { of: F['map']; offset: F['words'] } | null
}

/** A step and its maps. */
export interface StepLayout<A extends Activation = Activation, F extends Forms = Lists> {
  readonly index: number
  readonly step: Step<A>
  /** Elements of y. */
  readonly size: number
  readonly activation: A | null
  readonly relu: ReluMaps<F> | null
}

/** A step that has an activation. */
export type ActiveLayout<A extends Activation = Activation, F extends Forms = Lists> = StepLayout<A, F> & {
  activation: A
  relu: ReluMaps<F>
}

export function isActive<A extends Activation, F extends Forms>(step: StepLayout<A, F>): step is ActiveLayout<A, F> {
  return step.relu !== null
}

export type ActivationOf<P extends Plan> = NonNullable<P['steps'][number]['activation']>

/** A plan's steps, and the same again in waves; on `mcc` those of one wave share a round trip. */
export interface PlanLayout<P extends Plan = Plan, F extends Forms = Lists> {
  readonly plan: P
  readonly steps: readonly StepLayout<ActivationOf<P>, F>[]
  readonly waves: readonly (readonly StepLayout<ActivationOf<P>, F>[])[]
}

export function planLayout<P extends Plan>(plan: P): PlanLayout<P> {
  const steps = plan.steps.map((each, index) => {
    const step = each as Step<ActivationOf<P>>
    const size = elementCount(linearShape(step))
    return { index, step, size, activation: step.activation, relu: reluMaps(step, plan.backend) }
  })
  return { plan, steps, waves: waves(plan.steps).map(({ from, to }) => steps.slice(from, to)) }
}

function reluMaps(step: Step, backend: Backend): ReluMaps | null {
  if (!step.activation) return null
  if (step.activation.relu.kind === 'relu' && !step.activation.bends) return everywhere(elementCount(step.out))
  const layout = stepLayout(step)!
  const { switched, identity, group, singles, patches, elements } = layout
  const values = switched.length + identity.length
  const plain = switched.length === elements && patches === 0
  const comparisons = singles + patches
  const tested = new Int32Array(comparisons)
  for (let position = 0; position < group.length; position++) {
    if (group[position] < singles) tested[group[position]] = position
  }
  for (let p = 0; p < patches; p++) tested[singles + p] = values + p
  const order = new Int32Array(values)
  order.set(switched)
  order.set(identity, switched.length)
  const valueElement = mapOf(order, elements)
  const copies = backend === 'mcc' && step.activation?.bends ? openings(step, layout) : null
  return {
    switched: switched.length,
    passed: identity.length,
    values,
    comparisons,
    patches,
    valueElement,
    comparisonOf: plain ? null : group,
    tested: plain ? null : tested,
    opened: copies
      ? {
          values: copies.elements.length,
          patches: copies.patchShift.length,
          element: mapOf(copies.elements, elementCount(linearShape(step))),
        }
      : { values, patches, element: valueElement },
    copied: copies && copyMaps(copies),
    patch: patchMaps(copies ?? layout),
    ...resultMaps(step, order, valueElement),
  }
}

/** ReLU of every element: nothing needs a map. */
const everywhere = (count: number): ReluMaps => ({
  ...{ switched: count, passed: 0, values: count, comparisons: count, patches: 0, results: count },
  ...{
    valueElement: null,
    comparisonOf: null,
    tested: null,
    copied: null,
    patch: null,
    resultElement: null,
    zeros: null,
  },
  opened: { values: count, patches: 0, element: null },
})

/** A map that is left out where it changes nothing. */
function mapOf(order: Int32Array, elements: number): Int32Array | null {
  if (order.length !== elements) return order
  for (let i = 0; i < elements; i++) if (order[i] !== i) return order
  return null
}

function copyMaps({ openedOf, elements, runs, patchOf, patchOffset }: Openings): CopyMaps {
  const inOrder = runs.every(({ count }) => count === elements.length)
  return {
    runs,
    openedOf: inOrder && openedOf.every((opened, i) => opened === i % elements.length) ? null : openedOf,
    patches: patchOf.length === 0 ? null : { of: patchOf, offset: patchOffset },
  }
}

type Patches = Pick<Openings, 'patchStart' | 'patchElements' | 'patchShift'>

function patchMaps({ patchStart, patchElements, patchShift }: Patches): ReluMaps['patch'] {
  if (patchShift.length === 0) return null
  return { start: patchStart, elements: patchElements, shifts: patchShift }
}

/** Which elements of the result come back, and which are zero. */
function resultMaps(step: Step, order: Int32Array, valueElement: Int32Array | null) {
  const size = elementCount(step.out)
  const sum = step.activation?.bends?.sum
  if (!sum && order.length === size) return { results: size, resultElement: valueElement, zeros: null }
  const kept = new Uint8Array(size)
  for (let i = 0; i < order.length; i++) kept[order[i] % size] = 1
  const ascending = (bit: number): Int32Array => {
    const found = new Int32Array(size)
    let count = 0
    for (let i = 0; i < size; i++) if (kept[i] === bit) found[count++] = i
    return found.subarray(0, count)
  }
  const results = sum ? ascending(1) : order
  const zeros = size - results.length
  return {
    results: results.length,
    resultElement: sum ? mapOf(results, size) : valueElement,
    zeros: zeros === 0 ? null : ascending(0),
  }
}
