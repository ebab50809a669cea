// ONNX nodes that resize or sum up a map: Resize, Upsample, means and maxima over its rows and columns.
import { quote } from '../../../model/json/fields.js'
import type { LayerOp, Pair } from '../../../model/layers/layers.js'
import { elementCount, formatShape } from '../../../model/shape.js'
import { bilinearMode, COORDINATES, isNearest, ROUNDINGS } from '../../resize-sampling.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { dimsOf, resizedView, wholeAxis } from '../view.js'
import { extremeOfTwo } from './bounds.js'
import { pixelwise } from './layers.js'
import { spanned } from './shapes.js'

const NO_PAD = [0, 0, 0, 0] as const

/** ReduceMean and ReduceMax over rows, columns or both; means and sums over other axes, which no private step computes. */
export function reduce(kind: 'avg' | 'max' | 'sum'): OnnxRead {
  return (n) => reduced(n, n.seen(), kind)
}

/** √Σx², Σ|x| and Σx². */
export function norm(before: 'square' | 'absolute', after?: 'sqrt'): OnnxRead {
  return (n) => {
    const x = n.seen()
    const op = before === 'square' ? ({ op: 'square' } as const) : ({ op: 'leakyRelu', slope: -1 } as const)
    const sums = reduced(n, x && n.kept(x, op, {}, `.${before}`), 'sum')
    return sums && (after ? n.kept(sums, { op: after }) : sums)
  }
}

function reduced(n: OnnxNodeReader, x: Seen | undefined, kind: 'avg' | 'max' | 'sum'): Seen | undefined {
  const axes = n.integerList('axes', 1)
  const keepDims = n.integer('keepdims', 1) !== 0
  const isNoop = n.integer('noop_with_empty_axes', 0) !== 0
  if (!x || n.failed) return undefined
  const { value, view } = x
  const none = !axes || axes.length === 0
  if (none && isNoop) return x
  const dims = new Set(none ? view.keys() : axes.map((axis) => (axis < 0 ? axis + view.length : axis)))
  const gone = view.filter((_, dim) => dims.has(dim)).flat()
  const sizeOf = (axis: number) => gone.reduce((size, atom) => (atom.axis === axis ? size * atom.size : size), 1)
  const kernel: Pair = [sizeOf(1), sizeOf(2)]
  const [, h, w] = value.shape
  const isWhole = ([size, all]: readonly number[]) => size === 1 || size === all
  const fits = gone.every(({ axis }) => axis > 0) && isWhole([kernel[0], h]) && isWhole([kernel[1], w])
  if (kind === 'sum' || !fits || value.shape.length !== 3) return summed(n, x, [...dims], kind, keepDims)
  const rest = view.map((atoms) => atoms.filter((atom) => !gone.includes(atom)))
  const kept = keepDims ? rest : rest.filter((_, dim) => !dims.has(dim))
  const made = n.draft.layer(n.where, n.name, poolOf(kind, kernel, [h, w]), [value])
  return made && { value: made, view: kept }
}

function summed(
  n: OnnxNodeReader,
  x: Seen,
  dims: readonly number[],
  kind: 'avg' | 'max' | 'sum',
  keepDims: boolean,
): Seen | undefined {
  const sizes = dimsOf(x.view)
  if (kind === 'max' && dims.length === 1 && wholeAxis(x.view, dims[0], x.value.shape) === 0) {
    const made = channelMaximum(n, x, dims[0])
    return made && { value: made.value, view: keepDims ? made.view : made.view.filter((_, dim) => dim !== dims[0]) }
  }
  if (kind === 'max') {
    return n.refuse(
      `axes: expected channels, rows, columns or both of a map, got ${quote(dims)} of ${formatShape(sizes)}`,
    )
  }
  const axes = dims.filter((dim) => sizes[dim] > 1)
  const [channels, ...side] = x.value.shape
  const isAcross = axes.length === 1 && side.length === 2 && wholeAxis(x.view, axes[0], x.value.shape) === 0
  if (isAcross && elementCount(side) > 1 && !n.draft.isPlain(x.value)) {
    // The same number for every channel: a convolution, which runs privately.
    const equal = n.draft.constant(channels, kind === 'avg' ? 1 / channels : 1, 'equal weights')
    const weight = { ...equal, shape: [1, channels, 1, 1] }
    const made = n.draft.layer(n.where, n.name, pixelwise(1), [x.value], { weight })
    const view = made && resizedView(x.view, x.value.shape, made.shape)
    return view && { value: made, view: keepDims ? view : view.filter((_, dim) => !dims.includes(dim)) }
  }
  let made: Seen | undefined = x
  for (const [i, dim] of axes.entries()) made = made && n.along(made, dim, (axis) => ({ op: 'sum', axis }), `.sum${i}`)
  const count = axes.reduce((product, dim) => product * sizes[dim], 1)
  const mean = made && (kind === 'avg' ? n.kept(made, { op: 'affine', factor: 1 / count, offset: 0 }) : made)
  return mean && { value: mean.value, view: keepDims ? mean.view : mean.view.filter((_, dim) => !dims.includes(dim)) }
}

