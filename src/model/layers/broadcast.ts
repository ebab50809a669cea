// How a small tensor is spread over a larger one: the factors of a product, a gate per channel for example.
import { asMap, elementCount, type Shape } from '../shape.js'

/** Element i of the larger tensor meets the one at (i / plane) mod `broad` of the smaller one. */
export interface Broadcast {
  readonly broad: number
  readonly plane: number
}

/** Null where sizes do not fit, or an axis that is spread lies between two that are not. */
export function broadcast(small: Shape, large: Shape): Broadcast | null {
  const [from, to] = [asMap(small), asMap(large)]
  const spread = from.map((size, axis) => size !== to[axis])
  if (spread.some((wide, axis) => wide && from[axis] !== 1)) return null
  // Axes of size 1 on both sides count as either.
  const kept = [0, 1, 2].filter((axis) => !spread[axis] && to[axis] > 1)
  const [first, last] = [kept[0] ?? 3, kept[kept.length - 1] ?? -1]
  if (spread.some((wide, axis) => wide && axis > first && axis < last)) return null
  const plane = to.reduce((size, n, axis) => (axis > last ? size * n : size), 1)
  return { broad: elementCount(from), plane }
}

/** Which of two inputs has the shape of their product, and how the other one is spread over it; null where neither has. */
export function spreadFactors([a, b]: readonly Shape[]): { readonly left: 0 | 1; readonly spread: Broadcast } | null {
  const [ofB, ofA] = [broadcast(b, a), broadcast(a, b)]
  if (ofB) return { left: 0, spread: ofB }
  return ofA && { left: 1, spread: ofA }
}
