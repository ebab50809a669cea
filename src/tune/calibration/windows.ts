// Which bits the comparisons of each layer look at. A comparison that ignores `lo` low bits errs only where the compared
// value is within half a window of zero, half of the time at zero itself and never at its edge (docs/protocol.md, E2).
import { RingfenceError } from '../../errors.js'
import type { Calibration, Windows } from '../../plan/calibrate.js'
import { compile } from '../../plan/compile/compile.js'
import type { MccPlan } from '../../plan/plan.js'
import { solveKnapsack } from '../knapsack/knapsack.js'
import { knapsackProblem } from '../knapsack/problem.js'
import type { Ranges } from './ranges.js'
import { BINS, binValue, type LayerSample, type RangesSetup } from './ranges-job.js'

/** What ignoring some low bits does to a layer. */
export interface WrongSigns {
  /** Of one comparison. */
  readonly probability: number
  /** Root mean square of the error by that of the layer's outputs. */
  readonly noise: number
}

/** Which bits the comparisons of a layer read, and what that does to it. */
export interface LayerWindow {
  readonly id: string
  /** Fraction bits of the compared values. */
  readonly scale: number
  /** n': the comparison reads bits [lo, bits). */
  readonly bits: number
  readonly lo: number
  /** Largest absolute value seen. */
  readonly maxAbs: number
  /** Bits between the largest value seen and the largest that is still right. */
  readonly margin: number
  /** How many bits less an average channel would need than the layer does. */
  readonly channelBits: number
  /** Of the sample, per input. */
  readonly comparisons: number
  readonly predicted: WrongSigns
  /** Mean squared change of the outputs that the wrong signs are expected to make; undefined without gains. */
  readonly effect: number | undefined
}

/**
 * How many bits comparisons read: on average over all of them, or as few as keep the noise below a share. Or what they leave out,
 * by layer id, in the units of the compared values: 2^lo at most; a layer that is not named leaves out nothing.
 */
export type WindowTarget =
  | { readonly meanBits: number }
  | { readonly noise: number }
  | { readonly widths: ReadonlyMap<string, number> }
  | 'exact'

/** Windows as a calibration has them, and what they do to each layer, by the order of the plan. */
export interface ChosenWindows {
  readonly windows: Windows
  readonly layers: readonly LayerWindow[]
}

/** The numbers of the plan, and how much its comparisons may read. */
export interface WindowOptions {
  /** n, default 32. */
  readonly ring?: number
  /** n', default 16. */
  readonly bits?: number
  /** Bits between the largest value seen and the largest that is still right; default 1. */
  readonly margin?: number
  readonly target: WindowTarget
  /** By layer id, what `measureGains` found; every layer counts alike without it. */
  readonly gains?: ReadonlyMap<string, number>
}

/** The layer's noise, as a share of its outputs, that is below what the predictions of ResNets notice. */
export const QUIET = 0.02

/**
 * How often the comparisons of a layer err that leave out low bits, and how much that changes.
 * @param window 2^lo in the units of the compared values
 */
export function wrongSigns({ counts, energy, output }: LayerSample, window: number): WrongSigns {
  let [all, wrong, error] = [0, 0, 0]
  for (let bin = 0; bin < BINS; bin++) {
    if (counts[bin] === 0) continue
    const share = Math.max(0, 0.5 - binValue(bin) / window)
    all += counts[bin]
    wrong += share * counts[bin]
    error += share * energy[bin]
  }
  return { probability: all === 0 ? 0 : wrong / all, noise: output === 0 ? 0 : Math.sqrt(error / output) }
}

/**
 * Windows for a network on `mcc`, from what was measured: one per layer, as a plan holds them.
 * @throws RingfenceError as `compile`; BAD_INPUT for a target that leaves comparisons without bits
 */
export async function chooseWindows(
  { arch, weights, spec }: RangesSetup,
  ranges: Ranges,
  calibration: Calibration,
  { ring = 32, bits = 16, margin = 1, target, gains }: WindowOptions,
): Promise<ChosenWindows> {
  const { plan } = compile(arch, weights, calibration, spec, { ring, bits, margin, lo: 0 })
  const layers = comparedLayers(plan, ranges)
  const choice = await chosen(layers, bits, target, gains)
  const reports = layers.map(({ id, scale, sample }, i): LayerWindow => {
    const lo = choice[i]
    const maxAbs = calibration.maxAbs[id]
    const comparisons = sumOf(sample.counts) / ranges.inputs
    const predicted = lo === 0 ? { probability: 0, noise: 0 } : wrongSigns(sample, 2 ** (lo - scale))
    const left = bits - 2 - scale - Math.log2(maxAbs)
    const gain = gains?.get(id)
    const effect = gain === undefined ? undefined : gain * predicted.noise ** 2
    const sizes = { maxAbs, margin: left, channelBits: channelBits(sample), comparisons }
    return { id, scale, bits, lo, ...sizes, predicted, effect }
  })
  const lo = Object.fromEntries(reports.map((layer) => [layer.id, layer.lo]))
  return { windows: { bits, margin, lo }, layers: reports }
}

export interface ComparedLayer {
  readonly id: string
  readonly scale: number
  readonly sample: LayerSample
}

/** Steps of the plan that compare what an activation layer was measured to compare. */
export function comparedLayers(plan: MccPlan, { layers }: Ranges): ComparedLayer[] {
  return plan.steps.flatMap(({ id, scale, activation }) => {
    const sample = layers.get(id)
    const compares = activation && activation.relu.kind !== 'identity' && activation.relu.kind !== 'zero'
    return sample && compares && sumOf(sample.counts) > 0 ? [{ id, scale, sample }] : []
  })
}

async function chosen(
  layers: readonly ComparedLayer[],
  bits: number,
  target: WindowTarget,
  gains: WindowOptions['gains'],
): Promise<number[]> {
  if (target === 'exact') return layers.map(() => 0)
  if ('widths' in target) {
    return layers.map(({ id, scale }) => {
      const lo = Math.floor(Math.log2(target.widths.get(id) ?? 0) + scale)
      return Math.min(Math.max(0, lo), bits - LEAST_BITS)
    })
  }
  if ('noise' in target) {
    return layers.map(({ sample, scale }) => {
      let lo = 0
      while (lo < bits - 2 && wrongSigns(sample, 2 ** (lo + 1 - scale)).noise <= target.noise) lo++
      return lo
    })
  }
  const total = layers.reduce((sum, { sample }) => sum + sumOf(sample.counts), 0)
  if (!(target.meanBits >= LEAST_BITS)) {
    throw new RingfenceError('BAD_INPUT', `expected windows of at least ${LEAST_BITS} bits, got ${target.meanBits}`)
  }
  const candidates = layers.map(({ id, sample, scale }) =>
    Array.from({ length: bits - LEAST_BITS + 1 }, (_, lo) => {
      const noise = lo === 0 ? 0 : wrongSigns(sample, 2 ** (lo - scale)).noise
      return { cost: (bits - lo) * sumOf(sample.counts), value: (gains?.get(id) ?? 1) * noise ** 2 }
    }),
  )
  const solution = await solveKnapsack(knapsackProblem(candidates, Math.floor(target.meanBits * total)))
  return [...solution!.choice]
}

const LEAST_BITS = 2

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0)

function channelBits({ channelMax }: LayerSample): number {
  const used = [...channelMax].filter((most) => most > 0)
  const whole = Math.max(...used)
  return used.reduce((sum, most) => sum + Math.log2(whole / most), 0) / used.length
}
