// A step as a party holds it: the plan's step plus its public index maps in WASM memory.
import { type IndexMap, type PatchLists, type PatchMap, uploadIndexMap, uploadPatchMap } from '../kernels/index-maps.js'
import { type Kernels, type Region, upload } from '../kernels/instance.js'
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

/**
 * Which activated value and which comparison belongs to which element. Values are numbered switched ones first, then
 * passed ones, both in element order, then one per patch. A layer that is ReLU everywhere needs no map. Where several
 * ReLUs read one value (`bends`), the elements are those of all copies.
 */
export interface ReluMaps {
  /** Elements that a comparison switches, that pass unchanged, and both together. */
  readonly switched: number
  readonly passed: number
  readonly values: number
  readonly comparisons: number
  /** Comparisons that test the sum of a patch. */
  readonly patches: number
  /** Element of every value; null when value i is element i. */
  readonly valueElement: IndexMap | null
  /** Comparison of every switched value; null when value i is switched by comparison i. */
  readonly comparisonOf: IndexMap | null
  /** Position among values and patch sums of what each comparison tests; null when comparison i tests value i. */
  readonly tested: IndexMap | null
  readonly opened: OpenedMaps
  /** How values and patch sums follow from opened ones; null when they are the same. */
  readonly copied: CopyMaps | null
  /** Sums that are taken: on `mcc` the opened ones, of y; on `securenn` the compared ones, of all copies. */
  readonly patch: PatchMap | null
  /** Elements of the step's result that are not known to be zero: as many words come back. */
  readonly results: number
  /** Element of every result, null when result i is element i: in the order of values, or ascending where copies are summed. */
  readonly resultElement: IndexMap | null
  /** Elements of the result that become zero. */
  readonly zeros: IndexMap | null
}

/** What is opened on `mcc`: values, then patch sums. */
export interface OpenedMaps {
  readonly values: number
  readonly patches: number
  /** Element of y of every opened value; null when opened value i is element i. */
  readonly element: IndexMap | null
}

/** Several ReLUs of one opened value on `mcc`. */
export interface CopyMaps {
  readonly runs: readonly Run[]
  /** Opened value of every value; null when every run is all of them in order. */
  readonly openedOf: IndexMap | null
  readonly patches: { of: IndexMap; offset: Region } | null
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
  /** The steps again; on `mcc` those of one wave share a round trip. */
  readonly waves: readonly (readonly PlannedStep<ActivationOf<P>>[])[]
  release(): void
}

export function layOut<P extends Plan>(k: Kernels, plan: P): PlannedSteps<P> {
  const all: { release(): void }[] = []
  const held = <Made extends { release(): void }>(made: Made): Made => {
    all.push(made)
    return made
  }
  const keep: Keep = {
    map: (positions) => held(uploadIndexMap(k, positions)),
    patches: (lists) => held(uploadPatchMap(k, lists)),
    words: (data) => held(upload(k.memory, data)),
  }
  const steps = plan.steps.map((each, index) => {
    const step = each as Step<ActivationOf<P>>
    const { activation } = step
    return { index, step, size: elementCount(linearShape(step)), activation, relu: reluMaps(step, plan.backend, keep) }
  })
  const grouped = waves(plan.steps).map(({ from, to }) => steps.slice(from, to))
  return { plan, steps, waves: grouped, release: () => all.forEach((each) => void each.release()) }
}

/** Uploads what is released with the steps. */
interface Keep {
  map(positions: Int32Array): IndexMap
  patches(lists: PatchLists): PatchMap
  words(data: Int32Array): Region
}

function reluMaps(step: Step, backend: Backend, keep: Keep): ReluMaps | null {
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
  const order = new Int32Array(values)
  order.set(switched)
  order.set(identity, switched.length)
  const valueElement = mapOf(order, elements, keep)
  const copies = backend === 'mcc' && step.activation?.bends ? openings(step, layout) : null
  return {
    switched: switched.length,
    passed: identity.length,
    values,
    comparisons,
    patches,
    valueElement,
    comparisonOf: plain ? null : keep.map(group),
    tested: plain ? null : keep.map(tested),
    opened: copies
      ? {
          values: copies.elements.length,
          patches: copies.patchShift.length,
          element: mapOf(copies.elements, elementCount(linearShape(step)), keep),
        }
      : { values, patches, element: valueElement },
    copied: copies && copyMaps(copies, keep),
    patch: patchMaps(copies ?? layout, keep),
    ...resultMaps(step, order, valueElement, keep),
  }
}

/** A map that is left out where it changes nothing. */
function mapOf(order: Int32Array, elements: number, keep: Keep): IndexMap | null {
  return order.length === elements && order.every((element, i) => element === i) ? null : keep.map(order)
}

function copyMaps({ openedOf, elements, runs, patchOf, patchOffset }: Openings, keep: Keep): CopyMaps {
  const inOrder = runs.every(({ count }) => count === elements.length)
  return {
    runs,
    openedOf: inOrder && openedOf.every((opened, i) => opened === i % elements.length) ? null : keep.map(openedOf),
    patches: patchOf.length === 0 ? null : { of: keep.map(patchOf), offset: keep.words(patchOffset) },
  }
}

type Patches = Pick<Openings, 'patchStart' | 'patchElements' | 'patchShift'>

function patchMaps({ patchStart, patchElements, patchShift }: Patches, keep: Keep): ReluMaps['patch'] {
  if (patchShift.length === 0) return null
  return keep.patches({ start: patchStart, elements: patchElements, shifts: patchShift })
}

/** Which elements of the result come back, and which are zero. */
function resultMaps(step: Step, order: Int32Array, valueElement: IndexMap | null, keep: Keep) {
  const size = elementCount(step.out)
  const kept = new Uint8Array(size)
  for (const element of order) kept[element % size] = 1
  const ascending = (bit: number): Int32Array => {
    const found = new Int32Array(size)
    let count = 0
    for (let i = 0; i < size; i++) if (kept[i] === bit) found[count++] = i
    return found.subarray(0, count)
  }
  const sum = step.activation?.bends?.sum
  const results = sum ? ascending(1) : order
  const zeros = size - results.length
  return {
    results: results.length,
    resultElement: sum ? mapOf(results, size, keep) : valueElement,
    zeros: zeros === 0 ? null : keep.map(ascending(0)),
  }
}
