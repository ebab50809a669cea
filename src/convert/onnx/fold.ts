// ONNX nodes over constants alone: exporters leave the arithmetic on shapes, axes and weights in the graph. Computed once,
// by the definitions of onnx/docs/Operators.md.
import { quote } from '../../model/json/fields.js'
import { elementCount, formatShape, type Shape } from '../../model/shape.js'
import { broadcastShape, reader } from '../broadcast-constants.js'
import { elements, elementwise, filled, integers, known, type Two, taken } from './constants.js'
import type { Known, OnnxNodeReader, OnnxRead } from './node.js'
import { dropout } from './ops/layers.js'
import { axisOrder, cutsOf, misfit, resolvedSizes, spanOf, splitSizes, squeezed, unsqueezed } from './ops/shapes.js'
import {
  BOOL,
  decodeTensor,
  type ElementKind,
  FLOAT_TYPES,
  kindOf,
  MOST_INTEGERS,
  type OnnxConstant,
  transposed,
} from './tensor.js'

export const constant: OnnxRead = (n) => {
  const given = [...n.node.attributes.keys()].filter((name) => name.includes('value'))
  if (given.length > 1) return n.fault(`expected one value, got ${given.join(' and ')}`)
  const tensor = n.attribute('value', 'tensor')
  if (tensor) {
    const claim = (elements: number) => n.draft.claim(elements)
    const decoded = decodeTensor(tensor, 'value', claim, (problem) => n.fault(problem))
    return decoded && { constant: decoded }
  }
  const float = n.attribute('value_float', 'float')
  const int = n.attribute('value_int', 'int')
  const floats = float === undefined ? n.attribute('value_floats', 'floats') : [float]
  const whole = int === undefined ? n.attribute('value_ints', 'ints') : [int]
  const list = floats ?? whole
  if (!list) return n.fault('expected a value, value_float(s) or value_int(s)')
  const shape = float === undefined && int === undefined ? [list.length] : []
  return known(n, shape, list, floats !== undefined)
}

/** Sizes of a value or a constant, the batch as declared. */
export const shape: OnnxRead = (n) => {
  const dims = n.dims(0)
  const [start, end] = [n.integer('start', 0), n.integer('end', dims?.length ?? 0)]
  return dims && integers(n, dims.slice(start, end))
}

export const size: OnnxRead = (n) => {
  const dims = n.dims(0)
  return dims && known(n, [], [elementCount(dims)], false)
}

/** Constants made from sizes: their inputs are always constants. */
export const constantOfShape: OnnxRead = (n) => {
  const dims = n.integerList('', 0)
  const tensor = n.attribute('value', 'tensor')
  const claim = (elements: number) => n.draft.claim(elements)
  const value = tensor && decodeTensor(tensor, 'value', claim, (problem) => n.fault(problem))
  if (!dims || n.failed) return undefined
  const [fill] = value?.floats ?? value?.integers ?? [0]
  return filled(n, dims, value ? kindOf(value) : 'float', () => fill)
}

export const range: OnnxRead = (n) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => n.oneNumber(index))
  if (start === undefined || limit === undefined || delta === undefined) return undefined
  const count = Math.max(0, Math.ceil((limit - start) / delta))
  if (!(count <= MOST_INTEGERS)) return n.fault(`expected at most ${MOST_INTEGERS} elements, got ${count}`)
  return filled(n, [count], kindOf(n.constant(0)!), (i) => start + i * delta)
}

type Logic = (a: number, b: number) => boolean

const ARITHMETIC: Readonly<Record<string, Two>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Max: Math.max,
  Min: Math.min,
  Mod: (a, b) => a - b * Math.floor(a / b),
}
const LOGIC: Readonly<Record<string, Logic>> = {
  Equal: (a, b) => a === b,
  Less: (a, b) => a < b,
  LessOrEqual: (a, b) => a <= b,
  Greater: (a, b) => a > b,
  GreaterOrEqual: (a, b) => a >= b,
  And: (a, b) => a !== 0 && b !== 0,
  Or: (a, b) => a !== 0 || b !== 0,
}
const ALONE: Readonly<Record<string, (x: number) => number>> = {
  Neg: (x) => -x,
  Abs: Math.abs,
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Exp: Math.exp,
  Log: Math.log,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Relu: (x) => Math.max(x, 0),
  Sign: Math.sign,
  Not: (x) => (x === 0 ? 1 : 0),
}

