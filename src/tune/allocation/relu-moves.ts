// What a planner may make of each activation layer: blocks per channel, masks per channel, or one linear function.
import type { Architecture } from '../../model/architecture.js'
import type { Layer, Pair } from '../../model/layers/layers.js'
import { blockCount } from '../../model/relu/layout.js'
import { asMap, formatShape, type Shape } from '../../model/shape.js'
import { keptCounts, type LayerMasks } from '../distortion/nested-masks.js'
import { activationLayers, channelCount, type DistortionTable, isComplete, specNameOf } from '../distortion/table.js'
import type { GroupMode } from '../knapsack/groups.js'
import type { Candidate } from '../knapsack/problem.js'

/** What a spec costs, as a sum over layers and channels. */
export interface SpecCost {
  /** One channel of an activation layer that makes comparisons in at least one of its channels. */
  channel(layer: Layer, block: Pair, channel: number): number
  /** Such a channel when `kept` of its elements are ReLUs and the others are passed on; masks are not planned without it. */
  masked?(layer: Layer, kept: number, channel: number): number
  /** What such a layer costs beside its channels: its round trip, headers. */
  layer(layer: Layer): number
  /** What an activation layer costs whose channels are all linear; 0 without it. */
  linearLayer?(layer: Layer): number
  /** All that does not depend on the spec; 0 without it. */
  readonly rest?: number
}

/** Comparisons, as the papers count them. */
export const COMPARISONS: SpecCost = {
  channel({ out }, block) {
    const [, height, width] = asMap(out)
    return blockCount(block, height, width)
  },
  masked: (_, kept) => kept,
  layer: () => 0,
}

interface Offer {
  /** What it is called in messages. */
  readonly name: string
  readonly value: number
}

/** One way for a layer to be, with what is on offer per channel. */
export type LayerMode =
  | { readonly kind: 'blocks'; readonly offers: readonly (readonly (Offer & { readonly block: Pair })[])[] }
  | {
      readonly kind: 'masks'
      readonly masks: LayerMasks
      /** By number of the channel's masks; -1 keeps all its elements. */
      readonly offers: readonly (readonly (Offer & { readonly mask: number; readonly kept: number })[])[]
    }
  /** Every channel linear, which needs no comparison. */
  | { readonly kind: 'linear'; readonly blocks: readonly Pair[]; readonly value: number }

/** What can be made of one activation layer. */
export interface LayerMoves {
  readonly layer: Layer
  readonly name: string
  readonly out: Shape
  readonly modes: readonly LayerMode[]
  /** Measured distortion of the layer as identity. */
  readonly identity: number | undefined
}

/** Which moves are on offer, beside blocks and layers that are linear throughout. */
export interface MoveOptions {
  readonly zeroChannels: boolean
  readonly masks: boolean
}

const PLAIN: Pair = [1, 1]
export const isLinear = ([bh, bw]: Pair): boolean => bh === 0 || bw === 0
const isZero = ([bh, bw]: Pair): boolean => bh > 0 && bw === 0

/** The moves that a table has distortions of, layer by layer; adds what is wrong with it to `problems`. */
export function movesOf(
  arch: Architecture,
  table: DistortionTable,
  options: MoveOptions,
  problems: string[],
): readonly LayerMoves[] {
  if (table.network !== arch.name) problems.push(`the table is of network ${table.network}, not of ${arch.name}`)
  return activationLayers(arch).flatMap((layer): LayerMoves[] => {
    const name = specNameOf(layer)
    const measured = table.layers.get(name)
    if (!measured) {
      problems.push(`layer ${name}: not in the distortion table`)
      return []
    }
    const { blocks, values, identity, masks } = measured
    if (!isComplete(measured)) problems.push(`layer ${name}: its distortions are not measured to the end`)
    const offers = Array.from({ length: channelCount(layer.out) }, (_, c) =>
      blocks
        .map((block, j) => ({ name: `block ${formatShape(block)}`, block, value: values[c * blocks.length + j] }))
        .filter(({ block, value }) => !Number.isNaN(value) && (options.zeroChannels || !isZero(block))),
    )
    if (offers.some((offer) => offer.length === 0)) problems.push(`layer ${name}: no candidate fits into its map`)
    const modes: LayerMode[] = [{ kind: 'blocks', offers }]
    if (masks && options.masks) modes.push({ kind: 'masks', masks, offers: maskOffers(masks, layer.out) })
    const linear = linearMode(offers, identity)
    return [{ layer, name, out: layer.out, modes: linear ? [...modes, linear] : modes, identity }]
  })
}

