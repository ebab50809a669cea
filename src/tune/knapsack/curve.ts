// What a group of channels costs and loses at best, relaxed: the lower convex hull of all its choices.
import type { KnapsackProblem } from './problem.js'
import { hullSegments, undominated } from './reduce.js'

export interface Curve {
  /** Of the cheapest choice. */
  readonly cost: number
  readonly value: number
  /** Value lost per unit of cost saved, falling; entry s takes the curve from its vertex s to s + 1. */
  readonly slope: Float64Array
  /** Per vertex, the cost over the cheapest choice. */
  readonly dearer: Float64Array
  /** Per vertex, the value below that of the cheapest choice. */
  readonly better: Float64Array
}

/** The curves of groups of channels: group g has the channels groups[g] … groups[g + 1] - 1. */
export function curvesOf(problem: KnapsackProblem, groups: readonly number[]): readonly Curve[] {
  const reduced = undominated(problem)
  const segments = hullSegments(reduced)
  const curves: Curve[] = []
  let first = 0
  for (let g = 0; g + 1 < groups.length; g++) {
    let end = first
    while (end < segments.channel.length && segments.channel[end] < groups[g + 1]) end++
    const order = Int32Array.from({ length: end - first }, (_, s) => first + s)
    order.sort((a, b) => segments.slope[b] - segments.slope[a] || a - b)
    first = end
    let [cost, value] = [0, 0]
    for (let i = groups[g]; i < groups[g + 1]; i++) {
      cost += problem.cost[reduced.origin[reduced.start[i]]]
      value += problem.value[reduced.origin[reduced.start[i]]]
    }
    const dearer = new Float64Array(order.length + 1)
    const better = new Float64Array(order.length + 1)
    for (const [s, segment] of order.entries()) {
      const extra = segments.extra[segment] * reduced.unit
      dearer[s + 1] = dearer[s] + extra
      better[s + 1] = better[s] + segments.slope[segment] * segments.extra[segment]
    }
    const slope = Float64Array.from(order, (segment) => segments.slope[segment] / reduced.unit)
    curves.push({ cost, value, slope, dearer, better })
  }
  return curves
}

/** The curve's vertex with the least value + lambda * cost; of equal ones the cheapest. */
export function vertexAt({ slope }: Curve, lambda: number): number {
  let low = 0
  let high = slope.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (slope[middle] > lambda) low = middle + 1
    else high = middle
  }
  return low
}
