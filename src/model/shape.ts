// Shapes without a batch dimension: [channels, height, width] for maps, [length] for vectors.
import type { Fields } from './json/fields.js'

/** [channels, height, width] of a map, [length] of a vector. */
export type Shape = readonly number[]

/** Number of elements of a tensor of this shape. */
export function elementCount(shape: Shape): number {
  let count = 1
  for (const size of shape) count *= size
  return count
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}

/** `[16,32,32]`, as it stands in a file. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(',')}]`
}

/** The shape as [channels, height, width]; a vector is that many 1x1 channels, [c, w] is one row per channel. */
export function asMap(shape: Shape): readonly [number, number, number] {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]]
  return shape.length === 2 ? [shape[0], 1, shape[1]] : [shape[0], 1, 1]
}

/** The shape in a field of a file, or undefined after reporting why there is none. */
export function readShape(fields: Fields, name: string, mostAxes = 3): Shape | undefined {
  const value = fields.value(name)
  const fits = Array.isArray(value) && value.length >= 1 && value.length <= mostAxes
  if (fits && value.every((size) => Number.isSafeInteger(size) && size >= 1 && size < 2 ** 28)) return value
  fields.fault(name, `1 to ${mostAxes} integers >= 1`)
  return undefined
}
