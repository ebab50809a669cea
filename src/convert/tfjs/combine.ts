// TensorFlow's arithmetic as layers: values with each other and with constants, whose sizes of 1 broadcast.
import type { LayerOp } from '../../model/layers/layers.js'
import { elementCount, formatShape, type Shape, sameShape } from '../../model/shape.js'
import type { Bounds, DraftTensor, Value } from '../arch-draft.js'
import { TfArranger } from './arrange.js'
import { inOrder, joinedParts, orderOf, sameOrder } from './layout.js'

/** No float32 is larger. */
const LARGEST = 3.4028234663852886e38

/** Every pixel alone. */
export const pixelwise = (cout: number): LayerOp => {
  const one = [1, 1] as const
  return { op: 'conv2d', cout, kernel: one, stride: one, pad: [0, 0, 0, 0], dilation: one, groups: 1, bias: false }
}

/** Whether the same number meets every element of rows, so that it need not be known which axis is which. */
const isEven = ({ shape, rowsOf }: Value, { data }: DraftTensor): boolean =>
  shape.length === 2 && !rowsOf && data.every((v) => v === data[0])

/** Combines values. Every method reports its faults and then returns undefined. */
export class TfCombiner extends TfArranger {
  /** One number per element of the last axis. */
  bias(given: Value, bias: DraftTensor): Value | undefined {
    if (isEven(given, bias)) return this.affine(given, 1, bias.data[0])
    return this.onMap(given, (x) => {
      const [first] = bias.data
      if (this.isPlain(x) && bias.data.every((v) => v === first)) return this.affine(x, 1, first)
      const made = this.draft.bias(this.where, this.name, x, inOrder(this.draft, bias, x))
      return made && x.parts ? { ...made, parts: x.parts } : made
    })
  }

  /** One factor per element of the last axis. */
  scale(given: Value, weight: DraftTensor, suffix = ''): Value | undefined {
    if (isEven(given, weight)) return this.affine(given, weight.data[0], 0, suffix)
    return this.onMap(given, (x) => {
      const [first] = weight.data
      if (this.isPlain(x) && weight.data.every((v) => v === first)) return this.affine(x, first, 0, suffix)
      return this.layer({ op: 'channelScale' }, [x], { weight: inOrder(this.draft, weight, x) }, suffix)
    })
  }

  /** factor · x + offset. */
  affine(given: Value, factor: number, offset: number, suffix = ''): Value | undefined {
    const x = given.rowsOf ?? given
    const made = this.#affine(x, factor, offset, suffix)
    return made && given.rowsOf ? this.rows(made, suffix) : made
  }

