// The plan: what all three parties walk through, step by step. It holds shapes, scales and widths and nothing secret;
// its digest is agreed before anything else, and every length on the wire follows from it.
import { sha256 } from '@noble/hashes/sha2.js'
import type { ConvGeometry } from '../kernels/geometry.js'
import { broadcast } from '../model/layers/broadcast.js'
import { type ReluCounts, type ReluLayout, reluCounts, reluLayout } from '../model/relu/layout.js'
import { fromBase64, toBase64 } from '../model/relu/mask-bits.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { asMap, elementCount } from '../model/shape.js'
import { outputHeadroom } from './headroom.js'

export { asMap, elementCount, outputHeadroom }

export type MapShape = readonly [number, number, number]

/**
 * One operation of a linear step, over CHW maps of ring words. `of` are indices of earlier operations of the same step.
 * Every path from a tensor to the step's result passes exactly one weighting operation (conv or lift), which brings the
 * value to the step's scale; the others are public and keep the scale.
 */
export type LinearOp =
  /** A masked tensor: 0 is the input, i + 1 the result of step i. */
  | { op: 'tensor'; tensor: number; out: MapShape }
  /** The layer's secret weights, integers of `scale` fraction bits. */
  | { op: 'conv'; of: number; layer: string; geometry: ConvGeometry; scale: number; out: MapShape }
  /** A public factor that brings an unweighted value to the step's scale: one number, or one per position. */
  | { op: 'lift'; of: number; factor: number | readonly number[]; out: MapShape }
  /** A public factor on an unweighted value. */
  | { op: 'scale'; of: number; factor: number; out: MapShape }
  /** Sums over windows; beyond the map is zero. */
  | { op: 'poolSum'; of: number; kernel: Pair; stride: Pair; pad: Quad; out: MapShape }
  /** Every line is a blend of two: first · (2^bits - weight) + second · weight, along both axes. */
  | { op: 'resize'; of: number; rows: readonly Blend[]; columns: readonly Blend[]; bits: number; out: MapShape }
  /** Every stride-th element from `from` on, placed at [channel, top, left] `at` in a map of zeros. */
  | { op: 'embed'; of: number; stride: Pair; from: Pair; at: MapShape; out: MapShape }
  /** The sum of maps of one shape; of a single one, the same values under another shape. */
  | { op: 'add'; of: readonly number[]; out: MapShape }
  | { op: 'zero'; out: MapShape }

/** Two lines of a map and the second's integer weight. */
export type Blend = readonly [first: number, second: number, weight: number]
export type Pair = readonly [number, number]
export type Quad = readonly [number, number, number, number]

/** What follows a linear step on back end `mcc`: truncate-reduce, then a ReLU by its spec, back to the ring. */
export interface MccActivation {
  /** Low bits of y that truncate-reduce drops: y's scale minus the result's. */
  readonly truncate: number
  /** n': bits of the truncated, masked value that is opened. |y'| < 2^(bits-2) is what calibration guarantees. */
  readonly bits: number
  /** The comparison reads bits [lo, bits). */
  readonly lo: number
  /** Chunk widths of the comparison, least significant first. */
  readonly chunks: readonly number[]
  readonly relu: StepRelu
  readonly bends?: Bends
  /** What copies of `bends` are summed as; every one of them is a ReLU. */
  readonly quadratic?: Quadratic
  /** In place of ReLUs, which pass everything then; values are right below 2^(bits-1) less one segment. */
  readonly curve?: Curve
  /** In place of ReLUs, one per element: the maxima of windows of three along an axis of y. Differences are what is compared. */
  readonly maxPool?: PoolWindows
  /** In place of ReLUs: every channel's wins against the others of its position, as `meetingsOf` says. */
  readonly wins?: true
}

/** Windows along axis 0 (rows) or 1 (columns) of a map; beyond it they read its edge again. The step's shape says how many. */
export interface PoolWindows {
  readonly axis: 0 | 1
  readonly stride: number
  readonly pad: number
}

/**
 * Copies of a value on `mcc` that add, wherever their ReLU is on, y² + c1·y + c0 with their sign in place of themselves, y being
 * the opened value without a copy's shift.
 */
export interface Quadratic {
  /** Low bits that the sum drops. */
  readonly drop: number
  /** By copy: [c0, c1]. */
  readonly polynomials: readonly Pair[]
}

/** A function of every opened value on `mcc`, as polynomials by segments. */
export interface Curve {
  /** The top bits of a value that choose among 2^segments polynomials. */
  readonly segments: number
  /** Low bits that a polynomial's value drops. */
  readonly drop: number
  /**
   * By segment from the lowest values on: coefficients, constant first, of the value less the middle of the segment and the
   * next one. A value may meet the polynomial of its segment or of the one before.
   */
  readonly polynomials: readonly (readonly number[])[]
}

/**
 * A step that multiplies two tensors, in place of a linear map and an activation, on `mcc`: its operations are the two
 * tensors, the one of the result's shape last. The other one may be smaller, and is spread over it as `Broadcast` says.
 */
