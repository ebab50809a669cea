// Numbers on `mcc`: 32-bit words, a scale of its own for every tensor, from calibration, so that n' bits are enough.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { isActivation } from '../../model/layers/layers.js'
import type { QuadraticSum } from '../../model/piecewise.js'
import type { LayerRelu } from '../../model/relu/spec.js'
import type { Calibration } from '../calibrate.js'
import { MOST_DROPPED } from '../curves/check.js'
import { type RealFunction, segmentTable } from '../curves/segments.js'
import { ofLayer } from '../equalize/channel-windows.js'
import { type MapShape, type MccActivation, outputHeadroom, type Product, type StepRelu } from '../plan.js'
import { MOST_QUADRATIC_BITS } from '../quadratics.js'
import { chooseChunks, chunksOf, MAX_CHUNK } from './chunks.js'
import type { FunctionNumbers, Numbers, QuadraticNumbers } from './numbers.js'

export const POOLS = ['trips', 'bytes'] as const

export interface MccOptions {
  /** n, 24 … 32. Default 32. */
  ring?: number
  /** n': bits of every opened value, at most n. Default the calibration's, else 16. */
  bits?: number
  /** Low bits that comparisons ignore: one number, or per ReLU layer id. Default the calibration's, else 0: exact. */
  lo?: number | Readonly<Record<string, number>>
  /** Chunks per comparison chain. Default: whatever costs least. */
  chunks?: number
  /**
   * A client that deviates is caught before it learns anything, but for one attempt in 2^σ (docs/protocol.md, "Guarded
   * plans"); `sigma` from 8 to 31, default 16. Comparisons then read all bits of what is opened.
   */
  guard?: { readonly sigma?: number }
  /**
   * What a max pool spares where its windows are three long: round trips, half of them and bytes on line too, or bytes that the
   * helper deals, over a third. Default `trips`; a guarded plan has `bytes`.
   */
  pools?: (typeof POOLS)[number]
  /** Bits between the largest value calibrated and the largest that is still right. Default the calibration's, else 1. */
  margin?: number
}

/** Whole numbers hold a product of two such values. */
const MOST_FACTOR_BITS = 26
/** Values this small are zero for what they meet. */
const MAX_SCALE = 16

export function mccProblems(arch: Architecture, options: MccOptions): string[] {
  const { ring = 32, bits = 16, margin = 1, pools = 'trips' } = options
  const problems: string[] = []
  if (!Number.isInteger(ring) || ring < 24 || ring > 32) problems.push(`ring: 24 to 32 bits, not ${ring}`)
  const room = Math.min(32, ring) - 2
  if (!Number.isInteger(bits) || bits < 4 || !(bits <= room))
    problems.push(`bits: 4 to ring - 2 = ${room}, not ${bits}`)
  if (!(margin >= 0 && margin < bits - 3)) problems.push(`margin: 0 to ${bits - 4} bits, not ${margin}`)
  if (!POOLS.includes(pools)) problems.push(`pools: ${POOLS.join(' or ')}, not ${String(pools)}`)
  return [...problems, ...windowProblems(arch, bits, options)]
}

/** What is wrong with the windows that were asked for and the number of chunks they are cut in. */
function windowProblems(arch: Architecture, bits: number, { lo = 0, chunks }: MccOptions): string[] {
  const problems: string[] = []
  const windows = typeof lo === 'number' ? ([['lo', lo]] as const) : Object.entries(lo)
  for (const [name, low] of windows) {
    const layer = arch.byId.get(name)
    const what = typeof lo === 'number' ? name : `lo of ${name}`
    if (typeof lo !== 'number' && !(layer && isActivation(layer))) problems.push(`${what}: no relu has this id`)
    else if (!Number.isInteger(low) || low < 0 || low > bits - 1) {
      problems.push(`${what}: 0 to ${bits - 1} ignored bits of ${bits}, not ${low}`)
    } else if (chunks !== undefined && !chunksOf(bits - low, chunks)) {
      problems.push(`chunks: ${chunks} chunks of 1 to ${MAX_CHUNK} bits cannot cover ${bits - low} bits`)
    }
  }
  return problems
}

