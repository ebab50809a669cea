// ReLU, block ReLU, masked and identity channels of the published protocol: local truncation, one DReLU per value or
// patch, one product per switched value with the bit opened once per comparison.
import type { Region } from '../../kernels/index.js'
import { gather64, patchSums64, truncateShare } from '../../kernels/securenn-shares.js'
import type { ReluMaps } from '../step.js'
import type { CallAddress } from './draws.js'
import { dealDrelu, drelu, dreluCost } from './drelu.js'
import { dealTriple, multiply, PRODUCT, type Products, productCost, sendProduct } from './multiply.js'
import type { HelperSide, Side } from './parties.js'
import type { SecurennReluStep } from './step.js'

/** Payload over all links, and waves that wait for each other. */
export function reluCost({ activation, relu }: SecurennReluStep): { bytes: number; flights: number } {
  if (relu.comparisons === 0) return { bytes: 0, flights: 0 }
  const signs = dreluCost(activation, relu.comparisons)
  const products = productCost(relu.switched, relu.comparisons)
  return { bytes: signs.bytes + products.bytes, flights: signs.flights + products.flights }
}

const productsOf = ({ switched, comparisons, comparisonOf }: ReluMaps): Products => ({
  count: switched,
  factors: comparisons,
  factorOf: comparisonOf,
})

/**
 * Client and server: shares of the step's values, switched ones first, then passed ones. The caller releases them.
 * @param y this party's share of the linear step's result, one word per element; truncated in place
 */
export async function relu(side: Side, step: SecurennReluStep, y: Region, at: CallAddress): Promise<Region> {
  const { k, party } = side
  const { activation, relu: maps, size } = step
  const { values, comparisons } = maps
  truncateShare(k, y, size, activation.truncate, party, y)
  const shares = k.memory.alloc(values * 8)
  if (maps.valueElement) gather64(k, y, maps.valueElement, values, shares)
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
  gather64(k, all, relu.tested, relu.comparisons, tested)
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
