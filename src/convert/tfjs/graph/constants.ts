// Nodes of a TF.js graph model over constants alone: arithmetic on sizes, axes and weights that exporters leave in the graph,
// computed once, by the definitions of tensorflow.org/api_docs.
import { quote } from '../../../model/json/fields.js'
import { elementCount, formatShape, type Shape } from '../../../model/shape.js'
import { broadcastShape, reader } from '../../broadcast-constants.js'
import type { TfTensor } from '../weights.js'
import type { NodeRead, NodeReader, TfKnown } from './node.js'
import { cutsOf, cutsOfSlice, type Sliced } from './slices.js'

/** Integers are sizes, axes and the like. */
const MOST_INTEGERS = 4096

const elements = ({ floats, integers }: TfTensor): ArrayLike<number> => floats ?? integers!

/** A constant made element by element; its memory is paid for first. */
export function filled(
  n: NodeReader,
  shape: readonly number[],
  isFloat: boolean,
  at: (i: number) => number,
): TfKnown | undefined {
  const count = elementCount(shape)
  if (shape.length > 8 || !shape.every((size) => Number.isSafeInteger(size) && size >= 0) || count >= 2 ** 31)
    return n.fault(`expected at most 8 sizes >= 0, got ${quote(shape)}`)
  if (!isFloat && count > MOST_INTEGERS) return n.fault(`expected at most ${MOST_INTEGERS} integers, got ${count}`)
  const floats = isFloat ? n.draft.floats(count) : undefined
  const out: Float32Array | number[] = floats ?? new Array<number>(count)
  for (let i = 0; i < count; i++) {
    out[i] = at(i)
    if (!isFloat && !Number.isInteger(out[i])) return n.fault('expected integers of 32 bits, and came to others')
  }
  return { tensor: { shape, ...(floats ? { floats } : { integers: out as number[] }), from: quote(n.name) } }
}

/** A list of sizes. */
export const integers = (n: NodeReader, list: readonly number[]) => filled(n, [list.length], false, (i) => list[i])

type Fold = (n: NodeReader, inputs: readonly TfTensor[]) => TfKnown | readonly (TfKnown | undefined)[] | undefined

type Two = (a: number, b: number) => number
const TWO: Readonly<Record<string, Two>> = {
  Add: (a, b) => a + b,
  AddV2: (a, b) => a + b,
  FloorDiv: (a, b) => Math.floor(a / b),
  FloorMod: (a, b) => a - b * Math.floor(a / b),
  Maximum: Math.max,
  Minimum: Math.min,
  Mul: (a, b) => a * b,
  Pow: (a, b) => a ** b,
  SquaredDifference: (a, b) => (a - b) ** 2,
  Sub: (a, b) => a - b,
}
const OF_FLOATS: Readonly<Record<string, Two>> = { Div: (a, b) => a / b, RealDiv: (a, b) => a / b }
const ALONE: Readonly<Record<string, (x: number) => number>> = {
  Abs: Math.abs,
  Ceil: Math.ceil,
  Floor: Math.floor,
  Neg: (x) => -x,
  OnesLike: () => 1,
  Square: (x) => x * x,
  ZerosLike: () => 0,
}
const ALONE_OF_FLOATS: Readonly<Record<string, (x: number) => number>> = {
  Exp: Math.exp,
  Log: Math.log,
  Reciprocal: (x) => 1 / x,
  Rsqrt: (x) => 1 / Math.sqrt(x),
  Sqrt: Math.sqrt,
}

const alone =
  (f: (x: number) => number, floatsOnly: boolean): Fold =>
  (n, [x]) => {
    if (floatsOnly && !x.floats) return n.fault(`tensor ${x.from}: expected floats, got integers`)
    return filled(n, x.shape, !!x.floats, (i) => f(elements(x)[i]))
  }