export class MccNumbers implements Numbers<MccActivation> {
  readonly ring: number
  readonly inputBits: number
  /** Weights stay below 2^15, so that they are small integers to the server's kernels. */
  readonly weightLimit = 2 ** 15 - 1
  readonly #margin: number

  constructor(
    private readonly calibration: Calibration,
    private readonly options: MccOptions,
  ) {
    this.ring = options.ring ?? 32
    this.inputBits = options.bits ?? calibration.windows?.bits ?? 16
    this.#margin = options.margin ?? calibration.windows?.margin ?? 1
  }

  scaleOf(id: string, growth = 0, offset = 0): number {
    const range = rangeOf(this.calibration, id) + offset
    return Math.min(MAX_SCALE, Math.floor(this.inputBits - 2 - this.#margin - growth - Math.log2(range)))
  }

  hasRange(id: string): boolean {
    return this.calibration.maxAbs[id] !== undefined
  }

  grown(scale: number, growth: number): number {
    return scale - growth
  }

  /** All the room goes to the weights' fraction bits: dropping more bits of y costs nothing. */
  roomFor(id: string, scale: number, relu: StepRelu, shape: MapShape): number {
    const widest = largestShift(relu, shape)
    const room = this.ring - this.inputBits - widest
    if (room >= 1) return scale + room
    throw new RingfenceError(
      'BAD_INPUT',
      `${id}: opened values of ${this.inputBits} bits and blocks of ${2 ** widest} elements do not fit a ring of ${this.ring} bits`,
    )
  }

  activation(id: string, scale: number, yScale: number, spec: LayerRelu, relu: StepRelu): MccActivation {
    const truncate = yScale - scale
    if (truncate < 0) {
      throw new RingfenceError('BAD_INPUT', `${id}: weights are too large for ${scale} fraction bits; use a wider ring`)
    }
    const lo = this.#lo(id, scale, spec)
    const chunks = relu.kind === 'identity' ? [] : chooseChunks(this.inputBits - lo, this.options.chunks)
    return { truncate, bits: this.inputBits, lo, chunks, relu }
  }

  product(id: string, scale: number): Product {
    const { inputBits: bits, ring } = this
    // The product itself has to fit the ring and the bits that it drops.
    const truncate = Math.max(0, scale - this.scaleOf(id), 2 * bits - 2 - ring)
    if (bits <= MOST_FACTOR_BITS && truncate <= 31) return { truncate, bits }
    const what = `a product of values of ${bits} bits that drops ${truncate} bits`
    throw new RingfenceError('UNSUPPORTED', `${id}: ${what} cannot run; use at most ${MOST_FACTOR_BITS} opened bits`)
  }

  curve(id: string, of: string, f: RealFunction): FunctionNumbers {
    const { ring, inputBits: bits } = this
    const [range, reach] = [rangeOf(this.calibration, of), rangeOf(this.calibration, id)]
    const result = this.scaleOf(id)
    return {
      // Nobody else reads the opened value: it takes the bit that others leave for sums and differences.
      scale: this.scaleOf(of, -1),
      computed: (scale) => {
        const { curve } = segmentTable(f, { ring, bits, scale, result, range, reach }, id)
        return { how: { curve }, scale: result }
      },
    }
  }

  get takesWins(): boolean {
    return !this.options.guard
  }

  get takesMaxPool(): boolean {
    return !this.options.guard && this.options.pools !== 'bytes'
  }

  /** A guarded plan has no such step; a calibration of another version may lack the range of its result. */
  takesQuadratic(id: string, of: string): boolean {
    const { guard } = this.options
    return !guard && this.inputBits <= MOST_QUADRATIC_BITS && this.hasRange(id) && this.hasRange(of)
  }

  /** Squares are taken as they are: the constant before them is left to what reads the result, but for a power of two. */
  quadratic(id: string, of: string, { factor, terms }: QuadraticSum): QuadraticNumbers {
    const { ring, inputBits } = this
    const halvings = Math.ceil(-Math.log2(factor))
    const farthest = Math.max(...terms.map(({ at }) => Math.abs(at)))
    // What a comparison reads stays below 2^(n'-1).
    const fits = farthest > 0 ? Math.floor(inputBits - 2 - Math.log2(farthest * 1.001)) : MAX_SCALE
    return {
      scale: Math.min(this.scaleOf(of), fits),
      factor: factor * 2 ** halvings,
      bends: (scale) => {
        const shifts = terms.map(({ at }) => -Math.round(at * 2 ** scale))
        return { shifts, sum: { signs: terms.map(({ sign }) => sign), plus: 0 } }
      },
      computed: (scale) => {
        const full = 2 * scale + halvings
        const drop = Math.min(Math.max(0, full - this.scaleOf(id)), MOST_DROPPED, 63 - ring)
        const polynomials = terms.map(
          ({ c0, c1 }) => [Math.round(c0 * 2 ** (2 * scale)), Math.round(c1 * 2 ** scale)] as const,
        )
        return { how: { quadratic: { drop, polynomials } }, scale: full - drop }
      },
    }
  }

  #lo(id: string, scale: number, relu: LayerRelu): number {
    const { lo, guard } = this.options
    if (guard) return 0
    const given = typeof lo === 'object' ? lo[id] : lo
    const comparison = 'comparison' in relu ? relu.comparison : undefined
    // The published window counts ignored bits of a value with its own number of fraction bits.
    const published = Math.max(0, (ofLayer(comparison?.lsbIgnored) ?? 0) + scale - (comparison?.fractionBits ?? scale))
    const low = given ?? this.#calibrated(id) ?? published
    if (Number.isInteger(low) && low >= 0 && low <= this.inputBits - 1) return low
    throw new RingfenceError(
      'BAD_INPUT',
      `${id}: ignoring ${low} low bits of ${this.inputBits} leaves nothing to compare`,
    )
  }

  /** The calibration's window, moved with the scale where values have other bits than it was chosen for. */
  #calibrated(id: string): number | undefined {
    const { windows } = this.calibration
    if (!windows || !Object.hasOwn(windows.lo, id)) return undefined
    const moved = windows.lo[id] + this.inputBits - windows.bits - Math.ceil(this.#margin - windows.margin)
    return Math.min(Math.max(0, moved), this.inputBits - 1)
  }

  /**
   * Truncate-reduce rounds down and loses a carry at random, (2^f - 1) / 2^f units on average (E3). The bias makes up
   * for it, so that the mean over all masks is y / 2^f.
   */
  rounding(truncate: number): number {
    return 2 ** truncate - 1
  }

  /** y itself goes out: its sign bit, the margin, the headroom of outputs and its whole part have to fit the ring. */
  outputScale(id: string): number {
    const range = outputRange(this.calibration, id)
    const room = this.ring - 2 - outputHeadroom(this.ring)
    return Math.min(room, Math.floor(room - this.#margin - Math.log2(range)))
  }

  words(values: Float64Array): Int32Array {
    return Int32Array.from(values)
  }
}

/** ceil(log2(area)) of the largest block, cut to the map. */
function largestShift(relu: StepRelu, [, h, w]: MapShape): number {
  if (relu.kind !== 'block') return 0
  const area = relu.blocks.reduce((most, [bh, bw]) => Math.max(most, Math.min(bh, h) * Math.min(bw, w)), 1)
  return Math.ceil(Math.log2(area))
}

export function rangeOf({ maxAbs }: Calibration, id: string): number {
  const range = maxAbs[id]
  if (range >= 0) return range
  throw new RingfenceError(
    'BAD_INPUT',
    `the calibration has no range for ${id}; calibrate this network with this relu-spec`,
  )
}

export function outputRange({ maxAbs }: Calibration, id: string): number {
  const range = maxAbs[id] ?? maxAbs.output
  if (range >= 0) return range
  throw new RingfenceError('BAD_INPUT', `the calibration has no range for the output ${id}`)
}
