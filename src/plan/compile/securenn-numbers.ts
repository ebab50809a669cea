// Numbers on `securenn`: 64-bit words, one number of fraction bits for tensors and weights, as published; only
// inputs of pixel size have fewer, and the weights that they meet more.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { isActivation } from '../../model/layers/layers.js'
import type { ComparisonWindow, LayerRelu } from '../../model/relu/spec.js'
import { type Calibration, INPUT_RANGE } from '../calibrate.js'
import { ofLayer } from '../equalize/channel-windows.js'
import type { SecurennActivation, StepRelu } from '../plan.js'
import { outputRange, rangeOf } from './mcc-numbers.js'
import type { Numbers } from './numbers.js'

type PerLayer = number | Readonly<Record<string, number>>

export interface SecurennOptions {
  /** Fraction bits of values and weights, 4 … 20. Default 12. */
  fraction?: number
  /** High bits that comparisons ignore (published name: COMPARISON_NUM_BITS_IGNORED). Default: the relu-spec's, else 0. */
  ignoredMsb?: PerLayer
  /** Low bits that comparisons ignore (NUM_OF_LSB_TO_IGNORE). Default: the relu-spec's, else 0. */
  ignoredLsb?: PerLayer
}

const DEFAULT_FRACTION = 12
const RING = 64
/** A window needs two bits: the odd ring 2^1 - 1 has one element. */
const MAX_IGNORED = RING - 2
/**
 * |y| stays below 2^53, so that plain-text reruns are exact in float64. A local truncation is wrong with probability
 * |y| / 2^63 at most: with 12 fraction bits and values up to 64, once in 2^33 values.
 */
const Y_BITS = 53
/**
 * Inputs may be this large at full precision. Larger ones, such as pixels of 0 … 255, meet weights that are as much
 * smaller: from here on every bit of size costs the input a fraction bit, which those weights then get.
 */
const INPUT_SIZE = 8

/**
 * Weights below 1/2, as those behind an average are, get up to this many fraction bits more, as long as y has no more
 * than `SPARE_Y`: values of y stay as small as those that weights of 1 make.
 */
const SPARE_BITS = 6
const SPARE_Y = 32

export function securennProblems(arch: Architecture, options: SecurennOptions): string[] {
  const { fraction = DEFAULT_FRACTION } = options
  const problems: string[] = []
  if (!Number.isInteger(fraction) || fraction < 4 || fraction > 20)
    problems.push(`fraction: 4 to 20 bits, not ${fraction}`)
  for (const name of ['ignoredMsb', 'ignoredLsb'] as const) {
    const given = options[name] ?? 0
    for (const [id, bits] of typeof given === 'number' ? [[name, given] as const] : Object.entries(given)) {
      const layer = arch.byId.get(id)
      const what = typeof given === 'number' ? name : `${name} of ${id}`
      if (typeof given !== 'number' && !(layer && isActivation(layer))) problems.push(`${what}: no relu has this id`)
      else if (!Number.isInteger(bits) || bits < 0 || bits > MAX_IGNORED) {
        problems.push(`${what}: 0 to ${MAX_IGNORED} of ${RING} bits can be ignored, not ${bits}`)
      }
    }
  }
  const { ignoredMsb, ignoredLsb } = options
  if (
    typeof ignoredLsb === 'number' &&
    typeof (ignoredMsb ?? 0) === 'number' &&
    ignoredLsb > ((ignoredMsb ?? 0) as number)
  )
    problems.push(`ignoredLsb: at most ignoredMsb = ${ignoredMsb ?? 0}, not ${ignoredLsb}`)
  return problems
}

export class SecurennNumbers implements Numbers<SecurennActivation> {
  readonly ring = RING
  readonly inputBits = 32
  readonly weightLimit = 2 ** 31 - 1
  readonly spare: number
  readonly #fraction: number

  constructor(
    private readonly calibration: Calibration,
    private readonly options: SecurennOptions,
  ) {
    this.#fraction = options.fraction ?? DEFAULT_FRACTION
    this.spare = Math.max(0, Math.min(SPARE_BITS, SPARE_Y - 2 * this.#fraction))
  }

  scaleOf(id: string, growth = 0, offset = 0): number {
    const range = (rangeOf(this.calibration, id) + offset) * 2 ** growth
    this.#checkRange(id, range)
    if (id !== INPUT_RANGE || range <= INPUT_SIZE) return this.#fraction
    return Math.max(0, this.#fraction - Math.ceil(Math.log2(range / INPUT_SIZE)))
  }

  hasRange(id: string): boolean {
    return this.calibration.maxAbs[id] !== undefined
  }

  grown(scale: number): number {
    return scale
  }

  roomFor(): number {
    return 2 * this.#fraction
  }

  activation(id: string, scale: number, yScale: number, spec: LayerRelu, relu: StepRelu): SecurennActivation {
    const compares = relu.kind !== 'identity' && relu.kind !== 'zero'
    const window = compares ? this.#window(id, scale, spec) : { ignoredMsb: 0, ignoredLsb: 0 }
    return { truncate: yScale - scale, ...window, relu }
  }

  #window(id: string, scale: number, relu: LayerRelu): { ignoredMsb: number; ignoredLsb: number } {
    const published = publishedWindow('comparison' in relu ? relu.comparison : undefined, scale)
    const ignoredMsb = perLayer(this.options.ignoredMsb, id) ?? published.ignoredMsb
    const ignoredLsb = perLayer(this.options.ignoredLsb, id) ?? published.ignoredLsb
    if (ignoredMsb <= MAX_IGNORED && ignoredLsb <= ignoredMsb) return { ignoredMsb, ignoredLsb }
    throw new RingfenceError(
      'BAD_INPUT',
      `${id}: ignoring ${ignoredMsb} high and ${ignoredLsb} low bits of ${RING} leaves nothing to compare; at most ${MAX_IGNORED} high bits, and no more low bits than high ones`,
    )
  }

  /** Both parties truncate alone, which needs no correction: an error of one unit either way. */
  rounding(): number {
    return 0
  }

  outputScale(id: string): number {
    this.#checkRange(id, outputRange(this.calibration, id))
    return 2 * this.#fraction
  }

  #checkRange(id: string, range: number): void {
    if (range * 2 ** (2 * this.#fraction) < 2 ** Y_BITS) return
    throw new RingfenceError(
      'BAD_INPUT',
      `${id}: values up to ${range} with twice ${this.#fraction} fraction bits do not fit ${RING} bits; take fewer fraction bits`,
    )
  }

  words(values: Float64Array): BigInt64Array {
    return BigInt64Array.from(values, BigInt)
  }
}

/** A published window speaks of values with its own fraction bits; here it covers the same real numbers. */
function publishedWindow(window: ComparisonWindow | undefined, scale: number) {
  const { fractionBits = scale } = window ?? {}
  const [msbIgnored, lsbIgnored] = [ofLayer(window?.msbIgnored) ?? 0, ofLayer(window?.lsbIgnored) ?? 0]
  if (msbIgnored === 0 && lsbIgnored === 0) return { ignoredMsb: 0, ignoredLsb: 0 }
  const lowest = lsbIgnored + scale - fractionBits
  if (lowest < 0) return { ignoredMsb: msbIgnored - lowest, ignoredLsb: 0 }
  return { ignoredMsb: msbIgnored, ignoredLsb: Math.min(lowest, msbIgnored) }
}

const perLayer = (option: PerLayer | undefined, id: string): number | undefined =>
  typeof option === 'object' ? option[id] : option
