// ONNX nodes that change how elements are arranged: flatten, reshape, pad, slice, resize.
import { quote } from '../../model/json/fields.js'
import type { Pad } from '../../model/layers/layers.js'
import { elementCount, formatShape, type Shape, sameShape } from '../../model/shape.js'
import type { Value } from '../arch-draft.js'
import { COORDINATES, isBilinear, isNearest, ROUNDINGS } from '../resize-sampling.js'
import { type Known, made, type OnnxNodeReader, type OnnxRead } from './node.js'

/** The value under another shape (with batch): itself, its flattened form or the map it was flattened from. */
export function reshaped(n: OnnxNodeReader, x: Value, dims: readonly number[]): Known | undefined {
  const target = dims.slice(1)
  if (sameShape(target, x.shape)) return { value: x }
  if (x.flatOf && sameShape(target, x.flatOf.shape)) return { value: x.flatOf }
  const whole = dims[0] === n.scope.batch && elementCount(target) === elementCount(x.shape)
  if (whole && target.length === 1) return made(n.draft.flatten(n.where, n.name, x))
  const from = formatShape([n.scope.batch, ...x.shape])
  return n.fault(`expected a shape that flattens ${from} or keeps it, got ${formatShape(dims)}`)
}

export const flatten: OnnxRead = (n) => {
  const x = n.value()
  const axis = n.integer('axis', 1)
  if (!x) return undefined
  if (axis === 1 || axis === -x.shape.length) return made(n.draft.flatten(n.where, n.name, x))
  return n.fault(`axis: expected 1, got ${axis}`)
}

export const reshape: OnnxRead = (n) => {
  const target = n.integerList('shape', 1)
  const known = n.known(0)
  if (!known || n.failed) return undefined
  if (!target) return n.fault('shape: expected a list of sizes, got none')
  const constant = 'constant' in known ? known.constant : undefined
  const source = constant ? constant.shape : [n.scope.batch, ...(known as { value: Value }).value.shape]
  const dims = resolved(target, source, n.integer('allowzero', 0) !== 0)
  if (!dims) return n.fault(`shape: ${quote(target)} does not fit the ${formatShape(source)} elements of its input`)
  return constant ? { constant: { ...constant, shape: dims } } : reshaped(n, (known as { value: Value }).value, dims)
}

/** Zeros copy a size, one -1 takes what is left. */
function resolved(target: readonly number[], source: Shape, allowZero: boolean): number[] | undefined {
  const dims = target.map((size, i) => (size === 0 && !allowZero ? source[i] : size))
  const open = dims.indexOf(-1)
  const rest = dims.reduce((product, size, i) => (i === open ? product : product * size), 1)
  if (open >= 0) dims[open] = elementCount(source) / rest
  const fits = dims.every((size) => Number.isSafeInteger(size) && size >= 0) && dims.length <= 8
  return fits && elementCount(dims) === elementCount(source) ? dims : undefined
}

/** Squeeze of axes of size 1; without axes, of every one but the batch. */
export const squeeze: OnnxRead = (n) => {
  const axes = n.integerList('axes', 1)
  const known = n.known(0)
  if (!known || n.failed) return undefined
  const isConstant = 'constant' in known
  const dims = isConstant ? known.constant.shape : [n.scope.batch, ...known.value.shape]
  const gone = new Set(axes?.map((axis) => (axis < 0 ? axis + dims.length : axis)))
  const kept = dims.filter((size, axis) => (axes ? !gone.has(axis) : size !== 1 || (axis === 0 && !isConstant)))
  if (elementCount(kept) !== elementCount(dims)) return n.fault(`axes: expected axes of size 1, got ${quote(axes)}`)
  return isConstant ? { constant: { ...known.constant, shape: kept } } : reshaped(n, known.value, kept)
}

export const unsqueeze: OnnxRead = (n) => {
  const axes = n.integerList('axes', 1)
  const known = n.known(0)
  if (!known || n.failed) return undefined
  if (!axes || axes.length > 8) return n.fault(`axes: expected a short list of axes, got ${quote(axes)}`)
  const isConstant = 'constant' in known
  const dims = [...(isConstant ? known.constant.shape : [n.scope.batch, ...known.value.shape])]
  const rank = dims.length + axes.length
  for (const axis of axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b)) dims.splice(axis, 0, 1)
  return isConstant ? { constant: { ...known.constant, shape: dims } } : reshaped(n, known.value, dims)
}

/** ReduceMean over height and width. */
export const reduceMean: OnnxRead = (n) => {
  const axes = n.integerList('axes', 1)
  const x = n.value()
  if (!x || n.failed) return undefined
  const places = new Set(axes?.map((axis) => (axis < 0 ? axis + 4 : axis)))
  if (x.shape.length !== 3 || places.size !== 2 || !places.has(2) || !places.has(3)) {
    return n.fault(`axes: expected [2,3] of a map, got ${quote(axes)}`)
  }
  const mean = n.draft.layer(n.where, n.name, { op: 'globalAvgPool' }, [x])
  if (!mean || n.integer('keepdims', 1) !== 0) return made(mean)
  return made(n.draft.flatten(n.where, `${n.name}.flatten`, mean))
}

