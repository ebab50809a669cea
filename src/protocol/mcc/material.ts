// A step's one-time material as it travels from helper and client, and as the server holds it until it is used.

import { packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { upload } from '../../kernels/instance.js'
import { add32 } from '../../kernels/ring.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import type { ReluNumbers } from '../layout.js'
import { isActive } from '../step.js'
import { type ReluMaterial, reluSizes } from './relu.js'
import type { MccStep } from './step.js'
import { unpackWords } from './words.js'

/** Bytes of a step's message from helper to server: u, tables, correction words. */
export function materialBytes(step: MccStep<ReluNumbers>, ring: number): number {
  const u = packedBytes(step.size, ring)
  if (!isActive(step)) return u
  const { tables, words } = reluSizes(step, ring)
  return u + tables + words
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
  const packed = upload(k.memory, payload.subarray(u + tables, u + tables + words))
  into.relu = {
    tables: upload(k.memory, payload.subarray(u, u + tables)),
    words: unpackWords(k, step, ring, packed),
  }
  packed.release()
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