function maskOffers(masks: LayerMasks, shape: Shape): Extract<LayerMode, { kind: 'masks' }>['offers'] {
  const [, height, width] = asMap(shape)
  const all = { name: 'all elements kept', mask: -1, kept: height * width, value: 0 }
  return keptCounts(masks, shape).map((counts, c) => {
    const own = counts.map((kept, mask) => {
      return { name: `${kept} elements kept`, mask, kept, value: masks.values[c * masks.count + mask] }
    })
    return [all, ...own]
  })
}

/** Identity in all channels as it was measured, or the linear candidate of least distortion in every channel. */
function linearMode(
  offers: Extract<LayerMode, { kind: 'blocks' }>['offers'],
  identity: number | undefined,
): LayerMode | undefined {
  if (identity !== undefined) return { kind: 'linear', blocks: offers.map(() => [0, 1] as const), value: identity }
  const best = offers.map((offer) => {
    const linear = offer.filter(({ block }) => isLinear(block))
    return linear.sort((a, b) => a.value - b.value)[0]
  })
  if (!best.every(Boolean)) return undefined
  return {
    kind: 'linear',
    blocks: best.map(({ block }) => block),
    value: best.reduce((sum, { value }) => sum + value, 0),
  }
}

/** A layer's moves in whole units of cost. */
export interface PricedMoves extends LayerMoves {
  /** One per mode. */
  readonly group: readonly GroupMode[]
  /** Per mode, the candidates of its channels. */
  readonly candidates: readonly (readonly (readonly Candidate[])[])[]
  /** With all its ReLUs. */
  readonly plain: number
}

/** In whole units, rounded up, but for what rounding of the sum alone makes of an integer. */
export function whole(cost: number, unit: number): number {
  return Math.ceil(cost * unit * (1 - 2 ** -50))
}

/** @param linear keeps a layer that is linear throughout among its moves even where its channels come to the same */
export function priced(moves: LayerMoves, costs: SpecCost, unit: number, linear = false): PricedMoves {
  const { layer, out } = moves
  const opening = whole(costs.layer(layer), unit)
  const price = (mode: LayerMode): { group: GroupMode; candidates: readonly (readonly Candidate[])[] } => {
    if (mode.kind === 'linear') {
      const cost = whole(costs.linearLayer?.(layer) ?? 0, unit)
      return { group: { channels: 0, cost, value: mode.value }, candidates: [] }
    }
    const candidates =
      mode.kind === 'blocks'
        ? mode.offers.map((offer, c) =>
            offer.map(({ block, value }) => ({ cost: whole(costs.channel(layer, block, c), unit), value })),
          )
        : mode.offers.map((offer, c) =>
            offer.map(({ kept, value }) => ({ cost: whole(costs.masked!(layer, kept, c), unit), value })),
          )
    const group = { channels: candidates.length, cost: opening, value: 0 }
    const barred = moves.identity === undefined ? undefined : identityIn(mode)
    return { group: barred ? { ...group, barred } : group, candidates }
  }
  const all = moves.modes.map((mode) => ({ mode, ...price(mode) }))
  const left = all.filter(({ mode }) => mode.kind !== 'linear' || linear || saves(moves, opening, all[0].candidates))
  return {
    ...moves,
    modes: left.map(({ mode }) => mode),
    group: left.map(({ group }) => group),
    candidates: left.map(({ candidates }) => candidates),
    plain: Array.from({ length: channelCount(out) }).reduce<number>(
      (sum, _, c) => sum + whole(costs.channel(layer, PLAIN, c), unit),
      opening,
    ),
  }
}

/** Per channel the offer that is its identity, where all have one: a layer that was measured as identity is not the sum. */
function identityIn(mode: Exclude<LayerMode, { kind: 'linear' }>): readonly number[] | undefined {
  const own =
    mode.kind === 'blocks'
      ? mode.offers.map((offer) => offer.findIndex(({ block }) => block[0] === 0))
      : mode.offers.map((offer) => offer.findIndex(({ kept }) => kept === 0))
  return own.includes(-1) ? undefined : own
}

/**
 * Whether a layer that is linear throughout differs from its channels being so one by one: in cost, or because it was
 * measured as a whole.
 */
function saves({ modes, identity }: LayerMoves, opening: number, blocks: readonly (readonly Candidate[])[]): boolean {
  const [first] = modes
  if (opening > 0 || identity !== undefined || first.kind !== 'blocks') return true
  return blocks.some((list, c) => list.some(({ cost }, j) => isLinear(first.offers[c][j].block) && cost > 0))
}
