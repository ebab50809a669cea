// The input and the answer of a delegated inference (docs/protocol.md, "delegated"). Owner and delegate share a seed whose
// streams are p and p_out; delegate and helper share r and m. k: the bits that the plan bounds the input to.
//
//   on line    owner → server      x - p            mod 2^k
//              delegate → server   p - r, m - p_out mod 2^k, 2^n
//              server              x̂ = (x - p) + (p - r)
//              server → owner      (y - m) + (m - p_out)
import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/instance.js'
import { add32, sub32 } from '../../kernels/ring.js'
import { Phase } from '../../net/index.js'
import { boundedInputBits, elementCount, type MccPlan, tensorShape } from '../../plan/plan.js'
import { Purpose, type PurposeCode, type Streams } from '../../random/streams.js'
import { ID_BYTES, INFERENCE_BYTES, writeInference } from '../control.js'
import { Kind } from '../kinds.js'
import { tensorMask } from '../linear.js'
import { sendRegions } from '../regions.js'
import { answerOpenings, type ClientWalk, withGuard } from './inference.js'
import { outputMask } from './linear.js'
import type { MccSteps } from './step.js'

/** Lengths of what the three send in a delegated inference. */
export interface DelegatedSizes {
  /** Bits of an input's words. */
  readonly bits: number
  readonly inputs: number
  readonly outputs: number
  /** x - p; p - r has as many. */
  readonly inputBytes: number
  /** y - p_out; m - p_out has as many. */
  readonly outputBytes: number
  /** The delegate's frame. */
  readonly joinBytes: number
}

/** Null where the plan does not bound its input: then nothing is delegated. */
export function delegatedSizes(plan: MccPlan): DelegatedSizes | null {
  const bits = boundedInputBits(plan)
  if (bits === null) return null
  const inputs = elementCount(tensorShape(plan, 0))
  const outputs = elementCount(tensorShape(plan, plan.steps.length))
  return sizesOf({ bits, inputs, outputs }, plan.ring)
}

export function sizesOf(ends: Pick<DelegatedSizes, 'bits' | 'inputs' | 'outputs'>, ring: number): DelegatedSizes {
  const inputBytes = packedBytes(ends.inputs, ends.bits)
  const outputBytes = packedBytes(ends.outputs, ring)
  return { ...ends, inputBytes, outputBytes, joinBytes: ID_BYTES + INFERENCE_BYTES + inputBytes + outputBytes }
}

/** What a delegate's frame holds. */
export interface DelegateHalf {
  readonly id: Uint8Array
  /** p - r and m - p_out, packed. */
  readonly input: Uint8Array
  readonly output: Uint8Array
}

/** A stream of the owner's seed, one word per element. */
const ownerMask = (owner: Streams, purpose: PurposeCode, elements: number): Region =>
  owner.take({ purpose, layer: 0, inference: 0 }, elements * 4)

/**
 * Delegate: its half of an unused inference, into a frame.
 * @param ch shared with the helper, for this inference
 * @param owner shared with the owner of the input
 */
export function writeDelegateHalf(
  k: Kernels,
  planned: MccSteps,
  { ch, owner, inference, id }: { ch: Streams; owner: Streams; inference: number; id: Uint8Array },
  frame: Uint8Array,
): void {
  const { plan, steps } = planned
  const { bits, inputs, outputs, inputBytes } = delegatedSizes(plan)!
  frame.set(id)
  writeInference(frame.subarray(ID_BYTES), inference)
  const put = (from: Region, less: Region, count: number, width: number, at: number) => {
    sub32(k, from, less, from, count)
    const packed = k.memory.alloc(packedBytes(count, width))
    pack(k, from, count, width, packed)
    frame.set(packed.u8(), ID_BYTES + INFERENCE_BYTES + at)
    for (const region of [packed, from, less]) region.release(true)
  }
  put(ownerMask(owner, Purpose.ownerInput, inputs), tensorMask(k, planned, ch, 0, inference), inputs, bits, 0)
  const m = outputMask(ch, steps[steps.length - 1], inference)
  put(m, ownerMask(owner, Purpose.ownerOutput, outputs), outputs, plan.ring, inputBytes)
}

/** Server: the parts of a delegate's frame, behind the inference's number. */
export function readDelegateHalf(frame: Uint8Array, { inputBytes }: DelegatedSizes): DelegateHalf {
  const at = ID_BYTES + INFERENCE_BYTES
  return {
    id: frame.subarray(0, ID_BYTES),
    input: frame.subarray(at, at + inputBytes),
    output: frame.subarray(at + inputBytes),
  }
}

/** Server: x̂ of the input, one word per element, of which the low k bits count. The caller releases it. */
export function joinInput(
  k: Kernels,
  { bits, inputs }: DelegatedSizes,
  owner: Uint8Array,
  delegate: Uint8Array,
): Region {
  return sumOf(k, inputs, bits, [owner, delegate])
}

/** Server: y - p_out as it goes to the owner. @param y ŷ of the last step, one word per element */
export function blindOutput(
  k: Kernels,
  { ring }: MccPlan,
  { outputs, outputBytes }: DelegatedSizes,
  y: Region,
  delegate: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const sum = sumOf(k, outputs, ring, [delegate])
  add32(k, sum, y, sum, outputs)
  const packed = k.memory.alloc(outputBytes)
  pack(k, sum, outputs, ring, packed)
  const answer = packed.u8().slice()
  for (const region of [sum, packed]) region.release()
  return answer
}

/** The sum of packed vectors. */
function sumOf(k: Kernels, count: number, bits: number, messages: readonly Uint8Array[]): Region {
  const sum = k.memory.allocZero(count * 4)
  const words = k.memory.alloc(count * 4)
  for (const message of messages) {
    const packed = upload(k.memory, message)
    unpack(k, packed, count, bits, words)
    add32(k, sum, words, sum, count)
    packed.release()
  }
  words.release()
  return sum
}

/**
 * Delegate: plays the client of an inference whose input and answer belong to somebody else.
 * @param owner streams of the seed that it shares with the owner
 * @param id of the owner's request
 * @returns false when the owner has left: the inference is used up all the same
 */
export async function runDelegate(walk: ClientWalk, owner: Streams, id: Uint8Array): Promise<boolean> {
  const { k, planned, server, meter, ch, inference, signal } = walk
  const half = new Uint8Array(delegatedSizes(planned.plan)!.joinBytes)
  writeDelegateHalf(k, planned, { ch, owner, inference, id }, half)
  await sendRegions(server, Kind.join, 0, [half], { signal })
  meter.mark(Phase.online, 0)
  const [begins] = await server.receive(Kind.joined, Phase.online, 0, 1, { signal })
  if (begins === 1) await withGuard(walk, (guard) => answerOpenings(walk, guard))
  meter.stop()
  return begins === 1
}