/** Of inputs that are to be of one type. */
const commonKind = (inputs: readonly OnnxConstant[]): ElementKind =>
  inputs.some(({ floats }) => floats) ? 'float' : kindOf(inputs[0])

type Fold = (n: OnnxNodeReader, inputs: readonly OnnxConstant[]) => Known | readonly Known[] | undefined

const reshaped = (constant: OnnxConstant, shape: Shape): Known => ({ constant: { ...constant, shape } })

const CONVERSIONS: Readonly<Record<ElementKind, (x: number) => number>> = {
  float: (x) => x,
  integer: Math.trunc,
  bool: (x) => (x === 0 ? 0 : 1),
}

function converted(n: OnnxNodeReader, x: OnnxConstant, to: ElementKind): Known | undefined {
  if (kindOf(x) === to) return { constant: x }
  const list = elements(x)
  return filled(n, x.shape, to, (i) => CONVERSIONS[to](list[i]))
}

/** Along some axes, or all of them; what integers give has no fraction. */
const reduction =
  (start: number, two: Two, { isMean = false, after = (x: number) => x } = {}): Fold =>
  (n, [x]) => {
    const axes = n.integerList('axes', 1)
    const [keepDims, isNoop] = [n.integer('keepdims', 1) !== 0, n.integer('noop_with_empty_axes', 0) !== 0]
    const rank = x.shape.length
    const isAll = !axes || axes.length === 0
    if (isAll && isNoop) return { constant: x }
    const gone = new Set(isAll ? x.shape.keys() : axes.map((axis) => (axis < 0 ? axis + rank : axis)))
    if ([...gone].some((axis) => !(axis >= 0 && axis < rank))) {
      return n.fault(`axes: expected axes of a constant ${formatShape(x.shape)}, got ${quote(axes)}`)
    }
    const kept = x.shape.map((size, axis) => (gone.has(axis) ? 1 : size))
    const sums = new Array<number>(elementCount(kept)).fill(start)
    const place = reader(kept, x.shape)
    const list = elements(x)
    for (let i = 0; i < list.length; i++) sums[place(i)] = two(sums[place(i)], list[i])
    const count = isMean ? list.length / sums.length : 1
    const shape = keepDims ? kept : x.shape.filter((_, axis) => !gone.has(axis))
    const kind = kindOf(x)
    return filled(n, shape, kind, (i) => CONVERSIONS[kind](after(sums[i] / count)))
  }

/** To the type of another input: computed values are floats. */
export const castLike: OnnxRead = (n) => {
  const [x, like] = [n.known(0), n.known(1)]
  if (!x || !like) return undefined
  const to = 'value' in like ? 'float' : kindOf(like.constant)
  if ('constant' in x) return converted(n, x.constant, to)
  return to === 'float' ? x : n.refuse(`expected a cast between float types, got one to ${to} elements`)
}

/** By the statistics that are given or, in training mode, by those of the constant itself. */
const normalized: Fold = (n, [x, ...tensors]) => {
  const isTraining = n.integer('training_mode', 0) !== 0 || n.node.outputs.slice(1).some((name) => name !== '')
  const eps = n.number('epsilon', undefined, 1e-5)
  const [channels, inner] = [x.shape[1], elementCount(x.shape.slice(2))]
  const list = elements(x)
  if (!(channels > 0) || tensors.length !== 4 || tensors.some((each) => elements(each).length !== channels)) {
    return n.fault(`expected four tensors of one number per channel of ${formatShape(x.shape)}`)
  }
  const [scale, bias, mean, variance] = tensors.map((each) => Float64Array.from(elements(each)))
  const channelOf = (i: number) => Math.floor(i / inner) % channels
  if (isTraining) {
    const share = channels / list.length
    mean.fill(0)
    variance.fill(0)
    for (let i = 0; i < list.length; i++) mean[channelOf(i)] += list[i] * share
    for (let i = 0; i < list.length; i++) variance[channelOf(i)] += (list[i] - mean[channelOf(i)]) ** 2 * share
  }
  return filled(n, x.shape, 'float', (i) => {
    const c = channelOf(i)
    return ((list[i] - mean[c]) / Math.sqrt(variance[c] + eps)) * scale[c] + bias[c]
  })
}

