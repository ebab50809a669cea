// TensorFlow's tensors as values of a network: maps lie channels first here and mostly channels last there, and vectors may
// count their elements in another order.
import { quote } from '../../model/json/fields.js'
import type { LayerOp } from '../../model/layers/layers.js'
import { formatShape, type Shape, sameShape } from '../../model/shape.js'
import type { ArchDraft, DraftTensors, Value } from '../arch-draft.js'
import { type Layout, partsOf } from './layout.js'

/** Of every element alone, whatever the axes. */
const OF_ELEMENTS: ReadonlySet<string> = new Set([
  ...['relu', 'clip', 'leakyRelu', 'affine', 'identity', 'add', 'multiply', 'sigmoid', 'tanh', 'exp', 'log', 'sqrt'],
  ...['square', 'reciprocal', 'softplus', 'erf'],
])

/** Makes layers, and brings values from the file's order into the network's and back. */
export class TfArranger {
  constructor(
    readonly draft: ArchDraft,
    /** Path of the layer or node, for messages. */
    readonly where: string,
    /** Id of the layer that carries its name. */
    readonly name: string,
    /** Where the file's maps have their channels. */
    readonly layout: Layout = 'channels_last',
  ) {}

  fault(text: string): undefined {
    this.draft.problems.push(`${this.where}: ${text}`)
    return undefined
  }

  layer(op: LayerOp, inputs: readonly Value[], tensors: DraftTensors = {}, suffix = ''): Value | undefined {
    const maps = inputs.flatMap(({ rowsOf }) => rowsOf ?? [])
    if (
      OF_ELEMENTS.has(op.op) &&
      maps.length === inputs.length &&
      maps.every((x) => sameShape(x.shape, maps[0].shape))
    ) {
      const onMaps = this.draft.layer(this.where, this.name + suffix, op, maps, tensors)
      return onMaps && this.rows(onMaps, suffix)
    }
    const made = this.draft.layer(this.where, this.name + suffix, op, inputs, tensors)
    const host = inputs.find(({ shape, parts }) => parts && made && sameShape(made.shape, shape))
    return made && host && op.op !== 'linear' ? { ...made, parts: host.parts } : made
  }

  /** Along the file's last axis. */
  alongLast(x: Value, op: 'softmax' | 'logSoftmax' | 'argMax' | 'sum', suffix = ''): Value | undefined {
    const isMap = x.shape.length === 3 && this.layout === 'channels_last'
    return this.layer({ op, axis: isMap ? 0 : x.shape.length - 1 }, [x], {}, suffix)
  }

  /** The same elements in their order under another shape. */
  shaped(x: Value, shape: Shape, suffix: string): Value | undefined {
    if (sameShape(x.shape, shape)) return x
    if (shape.length === 1) return this.draft.flatten(this.where, `${this.name}${suffix}/flatten`, x)
    return this.draft.layer(this.where, `${this.name}${suffix}/shape`, { op: 'reshape', shape }, [x])
  }

  protected moved(x: Value, order: readonly number[], suffix: string): Value | undefined {
    // Axes of one element move for nothing.
    const long = order.filter((axis) => x.shape[axis] > 1)
    const shape = order.map((axis) => x.shape[axis])
    if (long.every((axis, i) => i === 0 || long[i - 1] < axis)) return this.shaped(x, shape, suffix)
    return this.draft.layer(this.where, `${this.name}${suffix}/order`, { op: 'transpose', order }, [x])
  }

  /** A value whose elements lie in the file's order under the file's sizes, without the batch. */
  inFile(x: Value, suffix = ''): Value | undefined {
    if (x.shape.length === 3) return this.layout === 'channels_last' ? this.moved(x, [1, 2, 0], suffix) : x
    if (!x.parts) return x
    const runs: Value[] = []
    let at = 0
    for (const [i, part] of x.parts.entries()) {
      const count = part.reduce((product, [size]) => product * size, 1)
      const slice = { op: 'slice', axis: 0, from: at, to: at + count, step: 1 } as const
      const name = `${this.name}${suffix}/part${i}`
      const own = count === x.shape[0] ? x : this.draft.layer(this.where, name, slice, [x])
      at += count
      // The axes as the vector here counts them, then in the file's order.
      const sorted = [...part].sort((a, b) => b[1] - a[1])
      const map =
        own &&
        this.shaped(
          { id: own.id, shape: own.shape },
          sorted.map(([size]) => size),
          `${suffix}/${i}`,
        )
      const order = part.map((axis) => sorted.indexOf(axis))
      const moved = map && (order.length > 1 ? this.moved(map, order, `${suffix}/${i}`) : map)
      const flat = moved && this.shaped(moved, [count], `${suffix}/run${i}`)
      if (!flat) return undefined
      runs.push({ id: flat.id, shape: flat.shape })
    }
    return runs.length === 1
      ? runs[0]
      : this.draft.layer(this.where, `${this.name}${suffix}/runs`, { op: 'concat', axis: 0 }, runs)
  }

  /** The pixels of a map one after another, [n,channels]. */
  rows(map: Value, suffix = ''): Value | undefined {
    const [c, h, w] = map.shape
    const moved = this.moved(map, [1, 2, 0], `${suffix}/rows`)
    const made = moved && this.shaped(moved, [h * w, c], `${suffix}/rows`)
    return made && { ...made, rowsOf: map }
  }