export interface Product {
  /** Low bits that the product drops: both scales less the result's. */
  readonly truncate: number
  /** n': bits of both opened values. */
  readonly bits: number
}

/** What follows a linear step on back end `securenn`: local truncation, then a ReLU by its spec. */
export interface SecurennActivation {
  /** Low bits that both parties shift out of their shares. */
  readonly truncate: number
  /** High and low bits of the 64 that comparisons ignore (docs/protocol.md, section 17); 0 and 0 is exact. */
  readonly ignoredMsb: number
  readonly ignoredLsb: number
  readonly relu: StepRelu
  readonly bends?: Bends
}

/**
 * Several ReLUs of one value, for activations with more than one bend: copy j of an element is its truncated value plus
 * shifts[j]. Copies follow one another along the channels, and `relu` runs over all of them.
 */
export interface Bends {
  /** In units of the result. */
  readonly shifts: readonly number[]
  /**
   * The result is the sum of an element's copies with these signs, plus `plus` where any of them is not known to be zero.
   * Null: all copies are results.
   */
  readonly sum: { readonly signs: readonly (1 | -1)[]; readonly plus: number } | null
}

export type Activation = MccActivation | SecurennActivation

/**
 * A layer's ReLU kinds as plain JSON; a mask's bits are base64, least significant first. `passed` names elements without a
 * ReLU that pass although `off` says zero: copies of one value may differ in that.
 */
export type StepRelu =
  | { readonly kind: 'relu' | 'identity' | 'zero' }
  | { readonly kind: 'block'; readonly blocks: readonly Pair[] }
  | { readonly kind: 'mask'; readonly off: 'identity' | 'zero'; readonly bits: string; readonly passed?: string }

export interface Step<A extends Activation = Activation> {
  /** Id of the layer whose value the step produces. */
  readonly id: string
  readonly linear: readonly LinearOp[]
  readonly out: MapShape
  /** Fraction bits of the result: after truncation, or of the output's y. */
  readonly scale: number
  /** Null in products, and in the last step, whose y goes to the client. */
  readonly activation: A | null
  readonly product?: Product
}

/** What the words of the last step are, and what the client computes of them alone. */
export interface PlanOutputs {
  /** Values that lie one after another; of an output with a `shift` the scale is that much larger than the step's. */
  readonly opened: readonly { readonly id: string; readonly shape: readonly number[]; readonly shift: number }[]
  /** Layers over them as an `arch/1` file has them, none with weights. */
  readonly tail: readonly Readonly<Record<string, unknown>>[]
  /** The network's outputs, each an id of both. */
  readonly names: readonly string[]
}

/** How to compute privately. */
export type Backend = 'mcc' | 'securenn'

interface PlanOf<B extends Backend, A extends Activation> {
  readonly format: 'plan/1'
  readonly backend: B
  readonly network: string
  /** n: bits of the ring, 24 … 32 on `mcc`, 64 on `securenn`. */
  readonly ring: number
  /** ChaCha rounds of every stream. */
  readonly rounds: 12 | 20
  readonly input: {
    /** CHW, or of a vector. */
    readonly shape: readonly number[]
    /** The order in which values are given: the channels of each pixel side by side; channels first without it. */
    readonly layout?: 'hwc'
    /** Fraction bits. */
    readonly scale: number
    /** Input values lie in (-2^(bits-1), 2^(bits-1)) as integers of that scale. */
    readonly bits: number
    readonly preprocess: {
      readonly scale: number
      readonly mean: readonly number[]
      readonly std: readonly number[]
      /** Channels of pictures are taken blue first. */
      readonly order?: 'bgr'
    }
  }
  readonly labels: readonly string[]
  readonly steps: readonly Step<A>[]
  /** Absent where the last step is the one output, of its id and shape. */
  readonly outputs?: PlanOutputs
}

/** What a client that deviates has to guess (docs/protocol.md, "Guarded plans"). */
export interface Guard {
  /** σ: how much longer than the ring one-time MACs are. A changed reply or upload passes with 2^-(σ+1). */
  readonly sigma: number
  /** How everything is compared once more; null where nothing is compared. */
  readonly signs: {
    /** Independent orders, each over all comparisons and its traps. */
    readonly sets: number
    readonly traps: number
    /** The widest n' of the steps that compare: all are shifted to it. */
    readonly bits: number
    readonly chunks: readonly number[]
  } | null
}

/** Comparisons by one-time tables, helper off line (docs/protocol.md, part one). */
export type MccPlan = PlanOf<'mcc', MccActivation> & { readonly guard?: Guard }
/** The published protocol, helper on line (docs/protocol.md, part two). */
export type SecurennPlan = PlanOf<'securenn', SecurennActivation>
/** What is run: the same for all three parties, and secret to none. */
export type Plan = MccPlan | SecurennPlan