const FOLDS: Readonly<Record<string, Fold>> = {
  BatchNormalization: normalized,
  Cast: (n, [x]) => {
    const to = n.integer('to', 0)
    return converted(n, x, FLOAT_TYPES.has(to) ? 'float' : to === BOOL ? 'bool' : 'integer')
  },
  Clip: (n, [x]) => {
    const [low, high] = [n.number('min', 1, Number.NEGATIVE_INFINITY), n.number('max', 2, Number.POSITIVE_INFINITY)]
    return filled(n, x.shape, kindOf(x), (i) => Math.min(Math.max(elements(x)[i], low), high))
  },
  Concat: (n, inputs) => {
    const [first] = inputs
    const axis = n.axis('axis', 0, first.shape.length)
    const others = (shape: Shape) => quote(shape.filter((_, i) => i !== axis))
    if (!inputs.every(({ shape }) => shape.length > axis && others(shape) === others(first.shape))) {
      return n.fault(`expected shapes that differ along axis ${axis} only`)
    }
    const inner = inputs.map(({ shape }) => elementCount(shape.slice(axis)))
    const whole = inner.reduce((a, b) => a + b, 0)
    const shape = first.shape.map((size, i) => (i === axis ? inputs.reduce((sum, x) => sum + x.shape[axis], 0) : size))
    return filled(n, shape, commonKind(inputs), (i) => {
      let at = i % whole
      let part = 0
      while (at >= inner[part]) at -= inner[part++]
      return elements(inputs[part])[Math.floor(i / whole) * inner[part] + at]
    })
  },
  Dropout: (n) => dropout(n),
  Expand: (n, [x, to]) => {
    const dims = broadcastShape([x.shape, to.integers ?? []])
    if (!dims) return n.fault(misfit(to.integers ?? [], x.shape))
    const place = reader(x.shape, dims)
    return filled(n, dims, kindOf(x), (i) => elements(x)[place(i)])
  },
  Flatten: (n, [x]) => {
    const axis = n.axis('axis', 1, x.shape.length)
    return reshaped(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))])
  },
  Gather: (n, [x, index]) => {
    const axis = n.axis('axis', 0, x.shape.length)
    const picks = index.integers?.map((i) => (i < 0 ? i + x.shape[axis] : i))
    if (!picks?.every((i) => i >= 0 && i < x.shape[axis]))
      return n.fault(`indices: expected places in a list of ${x.shape[axis]}`)
    return taken(n, x, axis, picks, [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)])
  },
  Identity: (_, [x]) => ({ constant: x }),
  ReduceL1: reduction(0, (sum, x) => sum + Math.abs(x)),
  ReduceL2: reduction(0, (sum, x) => sum + x * x, { after: Math.sqrt }),
  ReduceSumSquare: reduction(0, (sum, x) => sum + x * x),
  ReduceMax: reduction(Number.NEGATIVE_INFINITY, Math.max),
  ReduceMean: reduction(0, ARITHMETIC.Add, { isMean: true }),
  ReduceMin: reduction(Number.POSITIVE_INFINITY, Math.min),
  ReduceProd: reduction(1, ARITHMETIC.Mul),
  ReduceSum: reduction(0, ARITHMETIC.Add),
  Reshape: (n, [x, to]) => {
    const target = n.integerList('shape') ?? to?.integers ?? []
    const dims = resolvedSizes(target, x.shape, n.integer('allowzero', 0) !== 0)
    return dims ? reshaped(x, dims) : n.fault(misfit(target, x.shape, n.integer('allowzero', 0) !== 0))
  },
  Slice: (n, [x]) => {
    let made: OnnxConstant | undefined = x
    for (const cut of cutsOf(n, x.shape.length) ?? []) {
      const size = made?.shape[cut.axis]
      if (!made || size === undefined) return n.fault(`axes: expected axes of ${formatShape(x.shape)}, got ${cut.axis}`)
      const [from, to] = spanOf(cut, size)
      const picks = Array.from(
        { length: Math.max(0, Math.ceil((to - from) / cut.step)) },
        (_, i) => from + i * cut.step,
      )
      const shape: Shape = made.shape.map((each, i) => (i === cut.axis ? picks.length : each))
      const next: Known | undefined = taken(n, made, cut.axis, picks, shape)
      made = next && 'constant' in next ? next.constant : undefined
    }
    return made && !n.failed ? { constant: made } : undefined
  },
  Split: (n, [x]) => {
    const sizes = splitSizes(n, x.shape)
    let at = 0
    return sizes?.sizes.map((size): Known => {
      const picks = Array.from({ length: size }, (_, i) => at + i)
      at += size
      return taken(n, x, sizes.axis, picks, x.shape.with(sizes.axis, size)) ?? { constant: x }
    })
  },
  Squeeze: (n, [x]) => {
    const axes = n.integerList('axes', 1)
    const dims = squeezed(x.shape, axes, 0)
    return dims ? reshaped(x, dims) : n.fault(`axes: expected axes of size 1, got ${quote(axes)}`)
  },
  Transpose: (n, [x]) => {
    const order = axisOrder(n, x.shape)
    if (!order) return undefined
    const shape = order.map((axis) => x.shape[axis])
    const moved = order.filter((axis) => x.shape[axis] !== 1)
    if (moved.every((axis, i) => i === 0 || moved[i - 1] < axis)) return reshaped(x, shape)
    const { name } = x
    if (!x.floats) {
      const { elements } = transposed(x, order, new Array<number>(x.integers!.length))
      return { constant: { ...x, shape, integers: elements } }
    }
    const { elements } = transposed(x, order, n.draft.floats(x.floats.length))
    return { constant: { name, shape, floats: elements } }
  },
  Unsqueeze: (n, [x]) => {
    const axes = n.integerList('axes', 1)
    const dims = axes && unsqueezed(x.shape, axes)
    return dims ? reshaped(x, dims) : n.fault(`axes: expected a short list of axes, got ${quote(axes)}`)
  },
  Where: (n, inputs) => elementwise(n, inputs, kindOf(inputs[1]), (which, a, b) => (which !== 0 ? a : b)),
}

