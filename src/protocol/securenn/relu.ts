// ReLU, block ReLU, masked and identity channels of the published protocol: local truncation, one DReLU per value or
// patch, one product per switched value with the bit opened once per comparison.

import { gather64, patchSums64, scatter64 } from '../../kernels/index-maps.js'
import type { Region } from '../../kernels/instance.js'
import { add64, sub64 } from '../../kernels/ring.js'
import { truncateShare, windowOf } from '../../kernels/securenn/shares.js'
import type { Bends } from '../../plan/plan.js'
import type { ReluNumbers } from '../layout.js'
import type { PlannedRelu } from '../step.js'
import { after, lastStage, type Message } from '../transcript.js'
import type { CallAddress } from './draws.js'
import { dealDrelu, drelu, dreluMessages, type Window } from './drelu.js'
import { dealTriple, multiply, PRODUCT, type Products, productMessages, sendProduct } from './multiply.js'
import type { HelperSide, Side } from './parties.js'
import type { SecurennReluStep } from './step.js'

/** A step's comparisons and products; nobody sends anything where nothing is compared. */
export function reluMessages({
  activation,
  relu,
}: {
  readonly activation: Window
  readonly relu: Pick<ReluNumbers, 'comparisons' | 'switched'>
}): Message[] {
  if (relu.comparisons === 0) return []
  const signs = dreluMessages(activation, relu.comparisons)
  return [...signs, ...after(lastStage(signs), productMessages({ count: relu.switched, factors: relu.comparisons }))]
}

/** 0 is the client. */
const SERVER = 1

const productsOf = ({ switched, comparisons, comparisonOf }: PlannedRelu): Products => ({
  count: switched,
  factors: comparisons,
  factorOf: comparisonOf,
})

/**
 * Client and server: shares of the step's results, in their order. The caller releases them.
 * @param y this party's share of the linear step's result, one word per element; truncated in place
 */
export async function relu(side: Side, step: SecurennReluStep, y: Region, at: CallAddress): Promise<Region> {
  const { k, party } = side
  const { activation, size } = step
  truncateShare(k, y, size, activation.truncate, party, y)
  if (!activation.bends) return switchedShares(side, step, y, at)
  const all = copies(side, step, activation.bends, y)
  const shares = await switchedShares(side, step, all, at)
  all.release(true)
  const { sum } = activation.bends
  if (!sum) return shares
  const results = summed(side, step, sum, shares)
  shares.release(true)
  return results
}

/** Shares of all copies of a value: the server alone moves them, so that nobody sends anything for it. */
function copies({ k, party }: Side, { size }: SecurennReluStep, { shifts }: Bends, y: Region): Region {
  const bytes = size * 8
  const all = k.memory.alloc(shifts.length * bytes)
  shifts.forEach((shift, j) => {
    windowOf(k, y, size, 0, 64, party === SERVER ? BigInt(shift) : 0n, all.part(j * bytes, bytes))
  })
  return all
}

/** Shares of the signed sums of copies, for the elements that any of them may change. */
function summed(
  { k, party }: Side,
  { relu, size }: SecurennReluStep,
  { signs, plus }: NonNullable<Bends['sum']>,
  shares: Region,
): Region {
  const bytes = size * 8
  const all = relu.valueElement ? k.memory.allocZero(signs.length * bytes) : shares
  if (relu.valueElement) scatter64(k, shares, relu.valueElement, all)
  const total = k.memory.allocZero(bytes)
  signs.forEach((sign, j) => {
    ;(sign === 1 ? add64 : sub64)(k, total, all.part(j * bytes, bytes), total, size)
  })
  if (all !== shares) all.release(true)
  if (party === SERVER) windowOf(k, total, size, 0, 64, BigInt(plus), total)
  if (!relu.resultElement) return total
  const results = k.memory.alloc(relu.results * 8)
  gather64(k, total, relu.resultElement, results)
  total.release(true)
  return results
}

/** Shares of b·y of all values, switched ones first, then passed ones. `y`: one word per element of all copies. */
async function switchedShares(side: Side, step: SecurennReluStep, y: Region, at: CallAddress): Promise<Region> {
  const { k } = side
  const { activation, relu: maps } = step
  const { values, comparisons } = maps
  const shares = k.memory.alloc(values * 8)
  if (maps.valueElement) gather64(k, y, maps.valueElement, shares)
  else shares.u8().set(y.u8())
  if (comparisons === 0) return shares
  const tested = testedValues(side, step, y, shares)
  const bits = await drelu(side, tested, comparisons, activation, at)
  if (tested !== shares) tested.release(true)
  const switched = await multiply(side, shares, bits, productsOf(maps), at)
  shares.u8().set(switched.u8())
  bits.release(true)
  switched.release(true)
  return shares
}

/** What comparisons test: the values themselves where every one is switched by its own, or picked from values and patches. */
function testedValues({ k }: Side, { activation, relu }: SecurennReluStep, y: Region, values: Region): Region {
  if (!relu.tested) return values
  const all = k.memory.alloc((relu.values + relu.patches) * 8)
  all.u8().set(values.u8())
  const { ignoredMsb, ignoredLsb } = activation
  // A mean has the range of a value; where the window leaves no room, the sum itself is compared: its sign is the same.
  const room = ignoredMsb - ignoredLsb
  if (relu.patch) patchSums64(k, y, relu.patch, room, all.part(relu.values * 8, relu.patches * 8))
  const tested = k.memory.alloc(relu.comparisons * 8)
  gather64(k, all, relu.tested, tested)
  all.release(true)
  return tested
}

/** Helper: its part of one step's activation. */
export async function dealRelu(helper: HelperSide, { activation, relu }: SecurennReluStep, at: CallAddress) {
  if (relu.comparisons === 0) return
  // The products' C depends on nothing that is still to come: made while client and server are busy with a linear step.
  const c = dealTriple(helper, PRODUCT, productsOf(relu), at)
  await dealDrelu(helper, relu.comparisons, activation, at)
  await sendProduct(helper, c, at)
}
