// What a plan makes of its steps: public, and the same at every party. The numbers come first, and declared costs and
// predictions need no more; the index maps are made for those who run the plan (step.ts puts them into memory of kernels).
import type { PatchLists } from '../kernels/index-maps.js'
import { groupedWindows, meetingsOf, windowTaps } from '../plan/max-pools.js'
import { type Openings, openings, type Run } from '../plan/openings.js'
import {
  type Activation,
  type Backend,
  elementCount,
  hasWins,
  linearShape,
  maxPoolOf,
  type Plan,
  type Product,
  productFactors,
  reluShape,
  type Step,
  stepCounts,
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

/** How much a step's activation compares, opens and gives back. Where several ReLUs read one value (`bends`), of all copies. */
export interface ReluNumbers {
  /** Elements that a comparison switches, that pass unchanged, and both together. */
  readonly switched: number
  readonly passed: number
  readonly values: number
  readonly comparisons: number
  /** Comparisons that test the sum of a patch. */
  readonly patches: number
  /** Elements of the sums that are taken: on `mcc` the opened ones, of y; on `securenn` the compared ones, of all copies. */
  readonly patchElements: number
  /** Whether value i is element i. */
  readonly inOrder: boolean
  /** Whether comparison i tests and switches value i, and all do. */
  readonly paired: boolean
  /** What is opened on `mcc`: values, then patch sums. */
  readonly opened: { readonly values: number; readonly patches: number }
  /** Elements of the step's result that are not known to be zero: as many words come back. */
  readonly results: number
}

/**
 * Which activated value and which comparison belongs to which element. Values are numbered switched ones first, then
 * passed ones, both in element order, then one per patch. A layer that is ReLU everywhere needs no map.
 */
export interface ReluMaps<F extends Forms = Lists> {
  /** Element of every value; null when value i is element i. */
  readonly valueElement: F['map'] | null
  /** Comparison of every switched value; null when value i is switched by comparison i. */
  readonly comparisonOf: F['map'] | null
  /** Position among values and patch sums of what each comparison tests; null when comparison i tests value i. */
  readonly tested: F['map'] | null
  /** Element of y of every opened value on `mcc`; null when opened value i is element i. */
  readonly openedElement: F['map'] | null
  /** How values and patch sums follow from opened ones; null when they are the same. */
  readonly copied: CopyMaps<F> | null
  /** Sums that are taken. */
  readonly patch: F['patches'] | null
  /** Element of every result, null when result i is element i: in the order of values, or ascending where copies are summed. */
  readonly resultElement: F['map'] | null
  /** Elements of the result that become zero. */
  readonly zeros: F['map'] | null
  /** Position among values of every result's first copy; null where no copies are summed. */
  readonly firstCopy: F['map'] | null
  /** The elements that each window reads, first, second and third; absent where there are no windows. */
  readonly taps?: readonly F['map'][]
}

/** Several ReLUs of one opened value on `mcc`. */
export interface CopyMaps<F extends Forms = Lists> {
  readonly runs: readonly Run[]
  /** Opened value of every value; null when every run is all of them in order. */
  readonly openedOf: F['map'] | null
  readonly patches: { of: F['map']; offset: F['words'] } | null
}

/** A step and its numbers, or with `R` its maps as well. */
export interface StepLayout<A extends Activation = Activation, R extends ReluNumbers = ReluNumbers> {
  readonly index: number
  readonly step: Step<A>
  /** Elements of y. */
  readonly size: number
  readonly activation: A | null
  readonly relu: R | null
  readonly product: ProductNumbers | null
}

/** What a product multiplies: `count` elements of tensor `left` with those of tensor `right`, on as many bits. */
export interface ProductNumbers extends Product {
  /** Element i meets factor (i / plane) mod `broad` of the right tensor. */
  readonly broad: number
  readonly plane: number
  readonly left: number
  readonly right: number
  readonly count: number
}

/** A step that has an activation. */
export type ActiveLayout<A extends Activation = Activation, R extends ReluNumbers = ReluNumbers> = StepLayout<A, R> & {
  activation: A
  relu: R
}

export function isActive<A extends Activation, R extends ReluNumbers>(
  step: StepLayout<A, R>,
): step is ActiveLayout<A, R> {
  return step.relu !== null
}

/** A step that multiplies two tensors. */
export type ProductLayout<A extends Activation = Activation, R extends ReluNumbers = ReluNumbers> = StepLayout<A, R> & {
  product: ProductNumbers
}

export function isProduct<A extends Activation, R extends ReluNumbers>(
  step: StepLayout<A, R>,
): step is ProductLayout<A, R> {
  return Boolean(step.product)
}

export type ActivationOf<P extends Plan> = NonNullable<P['steps'][number]['activation']>

/** A plan's steps, and the same again in waves; on `mcc` those of one wave share a round trip. */
export interface PlanLayout<P extends Plan = Plan, R extends ReluNumbers = ReluNumbers> {
  readonly plan: P
  readonly steps: readonly StepLayout<ActivationOf<P>, R>[]
  readonly waves: readonly (readonly StepLayout<ActivationOf<P>, R>[])[]
}

export function planLayout<P extends Plan>(plan: P): PlanLayout<P> {
  const steps = plan.steps.map((each, index) => {
    const step = each as Step<ActivationOf<P>>
    const size = elementCount(linearShape(step))
    const factors = productFactors(step)
    return {
      ...{ index, step, size, activation: step.activation, relu: reluNumbers(step, plan.backend) },
      product: factors && { ...factors, ...step.product!, count: size },
    }
  })
  return { plan, steps, waves: waves(plan.steps).map(({ from, to }) => steps.slice(from, to)) }
}

function reluNumbers(step: Step, backend: Backend): ReluNumbers | null {
  const counts = stepCounts(step)
  if (!counts) return null
  if (maxPoolOf(step)) return maxPoolNumbers(step)
  if (hasWins(step)) return winsNumbers(step)
  const { switched, passed, singles, patches, inOrder } = counts
  const values = switched + passed
  const elements = elementCount(reluShape(step))
  const own = step.activation?.bends ? bentNumbers(step, backend, values === elements && patches === 0) : null
  return {
    ...{ switched, passed, values, comparisons: singles + patches, patches, inOrder },
    patchElements: own?.patchElements ?? counts.patchElements,
    paired: switched === elements && patches === 0,
    opened: own?.opened ?? { values, patches },
    results: own && step.activation?.bends?.sum ? own.results : values,
  }
}

/** Of windows of three: all elements are opened, three differences compared, two switched, and one value passes. */
function maxPoolNumbers(step: Step): ReluNumbers {
  const windows = groupedWindows(step)
  return {
    ...{ switched: 2 * windows, passed: windows, values: 3 * windows, comparisons: 3 * windows, patches: 0 },
    ...{ patchElements: 0, inOrder: true, paired: false, results: elementCount(step.out) },
    opened: { values: elementCount(linearShape(step)), patches: 0 },
  }
}

/** Of wins: all elements are opened, none is switched. */
function winsNumbers(step: Step): ReluNumbers {
  const size = elementCount(linearShape(step))
  return {
    ...{ switched: 0, passed: 0, values: 0, comparisons: meetingsOf(step), patches: 0, patchElements: 0 },
    ...{ inOrder: true, paired: false, results: size, opened: { values: size, patches: 0 } },
  }
}

/** Where several ReLUs read one value, what they open together. `all`: every copy of every value, and no patches. */
function bentNumbers(step: Step, backend: Backend, all: boolean) {
  const size = elementCount(linearShape(step))
  if (all)
    return { results: size, patchElements: 0, opened: backend === 'mcc' ? { values: size, patches: 0 } : undefined }
  const { elements, patchShift, patchElements } = openings(step, stepLayout(step)!)
  const results = elements.length
  if (backend !== 'mcc') return { results }
  return {
    results,
    patchElements: patchElements.length,
    opened: { values: results, patches: patchShift.length },
  }
}

/** The maps of a step with an activation. */
export function reluMaps({ step, relu }: ActiveLayout, backend: Backend): ReluMaps {
  // ReLU of every element: nothing needs a map, and nothing is laid out.
  if (relu.paired && !step.activation?.bends) return NO_MAPS
  if (hasWins(step)) return NO_MAPS
  const windows = maxPoolOf(step)
  if (windows) return { ...NO_MAPS, taps: windowTaps(step, windows) }
  const layout = stepLayout(step)!
  const { switched, identity, group, singles, patches } = layout
  const tested = new Int32Array(relu.comparisons)
  for (let position = 0; position < group.length; position++) {
    if (group[position] < singles) tested[group[position]] = position
  }
  for (let p = 0; p < patches; p++) tested[singles + p] = relu.values + p
  const order = new Int32Array(relu.values)
  order.set(switched)
  order.set(identity, switched.length)
  const valueElement = relu.inOrder ? null : order
  const copies = backend === 'mcc' && step.activation?.bends ? openings(step, layout) : null
  return {
    valueElement,
    comparisonOf: relu.paired ? null : group,
    tested: relu.paired ? null : tested,
    openedElement: copies ? mapOf(copies.elements, elementCount(linearShape(step))) : valueElement,
    copied: copies && copyMaps(copies),
    patch: patchMaps(copies ?? layout),
    ...resultMaps(step, order, valueElement),
  }
}

const NO_MAPS: ReluMaps = {
  ...{ valueElement: null, comparisonOf: null, tested: null, openedElement: null, copied: null, patch: null },
  ...{ resultElement: null, zeros: null, firstCopy: null },
}

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
  if (!sum && order.length === size) return { resultElement: valueElement, zeros: null, firstCopy: null }
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
    resultElement: sum ? mapOf(results, size) : valueElement,
    zeros: zeros === 0 ? null : ascending(0),
    firstCopy: sum ? firstCopies(order, results, size) : null,
  }
}

/** Where in `order` each result comes first. `results`: ascending elements */
function firstCopies(order: Int32Array, results: Int32Array, size: number): Int32Array {
  const first = new Int32Array(size).fill(-1)
  for (let i = order.length - 1; i >= 0; i--) first[order[i] % size] = i
  return results.map((element) => first[element])
}
