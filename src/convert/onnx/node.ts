// What the reader of one ONNX node sees: its attributes, its inputs by what they are, and a place to report faults.
import { quote } from '../../model/json/fields.js'
import type { LayerOp, Pad, Pair } from '../../model/layers/layers.js'
import { elementCount, formatShape, type Shape, sameShape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, DraftTensors, Value } from '../arch-draft.js'
import { type AttributeKind, attributeFault, kindFault } from './attributes.js'
import { movedBlocks } from './blocks.js'
import type { OnnxAttribute, OnnxNode } from './proto.js'
import type { OnnxConstant } from './tensor.js'
import {
  channelOrder,
  dimsOf,
  flattenedView,
  placesAlongChannels,
  plainView,
  rankedView,
  resizedView,
  sameView,
  settlingSteps,
  type View,
  wholeAxis,
} from './view.js'

/** A computed value, and how the graph's tensor lies over it. */
export interface Seen {
  readonly value: Value
  readonly view: View
}

/** A value between two bounds, and what was bounded: a second bound joins the first. */
export interface Bounded {
  readonly x: Seen
  readonly low: number
  readonly high: number
}

/** What a name of the graph stands for: a computed value or elements known now. */
export type Known = Seen | { readonly constant: OnnxConstant }

/** √2 and its inverse of the error function's argument; of the two approximations by tanh and by sigmoid. */
const GELU_NUMBERS = [Math.SQRT2, Math.SQRT1_2, 0.044715, Math.sqrt(2 / Math.PI), 1.702]

/** What the names of the graph stand for so far. */
export interface OnnxScope {
  readonly opset: number
  /** Size of the batch dimension, for shapes that the graph computes; 1 when it is symbolic. */
  readonly batch: number
  readonly isBatchKnown: boolean
  /** `'broken'` after a fault that has been reported; undefined when nothing is known of the name. */
  find(name: string): Known | 'broken' | undefined
  /** Bounds of values by their ids. */
  readonly bounds: Map<string, Bounded>
  /** Rows and columns of minus infinity around a name's map, which its max pools take over. */
  readonly maxPoolPads: Map<string, Pad>
  /** The nodes that read a name. */
  readersOf(name: string): readonly OnnxNode[]
  /** Whether the name is an output of the graph, read by nodes or not. */
  isOutput(name: string): boolean
}

/** @returns what the node computes, one thing per output where it is a list, or undefined after reporting its faults */
export type OnnxRead = (node: OnnxNodeReader) => Known | readonly Known[] | undefined

export class OnnxNodeReader {
  failed = false
  /** Names of the attributes that the node's reader has looked at. */
  readonly #used = new Set<string>()
  /** Inputs likewise. */
  readonly #read = new Set<number>()

  constructor(
    readonly node: OnnxNode,
    /** Path in the file. */
    readonly where: string,
    readonly draft: ArchDraft,
    readonly scope: OnnxScope,
  ) {}

  /** Id of the layer that this node becomes. */
  get name(): string {
    return this.node.name || this.node.outputs[0] || this.node.op
  }

  fault(text: string): undefined {
    this.failed = true
    this.draft.problems.push(`${this.where}: ${text}`)
    return undefined
  }

  /** Reports something that the file says well and no network here can compute. */
  refuse(text: string): undefined {
    this.draft.code = 'UNSUPPORTED'
    return this.fault(text)
  }

  /** An attribute of one kind; one that no reader asks for must be at its default. */
  attribute<K extends AttributeKind>(name: string, kind: K): OnnxAttribute[K] | undefined {
    this.#used.add(name)
    const value = this.node.attributes.get(name)
    const fault = value && kindFault(value, kind)
    return fault === undefined ? value?.[kind] : this.fault(`${name}: ${fault}`)
  }

