// Which factor every channel gets (src/plan/equalize/equalize.ts): the largest with which it still fits the window of its layer, so
// that the bits a comparison reads are spent on all channels alike.
import type { Architecture } from '../../model/architecture.js'
import { ChannelTies } from '../../plan/equalize/channel-ties.js'
import type { ChannelFactors } from '../../plan/equalize/equalize.js'
import type { Ranges } from './ranges.js'

/** Who shares a factor: all channels of a layer, or what cannot be told apart alone. */
export type FactorsPer = 'layer' | 'channel'

/** How `channelFactors` chooses. */
export interface FactorOptions {
  readonly per: FactorsPer
  /** Bits between the largest value seen and the largest that is still right; default 1. */
  readonly margin?: number
  /** No factor is larger: weights grow as the factors do, and have to stay small integers. Default 16. */
  readonly limit?: number
}

/** Room for the last bit of a float32 and of a factor with six digits: a value above its target would cost a bit. */
const FULL = 1 - 2 ** -10

/**
 * Factors with which layers, or their channels, fill the range that `compile` gives the layer anyway, whose scale is a
 * power of two, as far as what they are joined with allows. A channel that was never seen to be other than zero keeps the
 * factor 1: how far it may go is unknown.
 */
export function channelFactors(
  arch: Architecture,
  { layers }: Pick<Ranges, 'layers'>,
  { per, margin = 1, limit = 16 }: FactorOptions,
): ChannelFactors {
  const ties = new ChannelTies(arch)
  if (per === 'layer') for (const [id, { channelMax }] of layers) ties.joinChannels(id, channelMax.length)
  /** How much of its target a class fills, in the layer where that is most. */
  const filled = new Float64Array(ties.size)
  for (const [id, { channelMax }] of layers) {
    const whole = channelMax.reduce((most, value) => Math.max(most, value), 0)
    if (whole === 0) continue
    const target = FULL * 2 ** (Math.ceil(margin + Math.log2(whole)) - margin)
    channelMax.forEach((most, c) => {
      const at = ties.classOf(id, c)
      filled[at] = Math.max(filled[at], most / target)
    })
  }
  const factorOf = (at: number) => (ties.isFixed(at) || filled[at] === 0 ? 1 : Math.min(limit, 1 / filled[at]))
  const lists = [...layers].map(([id, { channelMax }]) => {
    const list = Array.from(channelMax, (_, c) => Number(factorOf(ties.classOf(id, c)).toPrecision(6)))
    return [id, list.every((factor) => factor === list[0]) ? list[0] : list] as const
  })
  return Object.fromEntries(lists)
}
