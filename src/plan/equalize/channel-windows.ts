// Comparison windows per channel. A plan has one window per layer; a factor f on a channel (equalize.ts) moves its window to
// [lo - log2 f, hi - log2 f) of the value without the factor, so that one window of the layer can cover unlike ones.
//
// What is run reads at least the bits that each channel's window names, and for some channels more:
//   * with factors of the calibration, on both back ends, the lowest and the highest bit that any channel names, factors
//     included, bound the layer's window;
//   * on `securenn` without those, a channel that ignores d high bits more than another of its layer is multiplied by 2^d.
//     All windows of the layer then end at the same bit, and the layer's is as wide as the widest of them. Where channels
//     are joined with others (a sum, a ReLU6) and cannot have that factor, they have the largest that all can have;
//   * on `mcc` without those, where ranges and not windows set the high end, it begins at the lowest bit that is named.
import type { Architecture } from '../../model/architecture.js'
import type { ComparisonWindow, LayerRelu, ReluSpec } from '../../model/relu/spec.js'
import { asMap } from '../../model/shape.js'
import type { Weights } from '../../model/weights.js'
import type { Calibration } from '../calibrate.js'
import type { Backend } from '../plan.js'
import { ChannelTies } from './channel-ties.js'
import { type ChannelFactors, equalize, factorsOf } from './equalize.js'

/** What `compile` works on: one window per layer covers those of its channels. */
export interface Channelled {
  readonly weights: Weights
  readonly calibration: Calibration
  readonly spec: ReluSpec | undefined
}

/** The lowest of the bits that channels ignore: a window from there covers all of theirs. */
export const ofLayer = (ignored: number | readonly number[] | undefined): number | undefined =>
  typeof ignored === 'object' ? Math.min(...ignored) : ignored

/**
 * Applies the calibration's factors, or those that windows per channel ask for.
 * @throws RingfenceError BAD_INPUT for factors that do not fit the network
 */
export function withChannelWindows(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration,
  spec: ReluSpec | undefined,
  backend: Backend = 'mcc',
): Channelled {
  const { channels } = calibration
  const factors = channels ?? (spec && backend === 'securenn' ? alignedFactors(arch, spec) : undefined)
  if (!factors) return { weights, calibration, spec }
  return {
    weights: equalize(arch, weights, factors),
    calibration: channels ? calibration : grown(arch, calibration, factors),
    spec: spec && moved(arch, spec, factors),
  }
}

const windowOf = (relu: LayerRelu): ComparisonWindow | undefined => ('comparison' in relu ? relu.comparison : undefined)

/** Powers of two with which windows of a layer end at one bit; undefined where there are no windows per channel. */
function alignedFactors(arch: Architecture, spec: ReluSpec): ChannelFactors | undefined {
  const windows = [...spec.layers].flatMap(([id, relu]) => {
    const ignored = windowOf(relu)?.msbIgnored
    const [channels] = asMap(arch.byId.get(id)!.out)
    return ignored === undefined ? [] : [[id, listOf(ignored, channels)] as const]
  })
  if (windows.every(([, ignored]) => ignored.every((bits) => bits === ignored[0]))) return undefined
  const ties = new ChannelTies(arch)
  const shifts = new Map<number, number>()
  for (const [id, ignored] of windows) {
    const least = Math.min(...ignored)
    for (const [c, bits] of ignored.entries()) {
      const at = ties.classOf(id, c)
      shifts.set(at, Math.min(shifts.get(at) ?? LARGEST_SHIFT, ties.isFixed(at) ? 0 : bits - least))
    }
  }
  return Object.fromEntries(
    windows.map(([id, ignored]) => [id, ignored.map((_, c) => 2 ** shifts.get(ties.classOf(id, c))!)]),
  )
}

/** Weights grow as the factors do. */
const LARGEST_SHIFT = 12

/** Ranges that the factors may make larger, by as much as they can. */
function grown(arch: Architecture, calibration: Calibration, factors: ChannelFactors): Calibration {
  const of = factorsOf(arch, factors)
  const maxAbs = Object.entries(calibration.maxAbs).map(([id, most]) => {
    const layer = arch.byId.get(id)
    return [id, layer ? most * Math.max(...of(id, asMap(layer.out)[0])) : most] as const
  })
  return { ...calibration, maxAbs: Object.fromEntries(maxAbs) }
}

/** Windows of the values with their factors, one per layer. */
function moved(arch: Architecture, spec: ReluSpec, factors: ChannelFactors): ReluSpec {
  const of = factorsOf(arch, factors)
  const layers = [...spec.layers].map(([id, relu]) => {
    const window = windowOf(relu)
    if (!window) return [id, relu] as const
    const shifts = [...of(id, asMap(arch.byId.get(id)!.out)[0])].map(Math.log2)
    const { lsbIgnored: low, msbIgnored: high } = window
    const comparison = {
      ...window,
      ...(low === undefined ? {} : { lsbIgnored: covering(low, shifts) }),
      ...(high === undefined
        ? {}
        : {
            msbIgnored: covering(
              high,
              shifts.map((shift) => -shift),
            ),
          }),
    }
    return [id, { ...relu, comparison }] as const
  })
  return { ...spec, layers: new Map(layers) }
}

/** Bits that no channel names, once each has moved. */
const covering = (ignored: number | readonly number[], shifts: readonly number[]): number =>
  Math.max(0, Math.floor(Math.min(...listOf(ignored, shifts.length).map((bits, c) => bits + shifts[c]))))

const listOf = (value: number | readonly number[], length: number): readonly number[] =>
  typeof value === 'number' ? Array<number>(length).fill(value) : value
