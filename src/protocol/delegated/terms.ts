// What the owner of an input has to know of a plan: its two ends, and nothing between them. A delegate tells it, with its keys.
import { RingfenceError } from '../../errors.js'
import { outputsOf } from '../../plan/ends.js'
import { boundedInputBits, elementCount, type MccPlan, planDigest, tensorShape } from '../../plan/plan.js'

/** The two ends of a plan. */
export interface OwnerTerms {
  readonly network: string
  /** As in the plan: shape, fraction bits, bits of a value, how a picture becomes one. */
  readonly input: {
    readonly shape: readonly number[]
    readonly scale: number
    readonly bits: number
    readonly layout?: 'hwc'
    readonly preprocess: MccPlan['input']['preprocess']
  }
  /** k: bits of an input's words as they travel. */
  readonly bits: number
  /** n: bits of an output's words. */
  readonly ring: number
  /** ChaCha rounds of p and p_out. */
  readonly rounds: 12 | 20
  /** Words of all outputs together, and which of them are whose. */
  readonly output: {
    readonly elements: number
    readonly scale: number
    readonly opened: readonly { readonly id: string; readonly shape: readonly number[]; readonly shift: number }[]
    readonly names: readonly string[]
  }
  readonly labels: readonly string[]
}

/** What a delegate tells whoever asks: its public keys, the plan's digest and terms. */
export interface DelegateTerms {
  readonly identity: Uint8Array
  readonly epoch: Uint8Array
  readonly digest: Uint8Array
  readonly terms: OwnerTerms
}

/** @param plan one that bounds its input, and leaves nothing of its outputs to its client */
export function ownerTerms(plan: MccPlan): OwnerTerms {
  const { network, input, ring, rounds, labels, steps } = plan
  const { scale } = steps[steps.length - 1]
  const { opened, names } = outputsOf(plan)
  const output = { elements: elementCount(tensorShape(plan, steps.length)), scale, opened, names }
  return { network, input, bits: boundedInputBits(plan)!, ring, rounds, output, labels }
}

const KEY_BYTES = 32
const MAX_ELEMENTS = 2 ** 24

/** As it travels. */
export function encodeTerms(plan: MccPlan, identity: Uint8Array, epoch: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(ownerTerms(plan)))
  return new Uint8Array([...identity, ...epoch, ...planDigest(plan), ...json])
}

/** @throws RingfenceError PROTOCOL for anything that is no delegate's answer */
export function decodeTerms(bytes: Uint8Array): DelegateTerms {
  const key = (index: number) => bytes.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES)
  return { identity: key(0), epoch: key(1), digest: key(2), terms: readTerms(bytes.subarray(3 * KEY_BYTES)) }
}

function readTerms(bytes: Uint8Array): OwnerTerms {
  let terms: OwnerTerms | undefined
  try {
    terms = JSON.parse(new TextDecoder().decode(bytes))
    if (fits(terms!)) return terms!
  } catch {
    // Told below.
  }
  throw new RingfenceError('PROTOCOL', 'what answers here is no delegate of this version; check its address')
}

function fits({ network, input, bits, ring, rounds, output, labels }: OwnerTerms): boolean {
  const whole = (value: number, low: number, high: number) => Number.isInteger(value) && value >= low && value <= high
  const { shape, preprocess } = input
  const per = (list: readonly number[]) => Array.isArray(list) && list.every(Number.isFinite)
  return (
    typeof network === 'string' &&
    shape.length <= 3 &&
    shape.every((size) => whole(size, 1, MAX_ELEMENTS)) &&
    whole(elementCount(shape), 1, MAX_ELEMENTS) &&
    whole(input.scale, -32, 32) &&
    whole(input.bits, 2, 32) &&
    Number.isFinite(preprocess.scale) &&
    per(preprocess.mean) &&
    per(preprocess.std) &&
    whole(bits, input.bits, 32) &&
    whole(ring, 24, 32) &&
    (rounds === 12 || rounds === 20) &&
    whole(output.elements, 1, MAX_ELEMENTS) &&
    whole(output.scale, -64, 64) &&
    fitsOutputs(output) &&
    Array.isArray(labels) &&
    labels.every((label) => typeof label === 'string')
  )
}

function fitsOutputs({ elements, opened, names }: OwnerTerms['output']): boolean {
  const sizes = opened.map(({ id, shape, shift }) => {
    const fits =
      typeof id === 'string' && shape.length <= 3 && shape.every((size) => Number.isInteger(size) && size > 0)
    return fits && Number.isInteger(shift) && Math.abs(shift) <= 64 ? elementCount(shape) : Number.NaN
  })
  const sum = sizes.reduce((all, size) => all + size, 0)
  return sum === elements && names.every((name) => opened.some(({ id }) => id === name))
}
