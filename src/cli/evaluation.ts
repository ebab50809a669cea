// What `ringfence evaluate` does: every variant and every choice of windows, in float, as the reference, and privately.
import { RingfenceError } from '../errors.js'
import { type ImageSet, readImageSet } from '../files/image-set.js'
import { loadModelDirectory, type ModelDirectory } from '../files/model-directory.js'
import { PartFile } from '../files/part-file.js'
import { findModel } from '../files/prepared-model.js'
import type { networkProfiles } from '../net/index.js'
import { networkProfiles as profiles } from '../net/index.js'
import { runPrivately } from '../party/local/private-sample.js'
import type { Calibration } from '../plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../plan/compile/compile.js'
import { equalize } from '../plan/equalize/equalize.js'
import { measureRanges, type Ranges } from '../tune/calibration/ranges.js'
import { measureGains } from '../tune/calibration/window-gains.js'
import { chooseWindows } from '../tune/calibration/windows.js'
import { predict } from '../tune/cost/predict.js'
import { onlineBytes } from '../tune/cost/spec-cost.js'
import { measurementKey } from '../tune/distortion/part.js'
import { comparedWith, evaluate, type KnownLogits, type PrivateScore, type Score } from '../tune/evaluation/evaluate.js'
import { startThreads } from '../tune/workers/pool.node.js'
import type { ProgressBar } from './terminal/progress-bar.js'
import { Remaining } from './terminal/remaining.js'

/** Those of the model's calibration, none, or so many bits on average. */
export type WindowChoice = 'calibrated' | 'exact' | number

export interface EvaluateOrder {
  readonly model: string
  readonly variant: string | undefined
  /** Every variant of the model. */
  readonly all: boolean
  readonly images: string
  readonly limit: number | undefined
  /** Without classes only agreement is measured. */
  readonly unlabelled: boolean
  readonly windows: readonly WindowChoice[]
  readonly reference: number | undefined
  readonly sample: number
  readonly compile: CompileOptions
  readonly network: keyof typeof networkProfiles
  readonly threads: number
  /** What the state of an interrupted run is named after. */
  readonly state: string
  readonly force: boolean
}

export interface EvaluationRow {
  readonly variant: string
  readonly windows: WindowChoice
  readonly drelus: number
  readonly onlineBytes: number
  readonly onlineSeconds: number
  readonly float: Score
  readonly reference: PrivateScore
  readonly sample: PrivateScore | null
}

export interface EvaluateReport {
  readonly network: string
  readonly images: string
  readonly labelled: boolean
  readonly profile: string
  readonly rows: readonly EvaluationRow[]
}

