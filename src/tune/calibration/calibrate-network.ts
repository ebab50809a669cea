// A whole calibration in one call: ranges, factors that follow from them, how much each layer matters, and windows.
import { RingfenceError } from '../../errors.js'
import type { Calibration } from '../../plan/calibrate.js'
import { type ChannelFactors, equalize } from '../../plan/equalize/equalize.js'
import { allLogits } from '../evaluation/evaluate.js'
import type { StageProgress } from '../progress.js'
import type { PoolOptions } from '../workers/pool.js'
import { type Agreement, agreeingWindows } from './agreement.js'
import { channelFactors, type FactorsPer } from './channel-factors.js'
import type { MeasuredRanges } from './part.js'
import { calibrationOf, measureRanges, type Ranges } from './ranges.js'
import type { RangesSetup } from './ranges-job.js'
import { type GainOptions, measureGains } from './window-gains.js'
import { type ChosenWindows, chooseWindows, type LayerWindow, type WindowTarget } from './windows.js'

/** How far a calibration is. */
export interface CalibrationProgress extends StageProgress {
  /** While ranges are measured: what `resume` of a later call goes on from. */
  readonly measured?: MeasuredRanges
}

/** A share of the inputs on which answers are those of float; or as windows are chosen without looking at answers. */
export type CalibrationTarget = { readonly agreement: number } | WindowTarget

/** The share of calibration inputs on which a network answers as in float, unless something cheaper is asked for. */
export const AGREEMENT = 0.99
const CHECKED = 200

/** What a calibration aims at, and who works on it. */
export interface CalibrationOptions extends PoolOptions {
  /** What the inputs are, in words, for the file; default `sample inputs`. */
  readonly source?: string
  /** How many bits comparisons read; default as few as agree with float on `AGREEMENT` of the inputs. */
  readonly target?: CalibrationTarget
  /**
   * Factors per layer or per channel, so that values fill the bits they have. Without it there are none, unless an
   * agreement is asked for that takes factors per channel.
   */
  readonly per?: FactorsPer
  /** For an agreement: on how many inputs it is counted, evenly spread. Default 200. */
  readonly checked?: number
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
  /** On how many inputs the integer reference answers as float; null where no agreement was asked for. */
  readonly agreement: Agreement | null
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
  const { source = 'sample inputs', target = { agreement: AGREEMENT }, bits = 16, margin = 1 } = options
  const plain = await plainRanges(network, inputs, options)
  const withFactors = async (per: FactorsPer | undefined): Promise<Basis> => {
    const { channels, ranges } = await rangesWith(network, inputs, plain, per, options)
    return { ranges, calibration: { ...calibrationOf(ranges, source), ...(channels ? { channels } : {}) } }
  }
  const chosen =
    typeof target === 'object' && 'agreement' in target
      ? await agreeing(network, inputs, withFactors, { ...options, target })
      : await chosenWindows(network, inputs, await withFactors(options.per), { ...options, target })
  const { windows, layers, basis } = chosen
  const isDefault = Object.values(windows.lo).every((lo) => lo === 0) && margin === 1 && bits === 16
  const sum = (of: (layer: LayerWindow) => number) => layers.reduce((total, layer) => total + of(layer), 0)
  const comparisons = sum((layer) => layer.comparisons)
  return {
    calibration: isDefault ? basis.calibration : { ...basis.calibration, windows },
    ...{ plain, ranges: basis.ranges, layers, comparisons },
    windowBits: sum((layer) => (layer.bits - layer.lo) * layer.comparisons) / comparisons,
    wrongSigns: sum((layer) => layer.predicted.probability * layer.comparisons),
    outputChange: chosen.gains ? Math.sqrt(sum(({ effect = 0 }) => effect)) : null,
    agreement: chosen.agreement ?? null,
  }
}

/** What windows are chosen for. */
interface Basis {
  readonly ranges: Ranges
  /** Without windows. */
  readonly calibration: Calibration
}

interface Choice extends ChosenWindows {
  readonly basis: Basis
  readonly gains?: ReadonlyMap<string, number>
  readonly agreement?: Agreement
}

