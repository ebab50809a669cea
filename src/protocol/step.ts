// A step as a party holds it: its layout with the index maps in WASM memory, where kernels read them.
import { type IndexMap, type PatchMap, uploadIndexMap, uploadPatchMap } from '../kernels/index-maps.js'
import { type Kernels, type Region, upload } from '../kernels/instance.js'
import { turn } from '../net/index.js'
import type { Activation, Plan } from '../plan/plan.js'
import {
  type ActivationOf,
  type ActiveLayout,
  type Forms,
  isActive,
  type PlanLayout,
  planLayout,
  type ReluMaps,
  type ReluNumbers,
  reluMaps,
  type StepLayout,
} from './layout.js'

export { isActive, isProduct } from './layout.js'

/** Maps in an instance's memory, checked when they were put there. */
export interface InMemory extends Forms {
  readonly map: IndexMap
  readonly words: Region
  readonly patches: PatchMap
}

/** An activation's numbers and maps. */
export type PlannedRelu = ReluNumbers & ReluMaps<InMemory>
export type PlannedStep<A extends Activation = Activation> = StepLayout<A, PlannedRelu>
/** A step that has an activation. */
export type ActiveStep<A extends Activation = Activation> = ActiveLayout<A, PlannedRelu>

/** Everything a party needs of a plan to walk it; made once per plan and instance. */
export interface PlannedSteps<P extends Plan = Plan> extends PlanLayout<P, PlannedRelu> {
  release(): void
}

/** Puts a plan's maps into an instance's memory. */
export function layOut<P extends Plan>(k: Kernels, plan: P): PlannedSteps<P> {
  const laying = layingOut(k, plan)
  for (;;) {
    const { done, value } = laying.next()
    if (done) return value
  }
}

/** As `layOut`. What else waits in this thread has its turn after every step: maps of millions of values take seconds. */
export async function layOutInTurns<P extends Plan>(k: Kernels, plan: P): Promise<PlannedSteps<P>> {
  const laying = layingOut(k, plan)
  for (;;) {
    const { done, value } = laying.next()
    if (done) return value
    await turn()
  }
}

function* layingOut<P extends Plan>(k: Kernels, plan: P): Generator<undefined, PlannedSteps<P>, undefined> {
  const { steps, waves } = planLayout(plan)
  const maps = new MapsInMemory(k)
  const placed: PlannedStep<ActivationOf<P>>[] = []
  try {
    for (const step of steps) {
      const relu = isActive(step) ? { ...step.relu, ...inMemory(reluMaps(step, plan.backend), maps) } : null
      placed.push({ ...step, relu })
      yield
    }
  } catch (error) {
    maps.release()
    throw error
  }
  const grouped = waves.map((wave) => wave.map(({ index }) => placed[index]))
  return { plan, steps: placed, waves: grouped, release: () => maps.release() }
}

/** One map in memory per list, however many names it has. */
class MapsInMemory {
  readonly #maps = new Map<Int32Array, IndexMap>()
  readonly #others: { release(): void }[] = []

  constructor(private readonly k: Kernels) {}

  readonly map = (positions: Int32Array): IndexMap => {
    let map = this.#maps.get(positions)
    if (!map) this.#maps.set(positions, (map = uploadIndexMap(this.k, positions)))
    return map
  }

  words(words: Int32Array): Region {
    return this.#kept(upload(this.k.memory, words))
  }

  patches(lists: Parameters<typeof uploadPatchMap>[1]): PatchMap {
    return this.#kept(uploadPatchMap(this.k, lists))
  }

  release(): void {
    for (const map of [...this.#maps.values(), ...this.#others]) map.release()
    this.#maps.clear()
    this.#others.length = 0
  }

  #kept<Made extends { release(): void }>(made: Made): Made {
    this.#others.push(made)
    return made
  }
}

function inMemory(relu: ReluMaps, maps: MapsInMemory): ReluMaps<InMemory> {
  const { copied, patch } = relu
  const map = (positions: Int32Array | null) => positions && maps.map(positions)
  return {
    valueElement: map(relu.valueElement),
    comparisonOf: map(relu.comparisonOf),
    tested: map(relu.tested),
    openedElement: map(relu.openedElement),
    copied: copied && {
      runs: copied.runs,
      openedOf: map(copied.openedOf),
      patches: copied.patches && { of: maps.map(copied.patches.of), offset: maps.words(copied.patches.offset) },
    },
    patch: patch && maps.patches(patch),
    resultElement: map(relu.resultElement),
    zeros: map(relu.zeros),
    firstCopy: map(relu.firstCopy),
    taps: relu.taps?.map(maps.map),
  }
}
