// A step's one-time material as it travels from helper and client, and as the server holds it until it is used.

import { unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { upload, uploadRepeated } from '../../kernels/instance.js'
import { add32 } from '../../kernels/ring.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import type { Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { isProduct } from '../step.js'
import { gadgetSizes } from './gadgets.js'
import { GuardMaterial } from './guard/inference.js'
import { type GuardTerms, guardSizes, guardTerms } from './guard/terms.js'
import { linearBytes } from './linear.js'
import { type MccLayout, type MccStep, type MccSteps, opens } from './step.js'

/** Bytes of a step's message from helper to server: u, then what its gadget opens with and reads the reply with. */
export function materialBytes(step: MccStep<ReluNumbers>, ring: number, terms: GuardTerms | null = null): number {
  const { opening, reply } = opens(step) ? gadgetSizes(step, ring, terms).dealt : NOTHING
  return linearBytes(step, ring) + opening + reply
}

const NOTHING = { opening: 0, reply: 0 }

/** Bytes of the messages of an inference's material: one per step, then what a guard adds. */
export function materialLengths(layout: MccLayout): { helper: number[]; client: number[] } {
  const { plan, steps } = layout
  const terms = guardTerms(layout)
  const helper = steps.map((step) => materialBytes(step, plan.ring, terms))
  const client = steps.map((step) => linearBytes(step, plan.ring))
  if (!terms) return { helper, client }
  const { dealt, uploaded } = guardSizes(terms)
  return { helper: [...helper, dealt], client: [...client, uploaded] }
}

/** What the server holds of an inference until it is used: the messages, and of each step c in place of u. */
export function heldBytes(
  layout: MccLayout,
  { helper }: { readonly helper: readonly number[] } = materialLengths(layout),
): number {
  const dealt = helper.reduce((sum, bytes) => sum + bytes, 0)
  const c = layout.steps.map((step) => 4 * step.size - linearBytes(step, layout.plan.ring))
  return c.reduce((sum, bytes) => sum + bytes, dealt)
}

/** What the server holds of one step: c = u + δ + bias as far as it has come, and the two parts of what was dealt, packed. */
export interface StepMaterial {
  readonly c: Region
  dealt: { readonly opening: Region; readonly reply: Region } | null
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
  bias: QuantizedModel['bias'],
): InferenceMaterial {
  return {
    steps: new Map(
      steps.map(({ index, size }) => {
        return [index, { c: uploadRepeated(k.memory, bias[index], size), dealt: null }]
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
  const u = linearBytes(step, ring)
  if (u > 0) addPacked(k, payload.subarray(0, u), step.size, ring, into.c, null)
  if (!opens(step)) return
  const { opening } = gadgetSizes(step, ring, terms).dealt
  const part = (from: number, to?: number) => upload(k.memory, payload.subarray(from, to))
  into.dealt = { opening: part(u, u + opening), reply: part(u + opening) }
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

function releaseStep({ c, dealt }: StepMaterial): void {
  for (const region of [c, dealt?.opening, dealt?.reply]) region?.release()
}

/**
 * Takes a step's material out to open it with: what is read with the reply is the result, the rest is freed.
 * @param open uses it
 */
export async function spend(
  { steps }: Pick<InferenceMaterial, 'steps'>,
  index: number,
  open: (y: Region, dealt: Region) => Promise<void>,
): Promise<Region> {
  const { c, dealt } = steps.get(index)!
  steps.delete(index)
  const { opening, reply } = dealt!
  try {
    await open(c, opening)
    return reply
  } catch (error) {
    reply.release()
    throw error
  } finally {
    for (const region of [c, opening]) region.release()
  }
}
