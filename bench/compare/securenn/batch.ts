// One batch of the published protocol, by party: the comparison alone, or a whole ReLU.
import { type Kernels, type Region, upload } from '../../../src/kernels/instance.js'
import type { Link } from '../../../src/net/index.js'
import { dealDrelu, drelu, type Window } from '../../../src/protocol/securenn/drelu.js'
import { dealTriple, multiply, PRODUCT, pairwise, sendProduct } from '../../../src/protocol/securenn/multiply.js'
import type { HelperSide, Side } from '../../../src/protocol/securenn/parties.js'
import { Purpose, Streams } from '../../../src/random/streams.js'
import type { Values, Variant } from '../backend.js'

/** Every batch uses the same randomness again: it hides numbers that are nobody's secret. */
const ADDRESS = { layer: 0, inference: 0 }

/** Shares of the sign, and of the ReLU when that is what is measured. The caller releases both. */
export interface Result {
  readonly bit: Region
  readonly value: Region | null
}

export const windowOf = ({ bits, opened }: Variant): Window => ({ ignoredMsb: 64 - bits, ignoredLsb: opened - bits })

/** Seeds that every process has, so that each can play its part alone. */
const streams = (k: Kernels, byte: number) => new Streams(k, new Uint8Array(32).fill(byte), 12)

export const sideOf = (k: Kernels, party: 0 | 1, peer: Link, helper: Link): Side => ({
  ...{ k, party, peer, helper },
  common: streams(k, 4),
  dealt: streams(k, party === 0 ? 5 : 6),
})

export const helperOf = (k: Kernels, client: Link, server: Link): HelperSide => ({
  ...{ k, client, server },
  ch: streams(k, 5),
  sh: streams(k, 6),
  own: streams(k, 7),
})

/** One party's share of the values. The caller releases it. */
export function shareOf({ k, party, common }: Side, values: Values): Region {
  const mask = common.take({ purpose: Purpose.outputMask, ...ADDRESS }, values.length * 8)
  if (party === 0) return mask
  const words = mask.u64().map((m, i) => BigInt.asUintN(64, BigInt(values[i]) - m))
  mask.release()
  return upload(k.memory, words)
}

/** Client or server. */
export async function batch(side: Side, variant: Variant, share: Region, count: number): Promise<Result> {
  const bit = await drelu(side, share, count, windowOf(variant), ADDRESS)
  const value = variant.operation === 'relu' ? await multiply(side, share, bit, pairwise(count), ADDRESS) : null
  return { bit, value }
}

/** Helper. */
export async function deal(helper: HelperSide, variant: Variant, count: number): Promise<void> {
  if (variant.operation === 'comparison') return dealDrelu(helper, count, windowOf(variant), ADDRESS)
  const c = dealTriple(helper, PRODUCT, pairwise(count), ADDRESS)
  await dealDrelu(helper, count, windowOf(variant), ADDRESS)
  await sendProduct(helper, c, ADDRESS)
}