/** Pad: rows and columns of a constant, or channels of zeros. */
export const pad: OnnxRead = (n) => {
  const pads = n.integerList('pads', 1)
  const fill = n.number('value', 2, 0)
  const axes = n.integerList('axes', 3) ?? [0, 1, 2, 3]
  const x = n.value()
  const mode = n.text('mode', 'constant')
  if (!x || n.failed) return undefined
  if (mode !== 'constant') return n.fault(`mode: expected constant, got ${quote(mode)}`)
  if (x.shape.length !== 3 || axes.length > 4 || pads?.length !== 2 * axes.length) {
    return n.fault(`pads: expected two sizes per axis of a map, got ${quote(pads)}`)
  }
  const all = Array<number>(8).fill(0)
  for (const [i, axis] of axes.entries()) {
    const place = axis < 0 ? axis + 4 : axis
    all[place] = pads[i]
    all[place + 4] = pads[i + axes.length]
  }
  if (all[0] !== 0 || all[4] !== 0 || all.some((size) => !(Math.abs(size) < 2 ** 24))) {
    return n.fault(`pads: expected none before or after the batch, got ${quote(pads)}`)
  }
  return paddedMap(n, x, [all[2], all[3], all[6], all[7]], [all[1], all[5]], fill)
}

function paddedMap(n: OnnxNodeReader, x: Value, pad: Pad, channels: readonly [number, number], fill: number) {
  let value: Value | undefined = x
  if (channels.some((count) => count !== 0)) {
    if (fill !== 0 || channels.some((count) => count < 0)) {
      return n.fault(`pads: expected channels of zeros, got ${quote(channels)} channels of ${fill}`)
    }
    const op = { op: 'shortcutA', stride: [1, 1], padChannels: channels } as const
    value = n.draft.layer(n.where, `${n.name}.channels`, op, [value])
  }
  if (!value || pad.every((size) => size === 0)) return made(value)
  if (!Number.isFinite(fill)) return n.fault(`value: expected a finite number, got ${fill}`)
  return made(n.draft.layer(n.where, n.name, { op: 'pad', pad, fill }, [value]))
}

/** Transpose of a constant; of a value only where it changes nothing. */
export const identityOrder = (order: readonly number[], shape: Shape): boolean => {
  const moved = order.filter((axis) => shape[axis] !== 1)
  return moved.every((axis, i) => i === 0 || moved[i - 1] < axis)
}

/** Resize and Upsample of height and width. */
export const resize: OnnxRead = (n) => {
  const x = n.value()
  const old = n.node.op === 'Upsample' || n.scope.opset < 11
  const scales = n.node.attributes.get('scales')?.floats ?? (old ? n.floats(1, false)?.data : scaleInput(n))
  const sizes = old || !n.has(3) ? undefined : n.integerList('sizes', 3)
  if (!x || n.failed) return undefined
  if (x.shape.length !== 3) return n.fault(`expected a map [c,h,w], got ${formatShape(x.shape)}`)
  const given = sizes ?? scales
  const fixed = sizes ? [n.scope.batch, x.shape[0]] : [1, 1]
  if (given?.length !== 4 || given[0] !== fixed[0] || given[1] !== fixed[1]) {
    return n.fault('expected sizes or scales of four axes that keep batch and channels')
  }
  const size = [0, 1].map((i) => (sizes ? sizes[i + 2] : Math.floor(x.shape[i + 1] * given[i + 2]))) as [number, number]
  if (size.some((side) => !(side >= 1 && side < 2 ** 24)))
    return n.fault(`sizes: expected sizes >= 1, got ${quote(size)}`)
  const axes = size.map((resized, i) => ({ size: x.shape[i + 1], resized, scale: sizes ? undefined : given[i + 2] }))
  const mode = resizeMode(n, axes, old)
  return mode && made(n.draft.layer(n.where, n.name, { op: 'resize', size, mode }, [x]))
}

function scaleInput(n: OnnxNodeReader): ArrayLike<number> | undefined {
  const scales = n.floats(2, false)?.data
  return scales && scales.length > 0 ? scales : undefined
}

interface SizedAxis {
  readonly size: number
  readonly resized: number
  readonly scale?: number
}

function resizeMode(n: OnnxNodeReader, axes: readonly SizedAxis[], old: boolean) {
  if (axes.every(({ size }) => size === 1)) return 'broadcast'
  const coordinates = old ? 'asymmetric' : n.text('coordinate_transformation_mode', 'half_pixel')
  const rounding = old ? 'floor' : n.text('nearest_mode', 'round_prefer_floor')
  const mode = n.text('mode', 'nearest')
  const place = Object.hasOwn(COORDINATES, coordinates) ? COORDINATES[coordinates] : undefined
  const round = Object.hasOwn(ROUNDINGS, rounding) ? ROUNDINGS[rounding] : undefined
  if (mode === 'nearest' && place && round && axes.every((axis) => isNearest(axis, place(axis), round)))
    return 'nearest'
  const linear = mode === 'linear' || mode === 'bilinear'
  if (linear && place && axes.every((axis) => isBilinear(axis, place(axis)))) return 'bilinear'
  const expected = 'expected nearest (floor) or linear with half-pixel centres'
  return n.fault(`${expected}, got mode ${quote(mode)}, ${quote(coordinates)}, ${quote(rounding)}`)
}
