// A registered model on its way from a front to a dealer: plan, F, and what a guarded plan adds.
import { RingfenceError } from '../errors.js'
import { packedBytes } from '../kernels/bits.js'
import type { DealtModel } from '../party/helper/dealing.js'
import { readPlan } from '../party/received-plan.js'
import { canonicalJson, type MccPlan, planDigest } from '../plan/plan.js'
import { planLayout } from '../protocol/layout.js'
import { guardTerms } from '../protocol/mcc/guard/terms.js'
import { tensorSizes } from '../protocol/mcc/guard/upload.js'
import { filterSlots } from '../protocol/weights.js'
import { SEED_BYTES, type Seed } from '../random/seed.js'

export interface FleetModel extends DealtModel {
  /** Of a guarded plan: what the server sends for each tensor, and the registration's seed. */
  readonly transposes: readonly Uint8Array[]
  readonly seed: Seed | undefined
}

const DIGEST_BYTES = 32

export function encodeModel({ plan, filters, transposes, seed }: FleetModel): Uint8Array {
  const json = new TextEncoder().encode(canonicalJson(plan))
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, json.byteLength, true)
  const parts = [head, planDigest(plan), json, ...filters, ...transposes, ...(seed ? [seed] : [])]
  const out = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.byteLength
  }
  return out
}

/** @throws RingfenceError PLAN_MISMATCH, PROTOCOL */
export function decodeModel(bytes: Uint8Array): FleetModel {
  let at = 0
  const take = (length: number) => {
    if (at + length > bytes.byteLength) throw wrong()
    return bytes.slice(at, (at += length))
  }
  const planBytes = new DataView(take(4).buffer).getUint32(0, true)
  const digest = take(DIGEST_BYTES)
  const plan = readPlan(take(planBytes), digest) as MccPlan
  if (plan.backend !== 'mcc') throw wrong()
  const filters = filterSlots(plan).map(({ words }) => take(packedBytes(words, plan.ring)))
  const terms = guardTerms(planLayout(plan))
  const transposes = terms ? tensorSizes(plan).map((size) => take(packedBytes(size, plan.ring) * terms.vectors)) : []
  const seed = terms ? take(SEED_BYTES) : undefined
  if (at !== bytes.byteLength) throw wrong()
  return { plan, filters, transposes, seed }
}

const wrong = () =>
  new RingfenceError('PROTOCOL', 'this is no model of this version; fronts and dealers have to be of one')