  /** Reports every attribute that was neither used nor at its default, and every input that was not used. */
  checkUsed(): void {
    for (const [name, value] of this.node.attributes) {
      const expected = this.#used.has(name) ? undefined : attributeFault(this.node.op, name, value)
      if (expected) this.fault(`${name}: ${expected}`)
    }
    for (const [index, name] of this.node.inputs.entries()) {
      if (name !== '' && !this.#read.has(index))
        this.fault(`input ${index} ${quote(name)}: an input that is not known here`)
    }
  }

  /** Sizes of an input of either kind. */
  dims(index: number): readonly number[] | undefined {
    const known = this.known(index)
    return known && ('constant' in known ? known.constant.shape : dimsOf(known.view))
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== ''
  }

  /** What input `index` is; undefined when it is left out or a fault before it has been reported. */
  known(index: number): Known | undefined {
    this.#read.add(index)
    const name = this.node.inputs[index] ?? ''
    if (name === '') return undefined
    const known = this.scope.find(name)
    if (known === 'broken') {
      this.failed = true
      return undefined
    }
    return known ?? this.fault(`input ${quote(name)}: found no tensor and no node output of that name`)
  }

  /** A required input that is computed, however it lies. */
  seen(index = 0): Seen | undefined {
    if (!this.has(index)) return this.fault(`expected an input ${index}, got none`)
    const known = this.known(index)
    if (known && 'constant' in known) {
      return this.fault(`input ${quote(this.node.inputs[index])}: expected a computed value, got a constant`)
    }
    return known
  }

  /** A required input that is computed, as [channels,height,width] or [n] in the graph's own order. */
  value(index = 0): Value | undefined {
    const seen = this.seen(index)
    return seen && this.plain(seen, this.node.inputs[index])
  }

  /** A value brought into the graph's order: channels by a convolution of zeros and ones where they were shuffled. */
  plain(seen: Seen, input: string): Value | undefined {
    const { batch } = this.scope
    const { value, view } = seen
    if (view.length === 2) {
      const flat = this.flat(seen)
      if (!flat || sameView(flat.view, plainView(flat.value.shape, batch))) return flat?.value
    } else if (value.shape.length === 3) {
      const order = channelOrder(view, value.shape, batch)
      if (order === null) return value
      if (order) return this.draft.reordered(this.where, `${this.name}.order`, value, order)
      const moved = movedBlocks(this.draft, this.where, this.name, value, view, batch)
      if (moved) return moved
    }
    return this.settled(seen, input)?.value
  }

  /**
   * A value whose elements lie in the graph's order under the graph's sizes: reshaped and transposed where they do not.
   * Its view has a dimension for each axis, behind the batch's where the graph has one.
   */
  settled(seen: Seen, input = this.node.inputs[0]): Seen | undefined {
    const steps = settlingSteps(seen.view, seen.value.shape, this.scope.batch)
    if (!steps) {
      const got = formatShape(dimsOf(seen.view))
      return this.fault(`input ${quote(input)}: expected the batch first and at most 6 axes behind it, got ${got}`)
    }
    let { value } = seen
    const apply = (op: LayerOp) => {
      const made = this.draft.layer(this.where, `${this.name}.order`, op, [value])
      if (made) value = made
      return made
    }
    const { refined, order, shape, view } = steps
    const moves = order.some((axis, i) => axis !== i)
    if (moves && !sameShape(refined, value.shape) && !apply({ op: 'reshape', shape: refined })) return undefined
    if (moves && !apply({ op: 'transpose', order })) return undefined
    const made = this.shaped(value, shape)
    return made && { value: made, view }
  }

  /** The same elements in their order under another shape. */
  shaped(value: Value, shape: Shape): Value | undefined {
    if (sameShape(shape, value.shape)) return value
    if (shape.length === 1) return this.draft.flatten(this.where, `${this.name}.flatten`, value)
    return this.draft.layer(this.where, `${this.name}.shape`, { op: 'reshape', shape }, [value])
  }

  /** A layer along one dimension of the graph's tensor, which stays as it is or becomes 1. */
  along(seen: Seen, dim: number, op: (axis: number) => LayerOp, suffix = ''): Seen | undefined {
    const whole = wholeAxis(seen.view, dim, seen.value.shape)
    const x = whole === undefined ? this.settled(seen) : seen
    if (!x) return undefined
    const axis = whole ?? dim - (x.view.length - x.value.shape.length)
    if (!(axis >= 0))
      return this.fault(`axis: expected one behind the batch, got ${dim} of ${formatShape(dimsOf(x.view))}`)
    const made = this.draft.layer(this.where, this.name + suffix, op(axis), [x.value])
    return made && { value: made, view: resizedView(x.view, x.value.shape, made.shape) }
  }

  /** A map as a vector, for [batch,n] tensors; its elements may stand in another order than the graph's. */
  flat({ value, view }: Seen): Seen | undefined {
    if (value.shape.length === 1) return { value, view }
    const flat = this.draft.flatten(this.where, `${this.name}.flatten`, value)
    return flat && { value: flat, view: flattenedView(view, value.shape) }
  }

  /** What a node makes in plain order. */
  made(value: Value | undefined): Seen | undefined {
    return value && { value, view: plainView(value.shape, this.scope.batch) }
  }

  /** A layer that keeps every element in its place. */
  kept({ value, view }: Seen, op: LayerOp, tensors: DraftTensors = {}, suffix = ''): Seen | undefined {
    const made = this.draft.layer(this.where, this.name + suffix, op, [value], tensors)
    return made && { value: made, view }
  }

  /** A layer that changes sizes of axes and moves none. */
  resized({ value, view }: Seen, op: LayerOp, suffix = ''): Seen | undefined {
    const made = this.draft.layer(this.where, this.name + suffix, op, [value])
    return made && { value: made, view: resizedView(view, value.shape, made.shape) }
  }

  keptAs({ view }: Seen, value: Value | undefined): Seen | undefined {
    return value && { value, view }
  }

  /** factor · x + offset. */
  affine(x: Seen, factor: number, offset: number, suffix = ''): Seen | undefined {
    if (this.draft.isPlain(x.value)) return this.kept(x, { op: 'affine', factor, offset }, {}, suffix)
    const [channels] = x.value.shape
    const of = (value: number) => this.draft.constant(channels, value, String(value))
    const tensors = { weight: of(factor), bias: of(offset), running_mean: of(0), running_var: of(1) }
    return this.kept(x, { op: 'batchNorm', eps: 0 }, tensors, suffix)
  }

  /**
   * The one number of a constant input that nobody has to hide: behind a layer that no private step computes a number is
   * public, and a tensor of the network would not be; so are the numbers that GELU is written with, everywhere.
   */
  publicNumber(index: number, { value }: Seen): number | undefined {
    const { floats, shape } = this.constant(index) ?? {}
    if (!floats || floats.length === 0 || shape!.length > 6 || !floats.every((x) => x === floats[0])) return undefined
    const isKnown = elementCount(shape!) === 1 && GELU_NUMBERS.some((x) => Math.abs(floats[0] - x) < 1e-6 * x)
    return isKnown || this.draft.isPlain(value) ? floats[0] : undefined
  }

  /** A constant input; undefined when it is left out. */
  constant(index: number): OnnxConstant | undefined {
    const known = this.known(index)
    if (known && 'value' in known) {
      return this.fault(`input ${quote(this.node.inputs[index])}: expected a constant tensor, got a computed value`)
    }
    return known?.constant
  }

  /** A constant float input, as a tensor of PyTorch's layout if it has that already. */
  floats(index: number, required = true): DraftTensor | undefined {
    if (!this.has(index)) return required ? this.fault(`expected a tensor as input ${index}, got none`) : undefined
    const constant = this.constant(index)
    if (!constant) return undefined
    const from = quote(constant.name || this.node.inputs[index])
    if (!constant.floats) return this.fault(`tensor ${from}: expected floats, got integers`)
    return { shape: constant.shape, data: constant.floats, from }
  }

  /** Integers of attribute `name`, or else of input `index`; undefined when there are neither. */
  integerList(name: string, index?: number): readonly number[] | undefined {
    const attribute = this.attribute(name, 'ints')
    if (attribute) return attribute
    const constant = index === undefined ? undefined : this.constant(index)
    if (!constant) return undefined
    return constant.integers ?? this.fault(`${name}: expected integers, got floats ${formatShape(constant.shape)}`)
  }

  /** A number of attribute `name`, or else of input `index`. */
  number(name: string, index: number | undefined, fallback: number): number {
    const attribute = this.attribute(name, 'float')
    if (attribute !== undefined) return attribute
    return index === undefined || !this.has(index) ? fallback : (this.oneNumber(index, `${name}: `) ?? fallback)
  }

  /** The number that a constant input holds, once or at every place. */
  oneNumber(index: number, what = ''): number | undefined {
    const constant = this.constant(index)
    if (!constant) return undefined
    const list: ArrayLike<number> = constant.floats ?? constant.integers ?? []
    if (list.length > 0 && Array.prototype.every.call(list, (x) => x === list[0])) return list[0]
    return this.fault(`${what}expected one number, got ${formatShape(constant.shape)}`)
  }

  isComputed(index: number): boolean {
    const known = this.scope.find(this.node.inputs[index])
    return known !== undefined && known !== 'broken' && 'value' in known
  }

  isConstant(index: number): boolean {
    const known = this.scope.find(this.node.inputs[index])
    return known !== undefined && known !== 'broken' && 'constant' in known
  }

  /** Which of two inputs is a constant. */
  constantSide(): 0 | 1 | undefined {
    if (this.node.inputs.length !== 2) return undefined
    return ([0, 1] as const).find((index) => this.isConstant(index))
  }

  /** An axis of a tensor, counted from its front. */
  axis(name: string, fallback: number, rank: number): number {
    const axis = this.integer(name, fallback)
    return axis < 0 ? axis + rank : axis
  }

  integer(name: string, fallback: number): number {
    return this.attribute(name, 'int') ?? fallback
  }

  text(name: string, fallback: string): string {
    return this.attribute(name, 'text') ?? fallback
  }

  /** Two sizes [vertical, horizontal]. */
  pair(name: string, fallback: Pair): Pair {
    const list = this.attribute(name, 'ints')
    if (!list) return fallback
    if (list.length === 2 && list.every((x) => Number.isSafeInteger(x) && x >= 1 && x < 2 ** 31)) {
      return [list[0], list[1]]
    }
    this.fault(`${name}: expected two integers >= 1, got ${quote(list)}`)
    return fallback
  }

  /**
   * A constant that broadcasts to a value, as one number per channel of it; of a flattened map, one per element.
   * @returns the value that it fits, and the numbers
   */
  perChannel(index: number, x: Seen, change: (x: number) => number = (x) => x) {
    const constant = this.floats(index)
    if (!constant) return undefined
    const fit = this.#fit(constant.shape, { ...x, view: rankedView(x.view, constant.shape.length) })
    if (!fit) {
      const expected = `one number, or one per channel of ${formatShape(dimsOf(x.view))}`
      return this.fault(`tensor ${constant.from}: expected ${expected}, got ${formatShape(constant.shape)}`)
    }
    const data = this.draft.floats(fit.places.length)
    for (let c = 0; c < data.length; c++) data[c] = change(constant.data[fit.places[c]])
    return { x: fit.x, numbers: { shape: [data.length], data, from: constant.from } }
  }

  #fit(dims: Shape, x: Seen): { readonly x: Seen; readonly places: Int32Array } | undefined {
    const places = placesAlongChannels(x.view, dims, x.value.shape[0])
    if (places) return { x, places }
    if (x.view.length !== 2 || x.value.shape.length === 1) return undefined
    const flat = this.flat(x)
    return flat && this.#fit(dims, flat)
  }
}
