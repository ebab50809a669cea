// The cheapest windows with which a network still answers as it does in float: tried from the narrowest on, with the integer
// reference, which makes every error of a private run, by wrong signs and by rounding.
import { asMap } from '../../model/shape.js'
import { type Calibration, largest } from '../../plan/calibrate.js'
import { compile } from '../../plan/compile/compile.js'
import { allLogits } from '../evaluation/evaluate.js'
import type { PoolOptions } from '../workers/pool.js'
import type { Ranges } from './ranges.js'
import type { RangesSetup } from './ranges-job.js'
import { type ChosenWindows, chooseWindows, QUIET, type WindowOptions, type WindowTarget } from './windows.js'

/** On how many pictures the integer reference answers as float does. */
export interface Agreement {
  readonly pictures: number
  readonly agreeing: number
}

/** Windows, and how often a network answers with them as in float. */
export interface CheckedWindows extends ChosenWindows {
  readonly agreement: Agreement
}

/** Narrowest first: halving the noise takes about a bit of every comparison. */
const LADDER: readonly WindowTarget[] = [...[1, 2, 4, 8, 16].map((times) => ({ noise: QUIET / times })), 'exact']

/** So many pictures are run before it is looked whether too many differ already. */
const LOOKS = [5, 20, 100]

/** Values that are no classes agree when they are this close, by the largest of the picture's. */
const CLOSE = 0.02
/** The share of a map's places that have to have the same class. */
const PLACES = 0.99

export interface AgreementOptions extends PoolOptions, Pick<WindowOptions, 'ring' | 'bits' | 'margin'> {
  /** The share of pictures on which answers have to be float's. */
  readonly share: number
  /** Told what is tried, and on how many pictures it was. */
  readonly onCheck?: (done: number, what: string) => void
}

/**
 * The first windows of the ladder that agree; without any, its last: exact signs.
 * @param inputs those that are checked, CHW, preprocessed
 * @param logits what float makes of them
 * @throws RingfenceError as `compile`; ABORTED by `signal`
 */
export async function agreeingWindows(
  network: RangesSetup,
  inputs: readonly Float32Array[],
  logits: readonly Float32Array[],
  { ranges, calibration }: { readonly ranges: Ranges; readonly calibration: Calibration },
  options: AgreementOptions,
): Promise<CheckedWindows> {
  const { ring, bits, margin, share } = options
  const { arch, weights, spec } = network
  const [classes] = asMap(arch.byId.get(arch.outputs[0])!.out)
  const order = closestFirst(logits, classes)
  const [pictured, expected] = [order.map((i) => inputs[i]), order.map((i) => logits[i])]
  let last: CheckedWindows | undefined
  let before = ''
  for (const target of LADDER) {
    const chosen = await chooseWindows(network, ranges, calibration, { ring, bits, margin, target })
    const lows = JSON.stringify(chosen.windows.lo)
    if (lows === before && target !== 'exact') continue
    before = lows
    const own: Calibration = { ...calibration, windows: chosen.windows }
    const compiled = compile(arch, weights, own, spec, { ring, bits, margin })
    const what = target === 'exact' ? 'exact signs' : `noise ${(target as { noise: number }).noise}`
    const most = Math.floor(inputs.length * (1 - share) + 1e-9)
    let [pictures, agreeing] = [0, 0]
    for (const end of [...LOOKS.filter((look) => look < inputs.length), inputs.length]) {
      const { startPool, signal, onCheck } = options
      const found = await allLogits('reference', { compiled }, pictured.slice(pictures, end), { startPool, signal })
      agreeing += found.logits.filter((values, i) => agrees(expected[pictures + i], values, classes)).length
      pictures = end
      onCheck?.(end / inputs.length, `${what}, ${end} of ${inputs.length} pictures`)
      // Of the last resort the whole figure is told.
      if (pictures - agreeing > most && target !== 'exact') break
    }
    const checked: CheckedWindows = { ...chosen, agreement: { pictures, agreeing } }
    if (pictures - agreeing <= most) return checked
    last = checked
  }
  return last!
}

/** Pictures whose classes are told apart by least come first: they are the first to differ. */
function closestFirst(logits: readonly Float32Array[], classes: number): number[] {
  const margins = logits.map((values) => {
    if (classes === 1 || values.length !== classes) return 0
    const [first, second] = [...values].sort((a, b) => b - a)
    return first - second
  })
  return [...margins.keys()].sort((a, b) => margins[a] - margins[b])
}

/** The same class, in a map at all but few of its places; values that are no classes agree when they are close. */
function agrees(float: Float32Array, fixed: Float32Array, classes: number): boolean {
  if (classes === 1) {
    const most = largest(float)
    return float.every((value, i) => Math.abs(value - fixed[i]) <= CLOSE * most)
  }
  const places = float.length / classes
  let same = 0
  for (let place = 0; place < places; place++) {
    if (classAt(float, place, classes) === classAt(fixed, place, classes)) same++
  }
  return same >= PLACES * places
}

/** The channel that is largest at a place of a map. */
function classAt(values: Float32Array, place: number, classes: number): number {
  const places = values.length / classes
  let best = 0
  for (let c = 1; c < classes; c++) if (values[c * places + place] > values[best * places + place]) best = c
  return best
}