export async function evaluateModel(
  order: EvaluateOrder,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<EvaluateReport> {
  bar.update(0, 'reading')
  const folder = findModel(order.model)
  const first = await loadModelDirectory(folder, order.variant)
  const images = await readImageSet(order.images, first.arch, { ...order, labelled: !order.unlabelled })
  const variants = order.all ? first.variants : [first.variant]
  const state = new EvaluationState(order)
  const rows: EvaluationRow[] = []
  try {
    for (const variant of variants) {
      const model = variant === first.variant ? first : await loadModelDirectory(folder, variant)
      await state.use(model, images)
      rows.push(...(await evaluateVariant(model, images, order, state, signal, bar)))
    }
  } catch (error) {
    throw await state.part.left(error)
  }
  await state.part.remove()
  return {
    ...{ network: first.arch.name, images: images.source, labelled: images.labels !== undefined },
    ...{ profile: order.network, rows },
  }
}

async function evaluateVariant(
  model: ModelDirectory,
  images: ImageSet,
  order: EvaluateOrder,
  state: EvaluationState,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<EvaluationRow[]> {
  const { arch, weights, spec, variant } = model
  const startPool = startThreads(order.threads)
  const bits = order.windows.some((choice) => typeof choice === 'number')
  const known = bits ? await nearZero(model, images, order, signal, bar) : undefined
  const rows: EvaluationRow[] = []
  for (const windows of order.windows) {
    const compiled = await compiledFor(model, windows, known, order)
    const remaining = new Remaining()
    const named = `${variant}, ${windowName(windows)}`
    const { float, reference } = await evaluate({ arch, weights, spec }, images.inputs, {
      ...{ startPool, signal, compiled, labels: images.labels, referenceInputs: order.reference },
      known: { float: state.known(`${variant} float`), reference: state.known(`${named} reference`) },
      onProgress: (done, stage) => {
        bar.update(done, `${named}: ${stage}`, remaining.text(done))
        state.keep()
      },
    })
    const sample = order.sample > 0 ? await sampled(float, images, compiled, order, signal, bar, named) : null
    rows.push({ variant, windows, ...costOf(compiled, order), float, reference: reference!, sample })
  }
  return rows
}

export const windowName = (windows: WindowChoice): string =>
  typeof windows === 'number' ? `${windows} bits` : windows === 'exact' ? 'exact' : 'as calibrated'

async function compiledFor(
  { arch, weights, spec, calibration, variant }: ModelDirectory,
  windows: WindowChoice,
  known: NearZero | undefined,
  order: EvaluateOrder,
): Promise<Compiled> {
  if (!calibration) {
    const text = `variant ${variant} of ${order.model} has no calibration.json; ringfence calibrate makes one`
    throw new RingfenceError('BAD_FILE', text)
  }
  if (windows === 'calibrated') return compile(arch, weights, calibration, spec, order.compile)
  if (windows === 'exact') return compile(arch, weights, calibration, spec, { ...order.compile, lo: 0 })
  const options = { ...numbersOf(calibration, order), target: { meanBits: windows }, gains: known!.gains }
  const chosen = await chooseWindows({ arch, weights, spec }, known!.ranges, calibration, options)
  const own: Calibration = { ...calibration, windows: chosen.windows }
  return compile(arch, weights, own, spec, { ...order.compile, lo: undefined })
}

/** What windows of so many bits are chosen by. */
interface NearZero {
  readonly ranges: Ranges
  readonly gains: ReadonlyMap<string, number> | undefined
}

/** Pictures that tell how much each layer matters. */
const PROBES = 8

async function nearZero(
  { arch, weights, spec, calibration, variant }: ModelDirectory,
  { inputs }: ImageSet,
  order: EvaluateOrder,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<NearZero> {
  const options = { startPool: startThreads(order.threads), signal }
  // Windows are of the values that are compared, factors included.
  const compared = calibration?.channels ? equalize(arch, weights, calibration.channels) : weights
  const ranges = await measureRanges({ arch, weights: compared, spec }, inputs, options)
  if (!calibration) return { ranges, gains: undefined }
  const remaining = new Remaining()
  const onProgress = (done: number) => bar.update(done, `${variant}: probing layers`, remaining.text(done))
  const own = { ...numbersOf(calibration, order), ...options, onProgress }
  return {
    ranges,
    gains: await measureGains({ arch, weights, spec }, inputs.slice(0, PROBES), ranges, calibration, own),
  }
}

/** The command line's, else the calibration's. */
function numbersOf({ windows }: Calibration, { compile: { ring, bits, margin } }: EvaluateOrder) {
  return { ring, bits: bits ?? windows?.bits, margin: margin ?? windows?.margin }
}

async function sampled(
  float: Score,
  { inputs, labels }: ImageSet,
  compiled: Compiled,
  { sample }: EvaluateOrder,
  signal: AbortSignal,
  bar: ProgressBar,
  named: string,
): Promise<PrivateScore> {
  const some = inputs.slice(0, sample)
  const logits = await runPrivately(compiled, some, signal, (done) =>
    bar.update(done / some.length, `${named}: privately`, `${done} of ${some.length} pictures`),
  )
  return comparedWith(float.logits, logits, labels, 0)
}

function costOf({ plan }: Compiled, { network }: EvaluateOrder) {
  const prediction = predict(plan, { profile: profiles[network] })
  const { comparisons, seconds } = prediction.total
  return { drelus: comparisons, onlineBytes: onlineBytes(prediction), onlineSeconds: seconds.online }
}

const PART = 'evaluation-part/1'

/** Outputs that are known, in the file that an interrupted run leaves. */
class EvaluationState {
  readonly part: PartFile
  readonly #keys = new Map<string, string>()
  readonly #known = new Map<string, KnownLogits>()
  readonly #options: string
  readonly #force: boolean

  constructor({ state, compile, force }: EvaluateOrder) {
    this.part = new PartFile(state)
    this.#options = JSON.stringify(compile)
    this.#force = force
  }

  /** Reads what an earlier run left of a variant. */
  async use({ arch, weights, spec, calibration, variant }: ModelDirectory, { inputs }: ImageSet): Promise<void> {
    const all = JSON.stringify([arch.name, spec && [...spec.layers], calibration, this.#options])
    const key = measurementKey({ ...arch, name: all }, weights, inputs, [])
    this.#keys.set(variant, key)
    const left = this.#force ? undefined : await this.part.read()
    if (left === undefined) return
    let file: { format?: unknown; keys?: Record<string, string>; known?: Record<string, StoredLogits> } = {}
    try {
      file = JSON.parse(left)
    } catch {}
    const others = file.keys?.[variant] !== undefined && file.keys[variant] !== key
    if (file.format !== PART || others) {
      const text = `${this.part.path} was left by another evaluation; go on with that, or start anew with --force`
      throw new RingfenceError('BAD_INPUT', text)
    }
    for (const [name, { overflows, logits }] of Object.entries(file.known ?? {})) {
      if (!name.startsWith(`${variant} `) && !name.startsWith(`${variant},`)) continue
      this.#known.set(name, {
        overflows,
        logits: logits.map((values) => (values ? Float32Array.from(values) : undefined)),
      })
    }
  }

  known(name: string): KnownLogits {
    const known = this.#known.get(name) ?? { logits: [], overflows: 0 }
    this.#known.set(name, known)
    return known
  }

  keep(): void {
    this.part.keep(() => {
      const stored = [...this.#known].map(([name, { overflows, logits }]) => {
        return [name, { overflows, logits: Array.from(logits, (values) => (values ? [...values] : null)) }]
      })
      return JSON.stringify({ format: PART, keys: Object.fromEntries(this.#keys), known: Object.fromEntries(stored) })
    })
  }
}

interface StoredLogits {
  readonly overflows: number
  readonly logits: readonly (readonly number[] | null)[]
}
