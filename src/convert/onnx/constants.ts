// Constants made of constants: their memory is paid for first, and sizes of 1 broadcast.
import { quote } from '../../model/json/fields.js'
import { elementCount, formatShape, type Shape } from '../../model/shape.js'
import { broadcastShape, reader } from '../broadcast-constants.js'
import type { Known, OnnxNodeReader } from './node.js'
import { type ElementKind, kindOf, MOST_INTEGERS, type OnnxConstant } from './tensor.js'

export type Two = (a: number, b: number) => number
export const elements = ({ floats, integers }: OnnxConstant): ArrayLike<number> => floats ?? integers!

export function known(n: OnnxNodeReader, shape: Shape, list: ArrayLike<number>, isFloat: boolean): Known {
  return {
    constant: {
      name: n.name,
      shape,
      ...(isFloat ? { floats: Float32Array.from(list) } : { integers: Array.from(list) }),
    },
  }
}

export const integers = (n: OnnxNodeReader, list: readonly number[]) => known(n, [list.length], list, false)

/** A constant of `dims`, made element by element; its memory is paid for first. */
export function filled(
  n: OnnxNodeReader,
  dims: readonly number[],
  kind: ElementKind,
  at: (i: number) => number,
): Known | undefined {
  const count = elementCount(dims)
  if (
    dims.length > 8 ||
    !dims.every((size) => Number.isSafeInteger(size) && size >= 0) ||
    !Number.isSafeInteger(count)
  ) {
    return n.fault(`expected at most 8 sizes >= 0, got ${quote(dims)}`)
  }
  const isFloat = kind === 'float'
  if (!isFloat && count > MOST_INTEGERS) return n.fault(`expected at most ${MOST_INTEGERS} integers, got ${count}`)
  const floats = isFloat ? n.draft.floats(count) : undefined
  const out: number[] | Float32Array = floats ?? new Array<number>(count)
  for (let i = 0; i < count; i++) out[i] = at(i)
  const made = floats ? { floats } : { integers: out as number[], isBool: kind === 'bool' }
  return { constant: { name: n.name, shape: dims, ...made } }
}

/** Element by element over constants that broadcast. */
export function elementwise(
  n: OnnxNodeReader,
  inputs: readonly OnnxConstant[],
  kind: ElementKind,
  at: (...x: number[]) => number,
) {
  const dims = broadcastShape(inputs.map(({ shape }) => shape))
  if (!dims)
    return n.fault(`expected shapes that broadcast, got ${inputs.map(({ shape }) => formatShape(shape)).join(' and ')}`)
  const read = inputs.map((input) => ({ list: elements(input), place: reader(input.shape, dims) }))
  return filled(n, dims, kind, (i) => at(...read.map(({ list, place }) => list[place(i)])))
}

/** Elements picked along one axis. */
export function taken(
  n: OnnxNodeReader,
  x: OnnxConstant,
  axis: number,
  picks: readonly number[],
  shape: Shape,
): Known | undefined {
  const inner = elementCount(x.shape.slice(axis + 1))
  const [size, count] = [x.shape[axis], picks.length]
  const list = elements(x)
  return filled(n, shape, kindOf(x), (i) => {
    const [outer, pick, rest] = [Math.floor(i / (inner * count)), Math.floor(i / inner) % count, i % inner]
    return list[(outer * size + picks[pick]) * inner + rest]
  })
}