const two =
  (f: Two, floatsOnly: boolean): Fold =>
  (n, [a, b]) => {
    const [isFloat, isOther] = [!!a.floats, !!b?.floats]
    if (!b || isFloat !== isOther || (floatsOnly && !isFloat))
      return n.fault(`expected two constants of ${floatsOnly ? 'floats' : 'one type'}`)
    const dims = broadcastShape([a.shape, b.shape])
    if (!dims) return n.fault(`expected shapes that broadcast, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`)
    const [at, from] = [reader(a.shape, dims), reader(b.shape, dims)]
    return filled(n, dims, isFloat, (i) => {
      const made = f(elements(a)[at(i)], elements(b)[from(i)])
      return isFloat || Math.abs(made) < 2 ** 31 ? made : Number.NaN // no integer: `filled` says so
    })
  }

const reduced =
  (start: number, f: Two): Fold =>
  (n, [x]) => {
    const axes = n.integers(1)
    const keepDims = n.flag('keep_dims')
    if (!axes) return undefined
    const gone = new Set(axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis)))
    if ([...gone].some((axis) => !(axis >= 0 && axis < x.shape.length)))
      return n.fault(`axes: expected axes of ${formatShape(x.shape)}, got ${quote(axes)}`)
    const kept = x.shape.map((size, axis) => (gone.has(axis) ? 1 : size))
    const sums = new Array<number>(elementCount(kept)).fill(start)
    const place = reader(kept, x.shape)
    for (let i = 0; i < elements(x).length; i++) sums[place(i)] = f(sums[place(i)], elements(x)[i])
    const shape = keepDims ? kept : x.shape.filter((_, axis) => !gone.has(axis))
    return filled(n, shape, !!x.floats, (i) => sums[i])
  }

const placeOf = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis)

/** Elements at places along an axis. */
function taken(n: NodeReader, x: TfTensor, axis: number, picks: readonly number[], shape: Shape): TfKnown | undefined {
  const inner = elementCount(x.shape.slice(axis + 1))
  const [size, count] = [x.shape[axis], picks.length]
  return filled(n, shape, !!x.floats, (i) => {
    const [outer, pick] = [Math.floor(i / (inner * count)), picks[Math.floor(i / inner) % count]]
    return elements(x)[(outer * size + pick) * inner + (i % inner)]
  })
}

function joined(n: NodeReader, inputs: readonly TfTensor[], axis: number): TfKnown | undefined {
  const [first] = inputs
  const others = (shape: Shape) => quote(shape.filter((_, i) => i !== axis))
  const isFloat = !!first?.floats
  const fits = inputs.every(
    ({ shape, floats }) => shape.length > axis && others(shape) === others(first.shape) && !!floats === isFloat,
  )
  if (!first || !(axis >= 0) || !fits) return n.fault(`axis: expected constants that differ along axis ${axis} only`)
  const inner = inputs.map(({ shape }) => elementCount(shape.slice(axis)))
  const whole = inner.reduce((a, b) => a + b, 0)
  const shape = first.shape.map((size, i) => (i === axis ? inputs.reduce((sum, x) => sum + x.shape[axis], 0) : size))
  return filled(n, shape, isFloat, (i) => {
    let at = i % whole
    let part = 0
    while (at >= inner[part]) at -= inner[part++]
    return elements(inputs[part])[Math.floor(i / whole) * inner[part] + at]
  })
}

const sliced =
  (read: (n: NodeReader, dims: Shape) => Sliced | undefined): Fold =>
  (n, [x]) => {
    const cuts = read(n, x.shape)
    let made: TfTensor | undefined = x
    for (const { dim, from, step, count } of cuts?.cuts ?? []) {
      const picks = Array.from({ length: count }, (_, i) => from + i * step)
      const shape: Shape = made.shape.map((size, i) => (i === dim ? count : size))
      const next: TfKnown | undefined = taken(n, made, dim, picks, shape)
      if (!next || !('tensor' in next)) return undefined
      made = next.tensor
    }
    return cuts && { tensor: { ...made, shape: cuts.dims } }
  }

