// How constants of several shapes meet: sizes of 1 broadcast.
import { elementCount, type Shape } from '../model/shape.js'

/** The common shape of constants that broadcast, or undefined. */
export function broadcastShape(shapes: readonly Shape[]): number[] | undefined {
  const rank = Math.max(...shapes.map(({ length }) => length))
  const dims = Array<number>(rank).fill(1)
  for (const shape of shapes) {
    for (const [i, size] of shape.entries()) {
      const at = rank - shape.length + i
      if (size !== 1 && dims[at] !== 1 && dims[at] !== size) return undefined
      if (size !== 1) dims[at] = size
    }
  }
  return dims
}

/** Where element i of `dims` stands in a tensor of `shape` that broadcasts to it. */
export function reader(shape: Shape, dims: readonly number[]): (i: number) => number {
  if (elementCount(shape) === elementCount(dims)) return (i) => i
  return (i) => {
    let place = 0
    let rest = i
    for (let axis = dims.length - 1, stride = 1; axis >= 0; axis--) {
      const size = shape[axis - dims.length + shape.length] ?? 1
      if (size > 1) place += (rest % dims[axis]) * stride
      stride *= size
      rest = Math.floor(rest / dims[axis])
    }
    return place
  }
}