/** Fraction bits of what the client of a `securenn` plan reads: those of the last tensor; it drops the others of y. */
export const outputFraction = ({ input, steps }: SecurennPlan): number => steps[steps.length - 2]?.scale ?? input.scale

/**
 * Bits of an input that the plan bounds before it meets a weight, or null. Where the first step only opens and re-shares the
 * input and nothing else reads it, no more of its words than these low bits is ever used.
 */
export function boundedInputBits(plan: Plan): number | null {
  if (plan.backend !== 'mcc') return null
  const [{ linear, activation }, ...others] = plan.steps
  const reads = (step: Step) => step.linear.some((op) => op.op === 'tensor' && op.tensor === 0)
  const alone = linear.every(({ op }) => op === 'tensor' || op === 'lift') && !others.some(reads)
  const plain = activation?.relu.kind === 'identity' && activation.truncate === 0 && !activation.bends
  return alone && plain ? activation.bits : null
}

/** What words of the input and of the output stay below in size as long as they are within range and margin. */
export function bounds(plan: Plan): { readonly input: number; readonly output: number } {
  const { backend, ring, input } = plan
  const output = backend === 'mcc' ? 2 ** (ring - 2 - outputHeadroom(ring)) : Number.POSITIVE_INFINITY
  return { input: 2 ** (input.bits - 2), output }
}

/** Bytes of a ring word in memory. */
export const ringBytes = ({ ring }: Pick<Plan, 'ring'>): 4 | 8 => (ring > 32 ? 8 : 4)

/** The windows whose maxima a step's results are, if they are any. */
export const maxPoolOf = ({ activation }: Pick<Step, 'activation'>): PoolWindows | undefined =>
  activation && 'maxPool' in activation ? activation.maxPool : undefined

/** Whether a step's results are wins. */
export const hasWins = ({ activation }: Pick<Step, 'activation'>): boolean =>
  activation !== null && 'wins' in activation && activation.wins === true

/** The shape of y: what a step's linear operations compute. */
export const linearShape = ({ linear }: Pick<Step, 'linear'>): MapShape => linear[linear.length - 1].out

/** The shape that a step's ReLUs run over: all copies of y. */
export function reluShape({ linear, activation }: Pick<Step, 'linear' | 'activation'>): MapShape {
  const [c, h, w] = linearShape({ linear })
  return [c * (activation?.bends?.shifts.length ?? 1), h, w]
}

/** The two tensors of a product and how they meet; null where they do not. */
export function productFactors({ linear, product }: Pick<Step, 'linear' | 'product'>) {
  const [right, left] = linear
  if (!product || linear.length !== 2 || left.op !== 'tensor' || right.op !== 'tensor') return null
  const spread = broadcast(right.out, left.out)
  return spread && { left: left.tensor, right: right.tensor, ...spread }
}

/** The shape of tensor `index` of a plan. */
export function tensorShape(plan: Plan, index: number): MapShape {
  return index === 0 ? asMap(plan.input.shape) : plan.steps[index - 1].out
}

/** JSON with sorted keys and no white space: the form that is hashed. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** Which messages the parties exchange over a plan. Rises with every change of what travels or is drawn. */
export const PROTOCOL_VERSION = 9

/** SHA-256 of the plan's canonical JSON and of the protocol's version: parties and kept material that agree on it agree on both. */
export function planDigest(plan: Plan): Uint8Array {
  return sha256(new TextEncoder().encode(canonicalJson({ protocol: PROTOCOL_VERSION, plan })))
}

export function planRelu(relu: LayerRelu): StepRelu {
  if (relu.kind === 'block') return { kind: 'block', blocks: relu.blocks }
  if (relu.kind !== 'mask') return { kind: relu.kind }
  const { kind, off, bits, passed } = relu
  return { kind, off, bits: packed(bits), ...(passed && { passed: packed(passed) }) }
}

function packed(bits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8))
  bits.forEach((bit, i) => {
    bytes[i >> 3] |= bit << (i & 7)
  })
  return toBase64(bytes)
}

function unpacked(base64: string, count: number): Uint8Array {
  const bytes = fromBase64(base64)
  const bits = new Uint8Array(count)
  for (let i = 0; i < count; i++) bits[i] = (bytes[i >> 3] >> (i & 7)) & 1
  return bits
}

/** Which elements of a step's copies each comparison tests and switches. */
export function stepLayout(step: Step): ReluLayout | null {
  return step.activation && reluLayout(layerRelu(step, step.activation), reluShape(step))
}

/** The numbers of `stepLayout`. */
export function stepCounts(step: Step): ReluCounts | null {
  return step.activation && reluCounts(layerRelu(step, step.activation), reluShape(step))
}

function layerRelu(step: Step, { relu }: Activation): LayerRelu {
  if (relu.kind !== 'mask') return relu
  const { kind, off } = relu
  const elements = elementCount(reluShape(step))
  const passed = relu.passed === undefined ? undefined : unpacked(relu.passed, elements)
  return { kind, off, bits: unpacked(relu.bits, elements), passed }
}