/** What a node over constants alone computes; undefined when the op is not folded. */
export function foldOf(op: string): OnnxRead | undefined {
  const fold = Object.hasOwn(FOLDS, op) ? FOLDS[op] : arithmeticFold(op)
  return (
    fold &&
    ((n) => {
      const inputs = n.node.inputs.map((_, index) => n.constant(index))
      const given = inputs.filter((input) => input !== undefined)
      return n.failed || given.length === 0 ? undefined : fold(n, given)
    })
  )
}

function arithmeticFold(op: string): Fold | undefined {
  if (Object.hasOwn(ALONE, op)) return (n, [x]) => filled(n, x.shape, kindOf(x), (i) => ALONE[op](elements(x)[i]))
  if (Object.hasOwn(LOGIC, op))
    return (n, inputs) => elementwise(n, inputs, 'bool', (a, b) => (LOGIC[op](a, b) ? 1 : 0))
  if (!Object.hasOwn(ARITHMETIC, op)) return undefined
  return (n, inputs) => {
    // A power has the type of its base.
    const kind = op === 'Pow' ? kindOf(inputs[0]) : commonKind(inputs)
    return elementwise(n, inputs, kind, (...all) => CONVERSIONS[kind](all.reduce(ARITHMETIC[op])))
  }
}
