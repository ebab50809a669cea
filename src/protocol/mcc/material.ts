// A step's one-time material as it travels from helper and client, and as the server holds it until it is used.

import { packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { upload, uploadRepeated } from '../../kernels/instance.js'
import { add32 } from '../../kernels/ring.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import type { Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { isActive, isProduct } from '../step.js'
import { curveSizes } from './curve.js'
import { GuardMaterial } from './guard/inference.js'
import { type GuardTerms, guardSizes, guardTerms } from './guard/terms.js'
import { productSizes, unpackProduct } from './product.js'
import { type ReluMaterial, reluSizes } from './relu.js'
import { isCurve, type MccLayout, type MccStep, type MccSteps } from './step.js'

/** Bytes of a step's message from helper to server: u, tables, correction words, keys; of a product its words, of a curve u and tables. */
export function materialBytes(step: MccStep<ReluNumbers>, ring: number, terms: GuardTerms | null = null): number {
  if (isProduct(step)) return productSizes(step.product, ring).words
  const u = packedBytes(step.size, ring)
  if (!isActive(step)) return u
  if (isCurve(step)) return u + curveSizes(step, ring).tables
  const { tables, words, keys } = reluSizes(step, ring, terms)
  return u + tables + words + keys
}

/** Bytes of the messages of an inference's material: one per step, then what a guard adds. */
export function materialLengths(layout: MccLayout): { helper: number[]; client: number[] } {
  const { plan, steps } = layout
  const terms = guardTerms(layout)
  const [helper, client] = [steps.map((step) => materialBytes(step, plan.ring, terms)), steps.map(deltaBytes)]
  if (!terms) return { helper, client }
  const { dealt, uploaded } = guardSizes(terms)
  return { helper: [...helper, dealt], client: [...client, uploaded] }

  function deltaBytes({ size, product }: MccStep<ReluNumbers>): number {
    return product ? 0 : packedBytes(size, plan.ring)
  }
}

/** What the server holds of an inference until it is used: the messages, and of each step c in place of u. */
export function heldBytes(
  layout: MccLayout,
  { helper }: { readonly helper: readonly number[] } = materialLengths(layout),
): number {
  const dealt = helper.reduce((sum, bytes) => sum + bytes, 0)
  const c = layout.steps.map(({ size, product }) => 4 * size - (product ? 0 : packedBytes(size, layout.plan.ring)))
  return c.reduce((sum, bytes) => sum + bytes, dealt)
}

/** What the server holds of one step: c = u + δ + bias as far as it has come, and the ReLU's material. */
export interface StepMaterial {
  readonly c: Region
  relu: ReluMaterial | null
  /** What the reply is read with: of a product its correction words, of a curve its tables, of a guarded ReLU its keys. */
  words: Region | null
}

/** Everything a server holds for one inference; steps that are done are gone from the list. */
export interface InferenceMaterial {
  readonly steps: Map<number, StepMaterial>
  readonly guard: GuardMaterial | null
}

/** Server: room for an inference's material; every c starts as the bias. */
export function emptyMaterial(
  k: Kernels,
  steps: readonly MccStep[],
  terms: GuardTerms | null,
  model: QuantizedModel,
): InferenceMaterial {
  return {
    steps: new Map(
      steps.map(({ index, size }) => {
        return [index, { c: uploadRepeated(k.memory, model.bias[index], size), relu: null, words: null }]
      }),
    ),
    guard: terms && new GuardMaterial(k, terms),
  }
}

/** Server: takes in what the helper sent for a step, or after all steps. */
export function takeDealt(
  k: Kernels,
  { plan, steps }: MccSteps,
  terms: GuardTerms | null,
  index: number,
  payload: Uint8Array,
  material: InferenceMaterial,
): void {
  if (index === steps.length) {
    material.guard!.dealt(payload)
    return
  }
  const { ring } = plan
  const step = steps[index]
  const into = material.steps.get(index)!
  if (isProduct(step)) {
    const packed = upload(k.memory, payload)
    into.words = unpackProduct(k, step.product, ring, packed)
    packed.release()
    return
  }
  const u = packedBytes(step.size, ring)
  addPacked(k, payload.subarray(0, u), step.size, ring, into.c, null)
  if (!isActive(step)) return
  if (isCurve(step)) {
    into.words = upload(k.memory, payload.subarray(u))
    return
  }
  const { tables, words } = reluSizes(step, ring, terms)
  into.relu = {
    tables: upload(k.memory, payload.subarray(u, u + tables)),
    words: upload(k.memory, payload.subarray(u + tables, u + tables + words)),
  }
  if (terms) into.words = upload(k.memory, payload.subarray(u + tables + words))
}

/**
 * Server: takes in the client's δ of a step, or what it sent after all steps.
 * @param registration shared with the helper, where the plan is guarded
 */
export function takeDelta(
  k: Kernels,
  { plan, steps }: MccSteps,
  index: number,
  payload: Uint8Array,
  { steps: into, guard }: InferenceMaterial,
  registration?: Streams,
): void {
  if (index === steps.length) {
    guard!.uploaded(payload)
    return
  }
  const step = steps[index]
  if (isProduct(step)) return
  const check = guard && ((delta: Region) => guard.upload.takeSubsets(registration!, step, delta))
  addPacked(k, payload, step.size, plan.ring, into.get(index)!.c, check)
}

function addPacked(
  k: Kernels,
  payload: Uint8Array,
  count: number,
  ring: number,
  sum: Region,
  look: ((words: Region) => void) | null,
): void {
  const packed = upload(k.memory, payload)
  const words = k.memory.alloc(count * 4)
  unpack(k, packed, count, ring, words)
  packed.release()
  look?.(words)
  add32(k, sum, words, sum, count)
  words.release()
}

export function releaseMaterial({ steps, guard }: InferenceMaterial): void {
  for (const step of steps.values()) releaseStep(step)
  steps.clear()
  guard?.release()
}

function releaseStep({ c, relu, words }: StepMaterial): void {
  for (const region of [c, words, relu?.tables, relu?.words]) region?.release()
}

/**
 * Takes a step's material out to open it with: what is read with the reply is the result, the rest is freed.
 * @param open uses it
 */
export async function spend<T>(
  { steps }: Pick<InferenceMaterial, 'steps'>,
  index: number,
  open: (step: StepMaterial) => T | Promise<T>,
): Promise<readonly [opened: T, words: Region | null]> {
  const step = steps.get(index)!
  steps.delete(index)
  let words: Region | null = null
  try {
    const opened = await open(step)
    words = step.words
    return [opened, words]
  } finally {
    releaseStep({ ...step, words: words ? null : step.words })
  }
}
