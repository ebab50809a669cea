// One inference through a whole plan, per role and phase. Parties put these between their links and their life cycle.
import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { upload } from '../../kernels/instance.js'
import { add32 } from '../../kernels/ring.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import type { Streams } from '../../random/streams.js'
import type { LinearSource } from '../linear.js'
import { isActive } from '../step.js'
import type { ModelShare } from '../weights.js'
import { dealLinear, inputMask, outputMask, uploadLinear } from './linear.js'
import { type DealerStreams, dealRelu, type ReluMaterial, reluSizes } from './relu.js'
import type { MccStep, MccSteps, ReluStep } from './step.js'

/** Bytes of a step's message from helper to server: u, tables, correction words. */
export function materialBytes(step: MccStep, ring: number): number {
  const u = packedBytes(step.size, ring)
  if (!isActive(step)) return u
  const { tables, words } = reluSizes(step, ring)
  return u + tables + words
}

/** The r of every tensor of one inference, made when first needed. */
class InputMasks {
  readonly #masks: (Region | undefined)[] = []

  constructor(
    private readonly k: Kernels,
    private readonly steps: MccSteps,
    private readonly ch: Streams,
    private readonly inference: number,
  ) {}

  readonly get = (index: number): Region => {
    this.#masks[index] ??= inputMask(this.k, this.steps, this.ch, index, this.inference)
    return this.#masks[index]
  }

  release(): void {
    for (const mask of this.#masks) mask?.release(true)
    this.#masks.length = 0
  }
}

/** Writes a packed vector at `offset` of a message; returns where it ends. */
function put(k: Kernels, words: Region, count: number, bits: number, message: Region, offset: number): number {
  const bytes = packedBytes(count, bits)
  pack(k, words, count, bits, message.part(offset, bytes))
  return offset + bytes
}

/** Helper: the material of one inference, one message per step. `message` is lent to `emit` until it resolves. */
export async function dealInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  streams: DealerStreams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const { plan, steps } = planned
  const masks = new InputMasks(k, planned, streams.ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: false }
  try {
    for (const step of steps) {
      const message = k.memory.alloc(materialBytes(step, plan.ring))
      const u = dealLinear(k, step, streams.ch, source, inference)
      const at = put(k, u, step.size, plan.ring, message, 0)
      u.release()
      if (isActive(step)) dealInto(k, step, streams, inference, plan.ring, message, at)
      try {
        await emit(step.index, message)
      } finally {
        message.release()
      }
    }
  } finally {
    masks.release()
  }
}

function dealInto(
  k: Kernels,
  step: ReluStep,
  streams: DealerStreams,
  inference: number,
  ring: number,
  message: Region,
  at: number,
): void {
  const m = outputMask(streams.ch, step, inference)
  const { tables, words } = dealRelu(k, step, streams, m, inference)
  m.release(true)
  const size = reluSizes(step, ring).tables
  message.u8().set(tables.u8().subarray(0, size), at)
  put(k, words, words.byteLength >> 2, ring, message, at + size)
  tables.release()
  words.release()
}

/** Client, off line: δ of every step, packed. `message` is lent to `emit` until it resolves. */
export async function uploadInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  ch: Streams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const { plan, steps } = planned
  const masks = new InputMasks(k, planned, ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: true }
  try {
    for (const step of steps) {
      const delta = uploadLinear(k, step, ch, source, inference)
      const message = k.memory.alloc(packedBytes(step.size, plan.ring))
      pack(k, delta, step.size, plan.ring, message)
      delta.release()
      try {
        await emit(step.index, message)
      } finally {
        message.release()
      }
    }
  } finally {
    masks.release()
  }
}

/** What the server holds of one step: c = u + δ + bias as far as it has come, and the ReLU's material. */
export interface StepMaterial {
  readonly c: Region
  relu: ReluMaterial | null
}

/** Server: room for a step's material; c starts as the bias. */
export function emptyMaterial(k: Kernels, step: MccStep, model: QuantizedModel): StepMaterial {
  return { c: upload(k.memory, model.bias[step.index]), relu: null }
}

/** Server: takes in what the helper sent for a step. */
export function takeDealt(k: Kernels, step: MccStep, ring: number, payload: Uint8Array, into: StepMaterial): void {
  const u = packedBytes(step.size, ring)
  addPacked(k, payload.subarray(0, u), step.size, ring, into.c)
  if (!isActive(step)) return
  const { tables, words } = reluSizes(step, ring)
  const { comparisons, switched, passed } = step.relu
  const packed = upload(k.memory, payload.subarray(u + tables, u + tables + words))
  const count = comparisons + 4 * switched + 2 * passed
  const unpacked = k.memory.alloc(count * 4)
  unpack(k, packed, count, ring, unpacked)
  packed.release()
  into.relu = { tables: upload(k.memory, payload.subarray(u, u + tables)), words: unpacked }
}

/** Server: takes in the client's δ of a step. */
export function takeDelta(k: Kernels, step: MccStep, ring: number, payload: Uint8Array, into: StepMaterial): void {
  addPacked(k, payload, step.size, ring, into.c)
}

function addPacked(k: Kernels, payload: Uint8Array, count: number, ring: number, sum: Region): void {
  const packed = upload(k.memory, payload)
  const words = k.memory.alloc(count * 4)
  unpack(k, packed, count, ring, words)
  packed.release()
  add32(k, sum, words, sum, count)
  words.release()
}

export function releaseMaterial({ c, relu }: StepMaterial): void {
  c.release()
  relu?.tables.release()
  relu?.words.release()
}
