// One network as it would be served, under any choice of windows: in float, as the integer reference, and privately.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import type { ReluSpec } from '../../model/relu/spec.js'
import type { Weights } from '../../model/weights.js'
import { type NetworkProfile, networkProfiles } from '../../net/index.js'
import { runPrivately } from '../../party/local/private-sample.js'
import type { Calibration } from '../../plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../plan/compile/compile.js'
import type { LayerRounding } from '../../plan/compile/rounding.js'
import { comparedRanges, probedGains } from '../calibration/calibrate-network.js'
import type { Ranges } from '../calibration/ranges.js'
import { chooseWindows } from '../calibration/windows.js'
import { predict } from '../cost/predict.js'
import { onlineBytes } from '../cost/spec-cost.js'
import type { OnStage } from '../progress.js'
import type { PoolOptions } from '../workers/pool.js'
import { comparedWith, evaluate, type KnownLogits, type PrivateScore, type Score } from './evaluate.js'

/** A network that can be compiled. */
export interface CalibratedNetwork {
  readonly arch: Architecture
  readonly weights: Weights
  readonly spec: ReluSpec | undefined
  readonly calibration: Calibration
}

/** Those of the calibration, none, or so many bits on average, chosen anew on the inputs. */
export type WindowChoice = 'calibrated' | 'exact' | number

/** What is evaluated, and who works on it. */
export interface NetworkEvaluationOptions extends PoolOptions {
  /** Index of the class per input; without it only agreement with float is known. */
  readonly labels?: readonly number[]
  /** One row each; default `['calibrated']`. */
  readonly windows?: readonly WindowChoice[]
  readonly compile?: CompileOptions
  /** How many inputs the integer reference runs, from the first; default all. */
  readonly referenceInputs?: number
  /** How many inputs three parties in this process run privately, from the first; default 0. */
  readonly sample?: number
  /** The client's links, for predicted seconds; default `wan60`. */
  readonly profile?: NetworkProfile
  /** Outputs that earlier calls made of the same inputs, by what made them; filled further. */
  readonly known?: Map<string, KnownLogits>
  readonly onProgress?: OnStage
}

/** A network under one choice of windows. */
export interface EvaluationRow {
  readonly windows: WindowChoice
  /** Comparisons of one inference. */
  readonly drelus: number
  /** Of one inference, on line. */
  readonly flights: number
  /** Of one inference, over all links. */
  readonly onlineBytes: number
  /** Predicted. */
  readonly onlineSeconds: number
  /** Layers whose weights lost much when they became integers, if any: `coarse` of what `compile` gives. */
  readonly coarse: readonly LayerRounding[]
  readonly float: Score
  readonly reference: PrivateScore
  readonly sample: PrivateScore | null
}

/**
 * How often a network is right, in plain float, in fixed point and privately, and what that costs.
 * @param inputs CHW, preprocessed
 * @returns a row per choice of windows, in their order
 * @throws RingfenceError BAD_INPUT without inputs, for one that does not fit, labels that are not one per input, or a
 *   width on another back end than `mcc`; as `compile`; ABORTED by `signal`, when `known` has what was done
 */
export async function evaluateNetwork(
  network: CalibratedNetwork,
  inputs: readonly Float32Array[],
  options: NetworkEvaluationOptions = {},
): Promise<EvaluationRow[]> {
  const { windows = ['calibrated'], labels, referenceInputs, sample = 0, startPool, signal, onProgress } = options
  const isChosen = windows.some((choice) => typeof choice === 'number')
  if (isChosen && options.compile?.backend === 'securenn') {
    throw new RingfenceError('BAD_INPUT', 'windows of a mean width are for the back end mcc, not for securenn')
  }
  const basis = isChosen ? await basisOf(network, inputs, options) : undefined
  const rows: EvaluationRow[] = []
  for (const choice of windows) {
    const compiled = await compiledFor(network, choice, basis, options.compile ?? {})
    const name = windowName(choice)
    const { float, reference } = await evaluate(network, inputs, {
      ...{ startPool, signal, compiled, labels, referenceInputs },
      known: { float: knownOf(options, 'float'), reference: knownOf(options, name) },
      onProgress: (done, stage) => onProgress?.({ done, stage: `${name}: ${stage}` }),
    })
    const own = sample > 0 ? await sampled(float, inputs.slice(0, sample), compiled, options, name) : null
    const { coarse = [] } = compiled
    rows.push({ windows: choice, ...costOf(compiled, options), coarse, float, reference: reference!, sample: own })
  }
  return rows
}

/** `8 bits`, `exact`, `as calibrated` */
export const windowName = (windows: WindowChoice): string =>
  typeof windows === 'number' ? `${windows} bits` : windows === 'exact' ? 'exact' : 'as calibrated'

function knownOf({ known }: NetworkEvaluationOptions, name: string): KnownLogits {
  const own = known?.get(name) ?? { logits: [], overflows: 0 }
  known?.set(name, own)
  return own
}

/** What windows of any mean width are chosen by. */
interface WindowBasis {
  readonly ranges: Ranges
  readonly gains: ReadonlyMap<string, number> | undefined
}

async function basisOf(
  network: CalibratedNetwork,
  inputs: readonly Float32Array[],
  { compile: given = {}, startPool, signal, onProgress }: NetworkEvaluationOptions,
): Promise<WindowBasis> {
  const { calibration } = network
  const onRanges = (done: number) => onProgress?.({ done, stage: 'measuring' })
  const pool = { startPool, signal }
  const ranges = await comparedRanges(network, inputs, calibration.channels, { ...pool, onProgress: onRanges })
  const own = { ...numbersOf(calibration, given), ...pool, onProgress }
  return { ranges, gains: await probedGains(network, inputs, ranges, calibration, own) }
}

async function compiledFor(
  network: CalibratedNetwork,
  windows: WindowChoice,
  basis: WindowBasis | undefined,
  options: CompileOptions,
): Promise<Compiled> {
  const { arch, weights, spec, calibration } = network
  if (windows === 'calibrated') return compile(arch, weights, calibration, spec, options)
  if (windows === 'exact') return compile(arch, weights, calibration, spec, { ...options, lo: 0 })
  const { ranges, gains } = basis!
  const target = { meanBits: windows }
  const chosen = await chooseWindows(network, ranges, calibration, {
    ...numbersOf(calibration, options),
    target,
    gains,
  })
  const own: Calibration = { ...calibration, windows: chosen.windows }
  return compile(arch, weights, own, spec, { ...options, lo: undefined })
}

/** The caller's, else the calibration's. */
function numbersOf({ windows }: Calibration, { ring, bits, margin }: CompileOptions) {
  return { ring, bits: bits ?? windows?.bits, margin: margin ?? windows?.margin }
}

async function sampled(
  float: Score,
  inputs: readonly Float32Array[],
  compiled: Compiled,
  { labels, signal, onProgress }: NetworkEvaluationOptions,
  name: string,
): Promise<PrivateScore> {
  const logits = await runPrivately(compiled, inputs, {
    signal,
    onProgress: (done) => {
      const detail = `${done} of ${inputs.length} pictures`
      onProgress?.({ done: done / inputs.length, stage: `${name}: privately`, detail })
    },
  })
  return comparedWith(float.logits, logits, labels, 0)
}

function costOf({ plan }: Compiled, { profile = networkProfiles.wan60 }: NetworkEvaluationOptions) {
  const prediction = predict(plan, { profile })
  const { comparisons, flights, seconds } = prediction.total
  return { drelus: comparisons, flights, onlineBytes: onlineBytes(prediction), onlineSeconds: seconds.online }
}