/** Of two halves, which share the middle channel of an odd number, then of the halves of what that gives. */
function channelMaximum(n: OnnxNodeReader, given: Seen, dim: number): Seen | undefined {
  let x: Seen | undefined = given
  for (let size = dimsOf(given.view)[dim]; x && size > 1; size = Math.ceil(size / 2)) {
    const half = Math.ceil(size / 2)
    const suffix = half === 1 ? '' : `.${half}`
    const first = spanned(n, x, [{ dim, from: 0, to: half, step: 1 }], 0, `${suffix}.first`)
    const second = spanned(n, x, [{ dim, from: size - half, to: size, step: 1 }], 0, `${suffix}.second`)
    x = first && second && extremeOfTwo(n, 'max', first, second, suffix)
  }
  return x
}

/** The least is minus the largest of the negative. */
export const least: OnnxRead = (n) => {
  const x = n.seen()
  const negative = x && n.affine(x, -1, 0, '.negative')
  const most = reduced(n, negative, 'max')
  return most && n.affine(most, -1, 0, '.least')
}

function poolOf(kind: 'avg' | 'max', kernel: Pair, [h, w]: Pair): LayerOp {
  if (kind === 'avg' && kernel[0] === h && kernel[1] === w) return { op: 'globalAvgPool' }
  const fields = { kernel, stride: kernel, pad: NO_PAD, ceil: false } as const
  return kind === 'avg' ? { op: 'avgPool', ...fields, countPad: true } : { op: 'maxPool', ...fields }
}

/** Resize and Upsample of height and width. */
export const resize: OnnxRead = (n) => {
  const x = n.seen()
  const old = n.node.op === 'Upsample' || n.scope.opset < 11
  const scales = n.attribute('scales', 'floats') ?? (old ? n.floats(1, false)?.data : scaleInput(n))
  if (!old) n.known(1) // the region of interest, which only a mode has that is refused
  const sizes = old || !n.has(3) ? undefined : n.integerList('sizes', 3)
  const axes = n.integerList('axes')
  if (!x || n.failed) return undefined
  if (x.value.shape.length !== 3) return n.fault(`expected a map [c,h,w], got ${formatShape(x.value.shape)}`)
  const dims = dimsOf(x.view)
  const given = sizes ?? scales
  const listed = axes ?? dims.map((_, dim) => dim)
  if (given?.length !== listed.length) {
    return n.fault(`expected sizes or scales of ${listed.length} axes, got ${quote(given && Array.from(given))}`)
  }
  const size = [x.value.shape[1], x.value.shape[2]]
  const scaleOf: (number | undefined)[] = [undefined, undefined]
  for (const [i, axis] of listed.entries()) {
    const dim = axis < 0 ? axis + dims.length : axis
    const to = sizes ? sizes[i] : Math.floor(dims[dim] * given[i])
    if (to === dims[dim]) continue
    const place = wholeAxis(x.view, dim, x.value.shape) ?? (dims[dim] === 1 && dims.length === 4 ? dim - 1 : 0)
    if (!(place > 0)) return n.refuse('expected sizes or scales that keep batch and channels')
    size[place - 1] = to
    scaleOf[place - 1] = sizes ? undefined : given[i]
  }
  if (size.some((side) => !(side >= 1 && side < 2 ** 24)))
    return n.fault(`sizes: expected sizes >= 1, got ${quote(size)}`)
  const all = size.map((resized, i) => ({ size: x.value.shape[i + 1], resized, scale: scaleOf[i] }))
  checkPolicies(n, all, sizes !== undefined)
  const mode = resizeMode(n, all, old)
  return mode && !n.failed ? n.resized(x, { op: 'resize', size: [size[0], size[1]], mode }) : undefined
}

/** Attributes that change what is computed only now and then. */
function checkPolicies(n: OnnxNodeReader, axes: readonly SizedAxis[], bySizes: boolean): void {
  const shrinks = axes.some(({ size, resized }) => resized < size)
  if (n.integer('antialias', 0) !== 0 && shrinks) {
    n.refuse('antialias: expected 0 where a map shrinks, got 1; export the network without antialiasing')
  }
  const policy = n.text('keep_aspect_ratio_policy', 'stretch')
  const [ratio, other] = axes.map(({ size, resized }) => resized / size)
  if (policy !== 'stretch' && bySizes && ratio !== other) {
    n.refuse(`keep_aspect_ratio_policy: expected stretch, got ${quote(policy)}`)
  }
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
  const coordinates = old ? 'asymmetric' : n.text('coordinate_transformation_mode', 'half_pixel')
  const rounding = old ? 'floor' : n.text('nearest_mode', 'round_prefer_floor')
  const mode = n.text('mode', 'nearest')
  if (axes.every(({ size }) => size === 1)) return 'broadcast'
  const place = Object.hasOwn(COORDINATES, coordinates) ? COORDINATES[coordinates] : undefined
  const round = Object.hasOwn(ROUNDINGS, rounding) ? ROUNDINGS[rounding] : undefined
  if (mode === 'nearest' && place && round && axes.every((axis) => isNearest(axis, place(axis), round)))
    return 'nearest'
  const linear = mode === 'linear' || mode === 'bilinear'
  const bilinear = linear && place ? bilinearMode(axes, place) : undefined
  if (bilinear) return bilinear
  const expected = 'expected nearest (floor) or linear of half_pixel, asymmetric or align_corners'
  const where = `coordinate_transformation_mode ${quote(coordinates)}`
  return n.refuse(`${expected}, got mode ${quote(mode)}, ${where}, nearest_mode ${quote(rounding)}`)
}
