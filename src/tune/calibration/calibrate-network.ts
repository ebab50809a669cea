// A whole calibration in one call: ranges, factors that follow from them, how much each layer matters, and windows.
import type { Calibration } from '../../plan/calibrate.js'
import { type ChannelFactors, equalize } from '../../plan/equalize/equalize.js'
import type { StageProgress } from '../progress.js'
import type { PoolOptions } from '../workers/pool.js'
import { channelFactors, type FactorsPer } from './channel-factors.js'
import type { MeasuredRanges } from './part.js'
import { calibrationOf, measureRanges, type Ranges } from './ranges.js'
import type { RangesSetup } from './ranges-job.js'
import { type GainOptions, measureGains } from './window-gains.js'
import { chooseWindows, type LayerWindow, QUIET, type WindowTarget } from './windows.js'

/** How far a calibration is. */
export interface CalibrationProgress extends StageProgress {
  /** While ranges are measured: what `resume` of a later call goes on from. */
  readonly measured?: MeasuredRanges
}

/** What a calibration aims at, and who works on it. */
export interface CalibrationOptions extends PoolOptions {
  /** What the inputs are, in words, for the file; default `sample inputs`. */
  readonly source?: string
  /** How many bits comparisons read; default as few as keep a layer's noise below `QUIET`. */
  readonly target?: WindowTarget
  /** Factors per layer or per channel, so that values fill the bits they have; none without it. */
  readonly per?: FactorsPer
  /** For a mean width: how many inputs tell how much each layer matters; 0 counts all layers alike. Default 8. */
  readonly probes?: number
  /** n, default 32. */
  readonly ring?: number
  /** n', default 16. */
  readonly bits?: number
  /** Bits between the largest value seen and the largest that is still right; default 1. */
  readonly margin?: number
  /** What an earlier call with the same network, inputs and factors measured. */
  readonly resume?: MeasuredRanges
  /** Told after every input, and of what can be resumed. */
  readonly onProgress?: (progress: CalibrationProgress) => void
}

/** A calibration, and what it was chosen by. */
export interface NetworkCalibration {
  /** As its file has it. */
  readonly calibration: Calibration
  /** Of the network as it is. */
  readonly plain: Ranges
  /** Of the network with its factors. */
  readonly ranges: Ranges
  /** By the order of the plan. */
  readonly layers: readonly LayerWindow[]
  /** Comparisons of one inference. */
  readonly comparisons: number
  /** Bits that a comparison reads, on average. */
  readonly windowBits: number
  /** Signs of one inference that are expected to be wrong. */
  readonly wrongSigns: number
  /** Root mean square of what they are expected to change in the outputs; null where no layer was probed. */
  readonly outputChange: number | null
}

/** Inputs that tell how much each layer matters. */
export const PROBES = 8

/**
 * Measures a network for `mcc` on sample inputs and chooses its scales and windows.
 * @param inputs CHW, preprocessed
 * @throws RingfenceError BAD_INPUT without inputs, for one that does not fit or a target that leaves comparisons without
 *   bits; UNSUPPORTED as `compile`; ABORTED by `signal`, when the last `measured` that `onProgress` got can be resumed
 */
export async function calibrateNetwork(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  options: CalibrationOptions = {},
): Promise<NetworkCalibration> {
  const { source = 'sample inputs', target = { noise: QUIET }, ring = 32, bits = 16, margin = 1, onProgress } = options
  const { plain, channels, ranges } = await measured(network, inputs, options)
  const basis: Calibration = { ...calibrationOf(ranges, source), ...(channels ? { channels } : {}) }
  const probes = typeof target === 'object' && 'meanBits' in target ? (options.probes ?? PROBES) : 0
  const gains = await probedGains(network, inputs, ranges, basis, { ...options, probes })
  onProgress?.({ stage: 'choosing windows', done: 0 })
  const { windows, layers } = await chooseWindows(network, ranges, basis, { ring, bits, margin, target, gains })
  const isDefault = target === 'exact' && margin === 1 && bits === 16
  const sum = (of: (layer: LayerWindow) => number) => layers.reduce((total, layer) => total + of(layer), 0)
  const comparisons = sum((layer) => layer.comparisons)
  return {
    ...{ calibration: isDefault ? basis : { ...basis, windows }, plain, ranges, layers, comparisons },
    windowBits: sum((layer) => (layer.bits - layer.lo) * layer.comparisons) / comparisons,
    wrongSigns: sum((layer) => layer.predicted.probability * layer.comparisons),
    outputChange: gains ? Math.sqrt(sum(({ effect = 0 }) => effect)) : null,
  }
}

/** Ranges of what comparisons read: values with their factors. */
export function comparedRanges(
  { arch, weights, spec }: RangesSetup,
  inputs: readonly Float32Array[],
  channels: ChannelFactors | undefined,
  options: Parameters<typeof measureRanges>[2],
): Promise<Ranges> {
  const own = channels ? equalize(arch, weights, channels) : weights
  return measureRanges({ arch, weights: own, spec }, inputs, options)
}

/** How much each layer matters to the outputs, told by the first inputs; undefined without any. */
export async function probedGains(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  ranges: Ranges,
  calibration: Calibration,
  {
    probes = PROBES,
    onProgress,
    ...options
  }: Omit<GainOptions, 'onProgress'> & Pick<CalibrationOptions, 'probes' | 'onProgress'>,
): Promise<ReadonlyMap<string, number> | undefined> {
  if (probes === 0) return undefined
  const onGain = (done: number) => onProgress?.({ stage: 'probing layers', done })
  return measureGains(network, inputs.slice(0, probes), ranges, calibration, { ...options, onProgress: onGain })
}

/** Once for the network as it is, and again with the factors that follow. */
async function measured(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  { per, margin = 1, resume, startPool, signal, onProgress }: CalibrationOptions,
) {
  const told = (stage: string, of: (ranges: Ranges) => MeasuredRanges) => (done: number, ranges: Ranges) =>
    onProgress?.({ stage, done, detail: `${ranges.inputs} of ${inputs.length} pictures`, measured: of(ranges) })
  const measure = (channels: ChannelFactors | undefined, left: Ranges | undefined, onRanges: ReturnType<typeof told>) =>
    comparedRanges(network, inputs, channels, {
      ...{ startPool, signal, onProgress: onRanges },
      ...(left ? { resume: left } : {}),
    })
  const plain =
    resume?.plain ??
    (await measure(
      undefined,
      resume?.ranges,
      told('measuring', (ranges) => ({ ranges })),
    ))
  if (!per) return { plain, channels: undefined, ranges: plain }
  const channels = channelFactors(network.arch, plain, { per, margin })
  const onRanges = told('measuring with factors', (ranges) => ({ plain, ranges }))
  const ranges = await measure(channels, resume?.plain && resume.ranges, onRanges)
  return { plain, channels, ranges }
}