  #affine(x: Value, factor: number, offset: number, suffix: string): Value | undefined {
    if (this.isPlain(x)) return this.layer({ op: 'affine', factor, offset }, [x], {}, suffix)
    const of = (value: number) => this.draft.constant(x.shape[0], value, String(value))
    if (offset === 0) return this.layer({ op: 'channelScale' }, [x], { weight: of(factor) }, suffix)
    const tensors = { weight: of(factor), bias: of(offset), running_mean: of(0), running_var: of(1) }
    return this.layer({ op: 'batchNorm', eps: 0 }, [x], tensors, suffix)
  }

  negative(x: Value, suffix = '/negative'): Value | undefined {
    return this.affine(x, -1, 0, suffix)
  }

  /** At least `low`, or at most `high`; one of a value bounded on the other side before is one clip. */
  bounded(x: Value, { low, high }: { readonly low?: number; readonly high?: number }): Value | undefined {
    const before = this.draft.bounds.get(x.id)
    const [min, max] = [low ?? before?.low, high ?? before?.high]
    if (before && min !== undefined && max !== undefined && min < max && (low ?? before.low) !== undefined) {
      const isOwn = low === undefined ? before.high === undefined : before.low === undefined
      if (isOwn)
        return this.remember(this.layer({ op: 'clip', min, max }, [before.x]), { x: before.x, low: min, high: max })
    }
    if (low === 0) return this.remember(this.layer({ op: 'relu' }, [x]), { x, low })
    if (this.isPlain(x)) return this.layer({ op: 'clip', min: low ?? -LARGEST, max: high ?? LARGEST }, [x])
    const [sign, bound] = low === undefined ? [-1, high!] : [1, low]
    const shifted = this.affine(x, sign, -sign * bound, '/shift')
    const cut = shifted && this.layer({ op: 'relu' }, [shifted], {}, '/relu')
    return cut && this.remember(this.affine(cut, sign, bound), { x, low, high })
  }

  protected remember(made: Value | undefined, bounds: Bounds): Value | undefined {
    if (made) this.draft.bounds.set(made.id, bounds)
    return made
  }

  /** `slopes` of a map: one per channel, or one in all; of a vector: one per element. */
  prelu(given: Value, slopes: DraftTensor, suffix = ''): Value | undefined {
    return this.onMap(given, (x) => {
      const [channels] = x.shape
      const { shape, data, from } = slopes
      const isLast = this.layout === 'channels_last' || x.shape.length === 1
      const others = isLast ? shape.slice(0, -1) : shape.slice(1)
      if (!others.every((size) => size === 1) || (data.length !== 1 && data.length !== channels)) {
        const map = isLast ? `[1,1,${channels}]` : `[${channels},1,1]`
        const expected = x.shape.length === 3 ? `${map}, the same at every pixel` : `[${channels}]`
        return this.fault(`tensor ${from}: expected slopes ${expected}, got ${formatShape(shape)}`)
      }
      const all =
        data.length === channels ? { ...slopes, shape: [channels] } : this.draft.constant(channels, data[0], from)
      return this.layer({ op: 'prelu' }, [x], { weight: inOrder(this.draft, all, x) }, suffix)
    })
  }

  /** The product of two values, sizes of 1 broadcast. */
  multiply(a: Value, b: Value, suffix = ''): Value | undefined {
    const inputs = this.#ranked([a, b], suffix)
    return inputs && this.layer({ op: 'multiply' }, inputs, {}, suffix)
  }

  /** The sum of values, sizes of 1 broadcast. */
  add(given: readonly Value[], suffix = ''): Value | undefined {
    if (given.length === 1) return given[0]
    const inputs = this.#ranked(given, suffix)
    if (!inputs) return undefined
    const shape = inputs[0].shape.map((_, axis) => Math.max(...inputs.map((x) => x.shape[axis])))
    const full = inputs.find((x) => sameShape(x.shape, shape))
    // Where none has all sizes, the add reports it.
    const spread = inputs.map((x, i) => (full ? this.#spread(x, full.shape, full, `${suffix}/input${i}`) : x))
    if (spread.some((value) => value === undefined)) return undefined
    return this.layer({ op: 'add' }, spread as Value[], {}, suffix)
  }

  /** Of two values: max(a, b) is a + relu(b - a), min(a, b) is a - relu(a - b). */
  extreme(kind: 'max' | 'min', a: Value, b: Value, suffix = ''): Value | undefined {
    const [more, less] = kind === 'max' ? [b, a] : [a, b]
    const minus = this.negative(less, `${suffix}/negative`)
    const difference = minus && this.add([more, minus], `${suffix}/difference`)
    const cut = difference && this.layer({ op: 'relu' }, [difference], {}, `${suffix}/relu`)
    const change = cut && (kind === 'max' ? cut : this.negative(cut, `${suffix}/change`))
    return change && this.add([a, change], suffix)
  }

  /** Values of as many axes each, as NumPy counts them: those that are missing come in front and have a size of 1. */
  #ranked(given: readonly Value[], suffix: string): readonly Value[] | undefined {
    const inputs = this.#inOneOrder(given)
    if (!inputs) return undefined
    const rank = Math.max(...inputs.map(({ shape }) => shape.length))
    const ranked = inputs.map((given, i) => {
      const x = given.parts && rank > 1 ? this.inFile(given, `${suffix}/input${i}`) : given
      if (!x) return undefined
      const front = Array<number>(rank - x.shape.length).fill(1)
      // A vector meets the last axis of a map, which holds its channels.
      const isPixel = rank === 3 && x.shape.length === 1 && this.layout === 'channels_last'
      const name = `${suffix}/input${i}`
      // Of two axes, they are the map's last ones in the file.
      if (rank === 3 && x.shape.length === 2) return this.fromFile(x, [1, ...x.shape], name)
      return this.shaped(x, isPixel ? [...x.shape, 1, 1] : [...front, ...x.shape], name)
    })
    return ranked.some((value) => value === undefined) ? undefined : (ranked as Value[])
  }

  /** A value with sizes of 1 grown to others, if need be with the help of a value that has them. */
  #spread(x: Value, shape: Shape, full: Value | undefined, suffix: string): Value | undefined {
    if (sameShape(x.shape, shape)) return x
    const [c, ...side] = shape
    if (side.length === 2) {
      if (sameShape(x.shape, [c, 1, 1]))
        return this.layer({ op: 'resize', size: [side[0], side[1]], mode: 'broadcast' }, [x], {}, suffix)
      if (sameShape(x.shape, [1, ...side])) {
        const weight = { ...this.draft.constant(c, 1, 'ones'), shape: [c, 1, 1, 1] }
        return this.layer(pixelwise(c), [x], { weight }, suffix)
      }
    }
    if (side.length === 0) {
      const weight = { ...this.draft.constant(c, 1, 'ones'), shape: [c, 1] }
      return this.layer({ op: 'linear', cout: c, bias: false }, [x], { weight }, suffix)
    }
    const ones = full && this.affine(full, 0, 1, `${suffix}/ones`)
    return ones && this.layer({ op: 'multiply' }, [ones, x], {}, suffix)
  }

  /** Vectors in the order of the flattened map among them: TensorFlow counts that one channels last. */
  #inOneOrder(values: readonly Value[]): readonly Value[] | undefined {
    const host = values.find(({ parts }) => parts) ?? values[0]
    const ordered = values.map((value, i) => {
      if (sameOrder(value, host) || value.shape.length !== 1 || value.shape[0] !== host.shape[0]) return value
      const order = orderOf(this.draft, value, host)
      const made = this.draft.reordered(this.where, `${this.name}/order${i}`, value, order)
      return made && { ...made, parts: host.parts }
    })
    return ordered.some((value) => value === undefined) ? undefined : (ordered as Value[])
  }

  /** @param dim axis of the file's tensor, batch included; the last one, of vectors and of the channels of maps, if none */
  concat(inputs: readonly Value[], dim?: number): Value | undefined {
    const axis = dim === undefined ? 0 : this.axisOf(inputs[0], dim)
    if (axis !== 0 || inputs[0].shape.length === 2) {
      return this.draft.layer(this.where, this.name, { op: 'concat', axis }, inputs)
    }
    const parts = joinedParts(inputs)
    if (parts === null) return this.fault('the vector has too many parts; the file is damaged')
    const made = this.draft.layer(this.where, this.name, { op: 'concat', axis: 0 }, inputs)
    return made && (parts ? { ...made, parts } : made)
  }

  /**
   * A value and a constant that broadcasts to it: one number per element of the last axis where it has as many, else one
   * for every element.
   * @param dims sizes of the value in the file, without the batch
   * @param use combines them; the numbers are in the file's order
   */
  combined(
    x: Value,
    dims: Shape,
    constant: DraftTensor,
    use: (x: Value, numbers: DraftTensor) => Value | undefined,
  ): Value | undefined {
    const { shape, data, from } = constant
    const [size, last] = [dims[dims.length - 1], shape[shape.length - 1] ?? 1]
    if (size === 1 && last > 1 && dims.length <= 3) {
      // The constant has more channels than the value's one.
      const grown = this.onMap(x, (map) => this.#spread(map, map.shape.with(0, last), undefined, '/channels'))
      return grown && this.combined(grown, dims.with(-1, last), constant, use)
    }
    const sizes = dims.map((_, axis) => shape[axis - dims.length + shape.length] ?? 1)
    const others = shape.slice(0, Math.max(shape.length - dims.length, 0))
    if (!sizes.every((size, axis) => size === 1 || size === dims[axis]) || others.some((size) => size !== 1)) {
      const expected = `expected one number, or sizes that broadcast to ${formatShape(dims)}`
      return this.fault(`tensor ${from}: ${expected}, got ${formatShape(shape)}`)
    }
    const map = x.rowsOf ?? x
    if (data.length === 1) {
      const made = use(map, this.draft.constant(map.shape[0], data[0], from))
      return made && x.rowsOf ? this.rows(made) : made
    }
    // Rows of no map take one number per element: to turn them for one per channel is no private step.
    if (data.length === size && last === size && (x.shape.length === 1 || map.shape.length === 3))
      return this.onMap(x, (of) => use(of, { shape: [size], data, from }))
    const flat = this.flatten(map, '/flat')
    if (!flat) return undefined
    const made = use(flat, this.#perElement(constant, sizes, dims))
    const back = made && this.shaped({ id: made.id, shape: made.shape }, map.shape, '/back')
    return back && x.rowsOf ? this.rows(back) : back
  }

  #perElement({ data, from }: DraftTensor, sizes: Shape, dims: Shape): DraftTensor {
    const count = elementCount(dims)
    const out = this.draft.floats(count)
    const at = dims.map(() => 0)
    const steps = sizes.map((size, axis) => (size === 1 ? 0 : elementCount(sizes.slice(axis + 1))))
    for (let i = 0, place = 0; i < count; i++) {
      out[i] = data[place]
      for (let axis = dims.length - 1; axis >= 0; axis--) {
        place += steps[axis]
        if (++at[axis] < dims[axis]) break
        place -= steps[axis] * dims[axis]
        at[axis] = 0
      }
    }
    return { shape: [count], data: out, from }
  }
}
