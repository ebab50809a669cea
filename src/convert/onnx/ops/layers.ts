// ONNX nodes that combine values with constants or with each other, element by element.
import { quote } from '../../../model/json/fields.js'
import { elementCount, formatShape, type Shape, sameShape } from '../../../model/shape.js'
import type { Value } from '../../arch-draft.js'
import type { Known, OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { FLOAT_TYPES } from '../tensor.js'
import { dimsOf, plainView, sameRank, sameView, type View, wholeAxis } from '../view.js'
import { padded } from './shapes.js'

export const batchNormalization: OnnxRead = (n) => {
  const isTraining = n.integer('training_mode', 0) !== 0
  if (isTraining || n.node.outputs.slice(1).some((name) => name !== '')) {
    const text = 'it takes the statistics of each batch (training mode); export the model for inference, model.eval()'
    return n.refuse(isTraining ? `training_mode: ${text}` : text)
  }
  const areComputed = [3, 4].some((index) => n.has(index) && n.isComputed(index))
  const given = areComputed ? [] : [1, 2, 3, 4].map((index) => n.floats(index))
  if (areComputed || !n.has(3) || !n.has(4)) {
    return n.refuse(
      'it has no running statistics (track_running_stats=False); inference needs some, so train with them',
    )
  }
  const x = n.seen()
  const eps = n.number('epsilon', undefined, 1e-5)
  if (!x || given.some((tensor) => !tensor)) return undefined
  const [weight, bias, mean, variance] = [1, 2, 3, 4].map((index) => n.perChannel(index, perChannelOf(x)))
  if (!weight || !bias || !mean || !variance) return undefined
  const tensors = {
    ...{ weight: weight.numbers, bias: bias.numbers },
    ...{ running_mean: mean.numbers, running_var: variance.numbers },
  }
  return n.kept(x, { op: 'batchNorm', eps }, tensors)
}

/** Its tensors [c] lie along dimension 1, whatever comes behind. */
const perChannelOf = (x: Seen): Seen => ({ ...x, view: x.view.slice(0, 2) })

export const leakyRelu: OnnxRead = (n) => {
  const x = n.seen()
  const slope = n.number('alpha', undefined, 0.01)
  return x && n.kept(x, { op: 'leakyRelu', slope })
}

/** |x| is x where it is positive, -x elsewhere. */
export const absolute: OnnxRead = (n) => {
  const x = n.seen()
  return x && n.kept(x, { op: 'leakyRelu', slope: -1 })
}

/** PRelu of one slope, or one per channel. */
export const prelu: OnnxRead = (n) => {
  const x = n.seen()
  const slopes = x && n.perChannel(1, x)
  return slopes && n.kept(slopes.x, { op: 'prelu' }, { weight: slopes.numbers })
}

/** Add: of values, or of one value and one number per channel. */
export const add: OnnxRead = (n) => {
  const side = n.constantSide()
  return side === undefined ? sum(n) : offset(n, 1 - side, side, 1, 1)
}

/** Sum and Mean of as many as there are. */
export const sumOfAll =
  (kind: 'sum' | 'mean'): OnnxRead =>
  (n) => {
    const places = [...n.node.inputs.keys()]
    const constants = places.filter((index) => n.isConstant(index))
    const seen = places.filter((index) => !constants.includes(index)).map((index) => n.seen(index))
    if (n.failed) return undefined
    let made: Seen | undefined = seen.length > 0 ? sum(n, seen as Seen[]) : n.seen(0)
    for (const index of constants) {
      const fit = made && n.perChannel(index, made)
      made = fit && n.keptAs(fit.x, n.draft.bias(n.where, `${n.name}.${index}`, fit.x.value, fit.numbers))
    }
    return made && (kind === 'mean' ? n.affine(made, 1 / places.length, 0, '.mean') : made)
  }

/** Sub of one number per channel, from either side; of two values with the second turned negative. */
export const subtract: OnnxRead = (n) => {
  const side = n.constantSide()
  if (side !== undefined) return side === 1 ? offset(n, 0, 1, 1, -1) : offset(n, 1, 0, -1, 1)
  const x = n.seen(1)
  const negative = x && n.affine(x, -1, 0, '.negative')
  const first = n.seen(0)
  return first && negative && sum(n, [first, negative])
}

export const negate: OnnxRead = (n) => {
  const x = n.seen()
  return x && n.affine(x, -1, 0)
}

/** `sign` · x + `change` · constant. */
function offset(n: OnnxNodeReader, of: number, constant: number, sign: 1 | -1, change: 1 | -1): Seen | undefined {
  const given = n.seen(of)
  const number = given && n.publicNumber(constant, given)
  if (number !== undefined) return n.kept(given!, { op: 'affine', factor: sign, offset: change * number })
  const fit = given && n.perChannel(constant, given, (b) => change * b)
  if (!fit) return undefined
  const { x, numbers } = fit
  if (sign === 1) return n.keptAs(x, n.draft.bias(n.where, n.name, x.value, numbers))
  const turned = n.draft.constant(numbers.data.length, -1, '-1')
  const [mean, variance] = [0, 1].map((value) => n.draft.constant(numbers.data.length, value, String(value)))
  const tensors = { weight: turned, bias: numbers, running_mean: mean, running_var: variance }
  return n.kept(x, { op: 'batchNorm', eps: 0 }, tensors)
}

export const multiply: OnnxRead = (n) => {
  const side = n.constantSide()
  if (side !== undefined) return scale(n, 1 - side, side, (factor) => factor)
  const [a, b] = [n.seen(0), n.seen(1)]
  return a && b && product2(n, a, b)
}

/** A convolution of single pixels. */
export const pixelwise = (cout: number) => {
  const one = [1, 1] as const
  const fields = { kernel: one, stride: one, pad: [0, 0, 0, 0], dilation: one, groups: 1, bias: false } as const
  return { op: 'conv2d', cout, ...fields } as const
}

/** Of two computed values, sizes of 1 broadcast. No private step computes it: the plan says so by the layer's name. */
export function product2(n: OnnxNodeReader, first: Seen, second: Seen, suffix = ''): Seen | undefined {
  const [a, b] = sameRank([first, second])
  const ordered = inOneOrder(n, [a, b])
  if (!ordered) return undefined
  const rank = Math.max(...ordered.values.map(({ shape }) => shape.length))
  const values = ordered.values.map((value) => {
    const { shape } = value
    // A vector is a map of 1x1 where it meets one.
    return shape.length === rank ? value : n.shaped(value, [...shape, ...Array<number>(rank - shape.length).fill(1)])
  })
  if (values.some((value) => value === undefined)) return undefined
  const made = n.draft.layer(n.where, n.name + suffix, { op: 'multiply' }, values as Value[])
  if (!made || !ordered.view) return n.made(made)
  return { value: made, view: a.view.map((atoms, dim) => (atoms.length > 0 ? atoms : b.view[dim])) }
}

export const divide: OnnxRead = (n) => {
  const side = n.constantSide()
  if (side === 1) return scale(n, 0, 1, (divisor) => 1 / divisor)
  const divisor = n.seen(1)
  const inverse = divisor && n.kept(divisor, { op: 'reciprocal' }, {}, '.inverse')
  if (side === 0) return inverse && scaled(n, inverse, 0, (factor) => factor)
  const x = n.seen(0)
  return x && inverse && product2(n, x, inverse)
}

function scale(n: OnnxNodeReader, of: number, side: number, change: (x: number) => number): Seen | undefined {
  const given = n.seen(of)
  return given && scaled(n, given, side, change)
}

function scaled(n: OnnxNodeReader, given: Seen, side: number, change: (x: number) => number): Seen | undefined {
  const factor = n.publicNumber(side, given)
  if (factor !== undefined) return n.kept(given, { op: 'affine', factor: change(factor), offset: 0 })
  const fit = n.perChannel(side, given, change)
  return fit && n.kept(fit.x, { op: 'channelScale' }, { weight: fit.numbers })
}

/** Values of one order, which stays; of several, in the graph's. */
function inOneOrder(n: OnnxNodeReader, seen: readonly Seen[]): { values: Value[]; view?: View } | undefined {
  const [first, ...others] = seen
  if (others.every(({ view }) => alikeAlongChannels(view, first.view)))
    return { values: seen.map(({ value }) => value), view: first.view }
  const values = seen.map((each, i) => n.plain(each, n.node.inputs[i]))
  return values.some((value) => value === undefined) ? undefined : { values: values as Value[] }
}

/** The same order, but for axes of size 1 that broadcast. */
function alikeAlongChannels(a: View, b: View): boolean {
  return (
    a.length === b.length &&
    a.every((_, dim) => {
      const [x, y] = [[a[dim]], [b[dim]]]
      return sameView(x, y) || [x, y].some(([atoms]) => atoms.length === 0)
    })
  )
}

export function sum(n: OnnxNodeReader, given?: readonly Seen[], suffix = ''): Seen | undefined {
  const seen = given ?? n.node.inputs.map((_, index) => n.seen(index))
  if (n.failed || seen.length === 0) return undefined
  const all = seen as Seen[]
  if (all.length === 1) return all[0]
  const ordered = inOneOrder(n, sameRank(all))
  if (!ordered) return undefined
  const { values, view } = ordered
  const full = values.reduce((most, value) => (elementCount(value.shape) > elementCount(most.shape) ? value : most))
  const spread = values.map((value, i) => broadcast(n, value, full.shape, `${n.name}${suffix}.${i}`))
  if (spread.some((value) => value === undefined)) return undefined
  const added = n.draft.layer(n.where, n.name + suffix, { op: 'add' }, spread as Value[])
  return view ? added && { value: added, view: sameRank(all)[values.indexOf(full)].view } : n.made(added)
}

/** One channel becomes as many as there are to be, one pixel a map; any other difference is left for the add to report. */
export function broadcast(n: OnnxNodeReader, value: Value, full: Shape, name: string): Value | undefined {
  const { shape } = value
  if (shape.length !== full.length || (full.length !== 1 && full.length !== 3)) return value
  const grown = shape[0] === 1 && full[0] > 1 ? repeated(n, value, full[0], `${name}.channels`) : value
  if (!grown || sameShape(grown.shape, full) || !sameShape(grown.shape, [full[0], 1, 1])) return grown
  return n.draft.layer(n.where, name, { op: 'resize', size: [full[1], full[2]], mode: 'broadcast' }, [grown])
}

/** The one channel of a map, or the one element of a vector, `count` times. */
function repeated(n: OnnxNodeReader, value: Value, count: number, name: string): Value | undefined {
  const isMap = value.shape.length === 3
  const ones = n.draft.constant(count, 1, 'ones')
  const weight = { ...ones, shape: isMap ? [count, 1, 1, 1] : [count, 1] }
  return n.draft.layer(n.where, name, isMap ? pixelwise(count) : { op: 'linear', cout: count, bias: false }, [value], {
    weight,
  })
}

/** Values one after another along their channels, wherever the graph has those. */
export const concat: OnnxRead = (n) => {
  const seen = n.node.inputs.map((_, index) => n.known(index))
  if (n.failed || seen.length === 0) return undefined
  const axis = n.axis('axis', 1, rankOf(seen[0]!))
  const zeros = withZeros(n, seen as Known[], axis)
  if (zeros !== undefined) return zeros
  const all = n.node.inputs.map((_, index) => n.seen(index))
  if (n.failed) return undefined
  const [first] = all as Seen[]
  const alike = (all as Seen[]).every(({ value, view }) => {
    const others = (each: View) => each.filter((_, dim) => dim !== axis)
    const isChannels = value.shape[0] === 1 ? view[axis]?.length === 0 : wholeAxis(view, axis, value.shape) === 0
    return isChannels && view.length === first.view.length && sameView(others(view), others(first.view))
  })
  if (alike) {
    const values = (all as Seen[]).map(({ value }) => value)
    const joined = n.draft.layer(n.where, n.name, { op: 'concat', axis: 0 }, values)
    return (
      joined && {
        value: joined,
        view: first.view.map((atoms, dim) => (dim === axis ? [{ axis: 0, size: joined.shape[0], step: 1 }] : atoms)),
      }
    )
  }
  const values = (all as Seen[]).map((each, i) => n.settled(each, n.node.inputs[i]))
  if (n.failed || values.some((value) => value === undefined)) return undefined
  const settled = values as Seen[]
  const own = axis - (settled[0].view.length - settled[0].value.shape.length)
  if (!(own >= 0)) return n.fault(`axis: expected one behind the batch, got ${axis}`)
  const inputs = settled.map(({ value }) => value)
  const joined = n.draft.layer(n.where, n.name, { op: 'concat', axis: own }, inputs)
  if (!joined) return undefined
  const view = plainView(joined.shape, n.scope.batch)
  return { value: joined, view: view.slice(view.length - settled[0].view.length) }
}

const rankOf = (known: Known): number => ('constant' in known ? known.constant.shape.length : known.view.length)

/** One value between constants of zeros: more channels, rows or columns of nothing. Undefined where there are none. */
function withZeros(n: OnnxNodeReader, inputs: readonly Known[], axis: number): Seen | undefined {
  const place = inputs.findIndex((known) => 'value' in known)
  const x = inputs[place]
  if (!x || !('value' in x) || inputs.length < 2) return undefined
  const sizes = inputs.map((known) => ('constant' in known ? known.constant.shape[axis] : 0))
  const dims = dimsOf(x.view)
  const isZeros = inputs.every((known, i) => {
    if (!('constant' in known)) return i === place
    const { floats, shape } = known.constant
    return (
      floats?.every((v) => v === 0) &&
      sameShape(
        shape.map((size, dim) => (dim === axis ? dims[dim] : size)),
        dims,
      )
    )
  })
  if (!isZeros) return undefined
  const of = (list: readonly number[]) => list.reduce((sum, size) => sum + size, 0)
  const side = { dim: axis, before: of(sizes.slice(0, place)), after: of(sizes.slice(place + 1)) }
  return padded(n, x, [side], 0)
}

/** Softmax along one axis; before set 13 along all axes from `axis` on. */
export function softmax(op: 'softmax' | 'logSoftmax'): OnnxRead {
  return (n) => {
    const x = n.seen()
    if (!x) return undefined
    const dims = dimsOf(x.view)
    const isOld = n.scope.opset < 13
    const axis = n.axis('axis', isOld ? 1 : -1, dims.length)
    if (isOld && elementCount(dims.slice(axis + 1)) > 1) {
      return n.fault(`axis: expected the last, before operator set 13, got ${axis} of ${formatShape(dims)}`)
    }
    return n.along(x, axis, (own) => ({ op, axis: own }))
  }
}

export const argMax: OnnxRead = (n) => {
  const x = n.seen()
  if (!x) return undefined
  const axis = n.axis('axis', 0, x.view.length)
  const keepDims = n.integer('keepdims', 1) !== 0
  const made = n.along(x, axis, (own) => ({ op: 'argMax', axis: own }))
  return made && (keepDims ? made : { value: made.value, view: made.view.filter((_, dim) => dim !== axis) })
}

/** A function of every element alone. */
export function pointwise(
  op: 'sigmoid' | 'tanh' | 'exp' | 'log' | 'sqrt' | 'softplus' | 'erf' | 'reciprocal',
): OnnxRead {
  return (n) => {
    const x = n.seen()
    return x && n.kept(x, { op })
  }
}

/** x · hardSigmoid(x), and x times other functions of x. */
export function gated(gate: (n: OnnxNodeReader, x: Seen) => Seen | undefined): OnnxRead {
  return (n) => {
    const x = n.seen()
    const factor = x && gate(n, x)
    return factor && product2(n, x, factor)
  }
}

export const same: OnnxRead = (n) => n.known(0)

/** Nothing at inference, however many it would drop in training. */
export const dropout: OnnxRead = (n) => {
  n.known(1)
  const isTraining = n.has(2) && n.oneNumber(2, 'training_mode: ') !== 0
  return isTraining
    ? n.refuse('it drops values (training mode); export the model for inference, model.eval()')
    : n.known(0)
}

/** A cast between floats changes nothing here. */
export const cast: OnnxRead = (n) => {
  const to = n.integer('to', 0)
  const x = n.seen()
  return !x || FLOAT_TYPES.has(to) ? x : n.fault(`to: expected a cast between float types, got ${quote(to)}`)
}
