// Outputs that are chosen by name, and what a network can give where its end cannot be converted.
import { quote } from '../model/json/fields.js'

/** Most names that a message lists. */
const MOST_NAMES = 12

/** The problem with an output that a file does not have: some names that are like it. */
export function noSuchOutput(name: string, names: readonly string[]): string {
  const parts = name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part.length > 1)
  const likeness = (other: string) => parts.filter((part) => other.toLowerCase().includes(part)).length
  const ranked = [...names].reverse().sort((a, b) => likeness(b) - likeness(a))
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
  const listed = ranked.slice(0, MOST_NAMES).map(quote).join(', ')
  return `outputs: found nothing that is called ${quote(name)}; there are ${listed}${more}`
}

/** A graph, node by node, as far as `endingHint` looks at it. */
export interface HintNode {
  /** The values that it reads: places of their nodes, and what `outputs` would call them. */
  readonly inputs: readonly HintValue[]
  /** Whether it computes a value; constants and inputs do not. */
  readonly computes: boolean
  /** Whether it holds what a network has learnt. */
  readonly weighs: boolean
  readonly isKnown: boolean
}

/** A node's place and the name of one of its outputs. */
export type HintValue = readonly [place: number, name: string]

/** More names are no help. */
const MOST_OUTPUTS = 64

/**
 * Where the nodes that cannot be converted, and what is behind them, have no weights: the values before them, which can be
 * chosen as outputs. Undefined where the network itself stands behind them.
 * @param order places of the nodes, each behind its inputs
 */
export function endingHint(
  nodes: ReadonlyMap<number, HintNode>,
  order: readonly number[],
  outputs: readonly HintValue[],
): string | undefined {
  const behind = new Set<number>()
  for (const place of order) {
    const node = nodes.get(place)!
    if (!node.isKnown || node.inputs.some(([input]) => behind.has(input))) behind.add(place)
  }
  const lost = order.filter((place) => behind.has(place))
  if (lost.some((place) => nodes.get(place)!.weighs)) return undefined
  const read = [...outputs, ...lost.flatMap((place) => nodes.get(place)!.inputs)]
  const kept = read.filter(([place]) => !behind.has(place) && nodes.get(place)?.computes)
  const names = [...new Set(kept.map(([, name]) => name))]
  if (names.length === 0 || names.length > MOST_OUTPUTS) return undefined
  return `they only work on what the network gives, so it can be converted up to there: --outputs ${names.join(',')}`
}