type Chosen<T> = CalibrationOptions & { readonly target: T }

async function chosenWindows(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  basis: Basis,
  options: Chosen<WindowTarget>,
): Promise<Choice> {
  const { target, ring, bits, margin, onProgress } = options
  const probes = typeof target === 'object' && 'meanBits' in target ? (options.probes ?? PROBES) : 0
  const { ranges, calibration } = basis
  const gains = await probedGains(network, inputs, ranges, calibration, { ...options, probes })
  onProgress?.({ stage: 'choosing windows', done: 0 })
  const chosen = await chooseWindows(network, ranges, calibration, { ring, bits, margin, target, gains })
  return { ...chosen, basis, gains }
}

/** Without factors, and with factors per channel where rounding alone changes too many answers. */
async function agreeing(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  withFactors: (per: FactorsPer | undefined) => Promise<Basis>,
  { target, per, checked = CHECKED, startPool, signal, onProgress, ...numbers }: Chosen<{ readonly agreement: number }>,
): Promise<Choice> {
  const { agreement: share } = target
  if (!(share > 0 && share <= 1)) {
    throw new RingfenceError('BAD_INPUT', `expected an agreement above 0 and at most 1, got ${share}`)
  }
  const count = Math.min(checked, inputs.length)
  const some = Array.from({ length: count }, (_, i) => inputs[Math.floor((i * inputs.length) / count)])
  const onFloat = (done: number) => onProgress?.({ stage: 'answering in float', done })
  const { logits } = await allLogits('float', network, some, { startPool, signal, onProgress: onFloat })
  const onCheck = (done: number, detail: string) => onProgress?.({ stage: 'choosing windows', done, detail })
  let best: (Choice & { readonly agreement: Agreement }) | undefined
  for (const factors of per ? [per] : [undefined, 'channel' as const]) {
    const basis = await withFactors(factors)
    const options = { ...numbers, share, startPool, signal, onCheck }
    const found = { ...(await agreeingWindows(network, some, logits, basis, options)), basis }
    if (!best || shareOf(found.agreement) > shareOf(best.agreement)) best = found
    if (shareOf(best.agreement) >= share) break
  }
  return best!
}

const shareOf = ({ agreeing, pictures }: Agreement): number => agreeing / pictures

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

type Measuring = Pick<CalibrationOptions, 'margin' | 'resume' | 'startPool' | 'signal' | 'onProgress'>

/** Of the network as it is. */
async function plainRanges(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  { resume, ...options }: Measuring,
): Promise<Ranges> {
  if (resume?.plain) return resume.plain
  const onRanges = told('measuring', inputs.length, options, (ranges) => ({ ranges }))
  return comparedRanges(network, inputs, undefined, { ...options, resume: resume?.ranges, onProgress: onRanges })
}

/** The factors that follow from `plain`, and what is measured with them. */
async function rangesWith(
  { arch, weights, spec }: RangesSetup,
  inputs: readonly Float32Array[],
  plain: Ranges,
  per: FactorsPer | undefined,
  { margin = 1, resume, ...options }: Measuring,
): Promise<{ channels: ChannelFactors | undefined; ranges: Ranges }> {
  if (!per) return { channels: undefined, ranges: plain }
  const channels = channelFactors(arch, plain, { per, margin })
  const onRanges = told('measuring with factors', inputs.length, options, (ranges) => ({ plain, ranges }))
  const left = resume?.plain && resume.ranges
  const ranges = await comparedRanges({ arch, weights, spec }, inputs, channels, {
    ...{ ...options, resume: left, onProgress: onRanges },
  })
  return { channels, ranges }
}

/** Tells progress, and what a later call goes on from. */
function told(
  stage: string,
  count: number,
  { onProgress }: Measuring,
  of: (ranges: Ranges) => MeasuredRanges,
): (done: number, ranges: Ranges) => void {
  return (done, ranges) =>
    onProgress?.({ stage, done, detail: `${ranges.inputs} of ${count} pictures`, measured: of(ranges) })
}
