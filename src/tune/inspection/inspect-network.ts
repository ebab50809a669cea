// What a network is made of and how often its messages go back and forth, in numbers, before anybody runs it.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { type Published, publishedSeesaw } from '../../model/families/seesaw/published.js'
import { isActivation, type Layer } from '../../model/layers/layers.js'
import { layerWords } from '../../model/layers/words.js'
import { type ComparisonWindow, type LayerRelu, type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import type { Shape } from '../../model/shape.js'
import type { Calibration } from '../../plan/calibrate.js'
import { outlinePlan } from '../../plan/compile/outline.js'
import type { GuardSummary } from '../../plan/guard.js'
import type { Backend } from '../../plan/plan.js'
import { type PlanMemory, planMemory } from '../../protocol/memory.js'
import { shapePlan } from '../cost/shape-plan.js'
import { securennTrips } from './securenn-flights.js'

/** What one layer adds up to. */
export interface InspectedLayer {
  readonly id: string
  /** In words. */
  readonly op: string
  readonly out: Shape
  readonly params: number
  readonly macs: number
  readonly relus: number
  readonly drelus: number
  /** How an activation's signs are compared where the ReLU spec does not leave it plain and whole. */
  readonly window: (ComparisonWindow & { readonly kind: LayerRelu['kind'] }) | null
}

/** Before and after linear layers are folded into one another. */
export interface Folding {
  readonly linearLayers: number
  /** Convolutions and matrix products that are left. */
  readonly convolutions: number
  readonly steps: { readonly before: number; readonly after: number }
  readonly roundTrips: { readonly before: number; readonly after: number }
}

/** Counts of one network, for one inference. */
export interface Inspection {
  readonly name: string
  readonly family: string | null
  readonly input: Shape
  readonly params: number
  readonly macs: number
  readonly relus: number
  readonly drelus: number
  readonly maxPoolComparisons: number
  readonly clipComparisons: number
  readonly reluLayers: number
  readonly backend: Backend
  /** Of one inference; null for a network that cannot be run as it is. */
  readonly roundTrips: number | null
  readonly folding: Folding | null
  /** What a guard would add; null on `securenn`, which has none, and for a network that cannot be run as it is. */
  readonly guard: GuardSummary | null
  /** Bytes that each party needs at most; null for a network that cannot be run as it is. */
  readonly memory: PlanMemory | null
  readonly layers: readonly InspectedLayer[]
  readonly published?: Published
  readonly notes: readonly string[]
}

/** What the counts depend on beside the layers. */
export interface InspectOptions {
  /** Which ReLUs are left; all without it. */
  readonly spec?: ReluSpec
  /** Default `mcc`. */
  readonly backend?: Backend
  /** Measured ranges, which windows of the ReLU spec may need. */
  readonly calibration?: Calibration
}

/**
 * Counts a network; nothing is allocated for its weights. One that cannot be run as it is has no round trips, and a note
 * that says why.
 */
export function inspectNetwork(arch: Architecture, options: InspectOptions = {}): Inspection {
  const { spec, backend = 'mcc' } = options
  const { layers, reluLayers, relus, drelus, macs, params, maxPoolComparisons, clipComparisons } = countNetwork(
    arch,
    spec,
  )
  const published = publishedSeesaw(arch)
  const { folding, guard, problem } = foldingOf(arch, spec, backend)
  const memory = problem === undefined ? memoryOf(arch, options) : 'needs private steps'
  return {
    ...{ name: arch.name, family: arch.family ?? null, input: arch.inputs[0].shape, params, macs, relus, drelus },
    ...{ maxPoolComparisons, clipComparisons, reluLayers, backend },
    roundTrips: folding?.roundTrips.after ?? null,
    folding,
    guard,
    memory: typeof memory === 'string' ? null : memory,
    layers: layers.map(({ id, ...counts }, i) => ({
      ...{ id, op: layerWords(arch.layers[i]), out: arch.layers[i].out, params: counts.params, macs: counts.macs },
      ...{ relus: counts.relus, drelus: counts.drelus, window: windowOf(arch.layers[i], spec) },
    })),
    ...(published ? { published } : {}),
    notes: [problem ?? memory].filter((note) => typeof note === 'string'),
  }
}

function windowOf(layer: Layer, spec: ReluSpec | undefined): InspectedLayer['window'] {
  if (!isActivation(layer)) return null
  const relu = resolveRelu(spec, layer)
  const comparison = 'comparison' in relu ? relu.comparison : undefined
  return relu.kind === 'relu' && !comparison ? null : { kind: relu.kind, ...comparison }
}

/** What the parties need, or why it is not known. */
function memoryOf(arch: Architecture, { spec, backend, calibration }: InspectOptions): PlanMemory | string {
  try {
    return planMemory(shapePlan(arch, spec, { backend }, calibration))
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    return `the parties' memory is not known: ${error.message}`
  }
}

function foldingOf(
  arch: Architecture,
  spec: ReluSpec | undefined,
  backend: Backend,
): Pick<Inspection, 'folding' | 'guard'> & { readonly problem?: string } {
  try {
    const outline = outlinePlan(arch, spec, backend === 'mcc' ? 'trips' : 'bytes')
    const { steps, unfolded, linearLayers } = outline
    const folding = {
      linearLayers,
      convolutions: steps.reduce((sum, { convolutions }) => sum + convolutions, 0),
      steps: { before: unfolded.length, after: steps.length },
      roundTrips:
        backend === 'mcc'
          ? { before: outline.unfoldedWaves, after: outline.waves }
          : { before: securennTrips(unfolded), after: securennTrips(steps) },
    }
    return { folding, guard: backend === 'mcc' ? outline.guard : null }
  } catch (error) {
    if (!(error instanceof RingfenceError) || error.code !== 'UNSUPPORTED') throw error
    return { folding: null, guard: null, problem: error.message }
  }
}