const reshaped: Fold = (n, [x]) => {
  const target = n.integers(1)
  if (!target) return undefined
  const shape = resolved(target, elementCount(x.shape))
  return shape
    ? { tensor: { ...x, shape } }
    : n.fault(`shape: expected one of ${formatShape(x.shape)}, got ${quote(target)}`)
}

/** Sizes of which one may be -1, or undefined where they do not hold as many elements. */
export function resolved(target: readonly number[], count: number): readonly number[] | undefined {
  const rest = target.reduce((product, size) => (size === -1 ? product : product * size), 1)
  const dims = target.map((size) => (size === -1 ? count / rest : size))
  const fits = dims.every((size) => Number.isSafeInteger(size) && size >= 1) && dims.length <= 8
  return fits && elementCount(dims) === count ? dims : undefined
}

const MORE: Readonly<Record<string, Fold>> = {
  BroadcastTo: (n, [x]) => {
    const target = n.integers(1)
    const dims = target && broadcastShape([x.shape, target])
    if (!dims || quote(dims) !== quote(target)) return n.fault(`shape: expected one that grows, got ${quote(target)}`)
    const place = reader(x.shape, dims)
    return filled(n, dims, !!x.floats, (i) => elements(x)[place(i)])
  },
  Cast: (n, [x]) => {
    const to = n.type('DstT')
    if (to === 'DT_FLOAT') return x.floats ? { tensor: x } : filled(n, x.shape, true, (i) => elements(x)[i])
    if (to === 'DT_INT32' || to === 'DT_INT64')
      return x.floats ? filled(n, x.shape, false, (i) => Math.trunc(elements(x)[i])) : { tensor: x }
    return n.refuse(`DstT: expected DT_FLOAT, DT_INT32 or DT_INT64, got ${quote(to)}`)
  },
  ConcatV2: (n, inputs) => {
    const axis = n.scalar(n.count - 1)
    return axis === undefined ? undefined : joined(n, inputs.slice(0, -1), placeOf(axis, inputs[0].shape.length))
  },
  ExpandDims: (n, [x]) => {
    const axis = n.scalar(1)
    if (axis === undefined) return undefined
    const at = placeOf(axis, x.shape.length + 1)
    if (!(at >= 0 && at <= x.shape.length))
      return n.fault(`axis: expected a place among the axes of ${formatShape(x.shape)}, got ${axis}`)
    return { tensor: { ...x, shape: [...x.shape.slice(0, at), 1, ...x.shape.slice(at)] } }
  },
  Fill: (n, [, x]) => {
    const dims = n.integers(0)
    return dims && filled(n, dims, !!x.floats, () => elements(x)[0])
  },
  GatherV2: (n, [x, index]) => {
    const axis = placeOf(n.scalar(2) ?? 0, x.shape.length)
    const picks = n.integers(1)
    if (n.integer('batch_dims') !== 0) return n.refuse('batch_dims: expected 0')
    if (!picks?.every((i) => i >= 0 && i < x.shape[axis]))
      return n.fault(`indices: expected places in axis ${axis} of ${formatShape(x.shape)}, got ${quote(picks)}`)
    return taken(n, x, axis, picks, [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)])
  },
  Identity: (n) => n.known(),
  Max: reduced(Number.NEGATIVE_INFINITY, Math.max),
  Min: reduced(Number.POSITIVE_INFINITY, Math.min),
  Pack: (n, inputs) => {
    const axis = placeOf(n.integer('axis'), inputs[0].shape.length + 1)
    const grown = inputs.map((x) => ({ ...x, shape: [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)] }))
    return joined(n, grown, axis)
  },
  Prod: reduced(1, (a, b) => a * b),
  Range: (n, inputs) => {
    const [start, limit, delta] = [0, 1, 2].map((index) => n.scalar(index))
    if (start === undefined || limit === undefined || delta === undefined) return undefined
    const count = Math.max(0, Math.ceil((limit - start) / delta))
    if (!(count <= MOST_INTEGERS)) return n.fault(`expected at most ${MOST_INTEGERS} elements, got ${count}`)
    return filled(n, [count], !!inputs[0].floats, (i) => start + i * delta)
  },
  Rank: (n, [x]) => filled(n, [], false, () => x.shape.length),
  Reshape: reshaped,
  Shape: (n, [x]) => integers(n, x.shape),
  Size: (n, [x]) => filled(n, [], false, () => elementCount(x.shape)),
  Slice: sliced(cutsOfSlice),
  Squeeze: (n, [x]) => {
    const given = n.integerList('squeeze_dims').map((axis) => placeOf(axis, x.shape.length))
    const shape = x.shape.filter((size, axis) => (given.length > 0 ? !given.includes(axis) : size !== 1))
    if (elementCount(shape) === elementCount(x.shape)) return { tensor: { ...x, shape } }
    return n.fault(`squeeze_dims: expected axes of size 1 of ${formatShape(x.shape)}, got ${quote(given)}`)
  },
  StridedSlice: sliced(cutsOf),
  Sum: reduced(0, (a, b) => a + b),
  Tile: (n, [x]) => {
    const times = n.integers(1)
    if (!times || times.length !== x.shape.length)
      return n.fault(`multiples: expected one per axis of ${formatShape(x.shape)}, got ${quote(times)}`)
    if (!times.every((count) => count >= 1 && count <= MOST_INTEGERS))
      return n.fault(`multiples: expected 1 to ${MOST_INTEGERS}, got ${quote(times)}`)
    return times.reduce<TfKnown | undefined>(
      (made, count, axis) => {
        if (!made || !('tensor' in made) || count === 1) return made
        return joined(n, Array<TfTensor>(count).fill(made.tensor), axis)
      },
      { tensor: x },
    )
  },
  Transpose: (n, [x]) => {
    const order = n.integers(1)
    if (order?.length !== x.shape.length || !x.shape.every((_, axis) => order.includes(axis)))
      return n.fault(`perm: expected the axes of ${formatShape(x.shape)}, got ${quote(order)}`)
    const steps = order.map((axis) => elementCount(x.shape.slice(axis + 1)))
    const shape = order.map((axis) => x.shape[axis])
    return filled(n, shape, !!x.floats, (i) => {
      let [place, rest] = [0, i]
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        place += (rest % shape[axis]) * steps[axis]
        rest = Math.floor(rest / shape[axis])
      }
      return elements(x)[place]
    })
  },
  Unpack: (n, [x]) => {
    const axis = placeOf(n.integer('axis'), x.shape.length)
    const count = n.integer('num')
    if (count !== x.shape[axis]) return n.fault(`num: expected ${x.shape[axis]} as axis ${axis} has it, got ${count}`)
    const shape = x.shape.filter((_, i) => i !== axis)
    return Array.from({ length: Math.min(count, MOST_INTEGERS) }, (_, i) => taken(n, x, axis, [i], shape))
  },
}

const FOLDED: readonly (readonly [string, Fold])[] = [
  ...Object.entries(ALONE).map(([op, f]) => [op, alone(f, false)] as const),
  ...Object.entries(ALONE_OF_FLOATS).map(([op, f]) => [op, alone(f, true)] as const),
  ...Object.entries(TWO).map(([op, f]) => [op, two(f, false)] as const),
  ...Object.entries(OF_FLOATS).map(([op, f]) => [op, two(f, true)] as const),
  ...Object.entries(MORE),
]

/** By op, what it makes of constants. */
export const FOLDS: ReadonlyMap<string, NodeRead> = new Map(
  FOLDED.map(([op, fold]) => [
    op,
    (n) => {
      const least = op === 'Fill' ? 2 : 1
      if (n.count < least) return n.fault(`expected ${least} inputs or more, got ${n.count}`)
      const inputs = Array.from({ length: n.count }, (_, index) => n.tensor(index))
      return inputs.some((x) => x === undefined) ? undefined : fold(n, inputs as TfTensor[])
    },
  ]),
)