  /** What works along the last axis of the file, of rows as well: `f` of the map whose pixels they are. */
  onMap(x: Value, f: (map: Value) => Value | undefined): Value | undefined {
    if (x.shape.length !== 2 || this.layout !== 'channels_last') return f(x)
    const map = x.rowsOf ?? this.fromFile(x, [x.shape[0], 1, x.shape[1]], '/pixels')
    const made = map && f(map)
    return made && this.rows(made)
  }

  /** Whether a value is behind a layer that no private step computes. */
  isPlain(x: Value): boolean {
    return this.draft.isPlain(x.rowsOf ?? x)
  }

  /** How many channels a value has: rows have them last. */
  channelsOf({ shape }: Value): number {
    return shape.length === 2 && this.layout === 'channels_last' ? shape[1] : shape[0]
  }

  /** A value in the file's order as one of the sizes `dims`: a map with its channels to the front. */
  fromFile(x: Value | undefined, dims: Shape, suffix = ''): Value | undefined {
    const shaped = x && this.shaped(x, dims, suffix)
    if (!shaped || dims.length !== 3 || this.layout === 'channels_first') return shaped
    return this.moved(shaped, [2, 0, 1], `${suffix}/map`)
  }

  /** Axis `dim` of the file's tensor, batch included, as an axis of the value. */
  axisOf(x: Value, dim: number): number {
    const own = (dim < 0 ? dim + x.shape.length + 1 : dim) - 1
    return x.shape.length === 3 && this.layout === 'channels_last' ? [1, 2, 0][own] : own
  }

  /** Elements along one axis of the file's tensor, batch included. */
  slice(given: Value, dim: number, from: number, to: number, step: number, suffix = ''): Value | undefined {
    const x = given.parts ? this.inFile(given, suffix) : given
    const axis = x && this.axisOf(x, dim)
    if (!x || axis === undefined || axis < 0) return x && this.fault(`expected an axis behind the batch, got ${dim}`)
    if (axis === 0 && step === 1 && x.shape.length === 3) {
      const op = { op: 'shortcutA', stride: [1, 1], padChannels: [-from || 0, to - x.shape[0] || 0] } as const
      return this.draft.layer(this.where, this.name + suffix, op, [x])
    }
    return this.draft.layer(this.where, this.name + suffix, { op: 'slice', axis, from, to, step }, [x])
  }

  /** @param axes in which order the file counts: 'hwc' channels last, 'chw' first, 'wch' of one taken for the other */
  flatten(x: Value, suffix = '', axes = this.layout === 'channels_last' ? 'hwc' : 'chw'): Value | undefined {
    if (x.shape.length === 1) return x
    if (x.rowsOf) return this.flatten(x.rowsOf, suffix)
    const flat = this.draft.flatten(this.where, this.name + suffix, x)
    // Values of two axes lie as they do in the file.
    const parts = x.shape.length === 3 ? partsOf(x.shape, axes) : undefined
    const isOwn = axes === (this.layout === 'channels_last' ? 'hwc' : 'chw')
    // In another order than the map's it does not go back to it.
    return flat && { ...flat, ...(isOwn ? {} : { flatOf: undefined }), ...(parts && { parts }) }
  }

  /** @param dims of the file's tensor, counted from 1 behind the batch: dimension i of the result is `dims[i]` */
  permuted(x: Value, dims: readonly number[]): Value | undefined {
    const given = this.inFile(x)
    const order = dims.map((dim) => dim - 1)
    const made = given && this.moved(given, order, '/permuted')
    return this.fromFile(made, made?.shape ?? [])
  }

  /** Sizes without the batch, channels last; -1 takes what is left. */
  reshape(x: Value, target: readonly number[]): Value | undefined {
    const isLast = this.layout === 'channels_last'
    const inFile = (shape: Shape) => (shape.length === 3 && isLast ? [shape[1], shape[2], shape[0]] : shape)
    const count = x.shape.reduce((product, size) => product * size, 1)
    const open = target.indexOf(-1)
    const rest = target.reduce((product, size, i) => (i === open ? product : product * size), 1)
    const dims = target.map((size, i) => (i === open ? count / rest : size))
    if (sameShape(dims, inFile(x.shape))) return x
    if (x.flatOf && sameShape(dims, inFile(x.flatOf.shape))) return x.flatOf
    if (dims.length === 1 && dims[0] === count) return this.flatten(x)
    if (dims.length > 6 || dims.reduce((product, size) => product * size, 1) !== count) {
      return this.fault(
        `expected a shape of the ${count} elements of ${formatShape(inFile(x.shape))}, got ${formatShape(target)}`,
      )
    }
    const map = x.rowsOf ?? x.flatOf ?? x
    if (isLast && map.shape.length === 3 && dims.at(-1) === map.shape[0]) {
      // The pixels stay whole.
      if (dims.length === 2) return this.rows(map)
      if (dims.length === 3) return this.shaped(map, [dims[2], dims[0], dims[1]], '')
    }
    return this.fromFile(this.inFile(x), dims)
  }

  /** A network output in the file's order; a map stays channels first, with a note. */
  output(name: string, x: Value): Value | undefined {
    if (x.shape.length !== 3) return this.inFile(x)
    if (x.shape[1] * x.shape[2] > 1 && this.layout === 'channels_last') {
      this.draft.notes.push(`output ${quote(name)}: its elements are ordered channels first, not channels last`)
    }
    return x
  }
}
