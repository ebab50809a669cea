// An explicit `arch/1` file and its tensors while a converter writes them: ids, shapes and budgets are kept here, so
// that a converter of a foreign format only says which layer stands where.
import { RingfenceError } from '../errors.js'
import { parseArchitecture } from '../model/architecture.js'
import { type Json, quote } from '../model/json/fields.js'
import { summary } from '../model/json/file.js'
import type { Conv2d, Layer, LayerOp, Linear } from '../model/layers/layers.js'
import { outputShape } from '../model/layers/shapes.js'
import { parametersOf, type TensorName } from '../model/parameters.js'
import type { Tensor } from '../model/safetensors.js'
import { formatShape, type Shape, sameShape } from '../model/shape.js'
import { isPlainOnly } from '../model/tail/split.js'
import { nameHardSwishes } from './hard-swish.js'
import { Budget } from './weights/budget.js'

/** What a converter returns; `parseArchitecture(arch)` and `bindWeights(…, tensors)` take it. */
export interface ConvertedNetwork {
  /** The explicit form of `arch/1`, weights in PyTorch's layout, named `<layer id>.<tensor>`. */
  readonly arch: Json
  /** Row-major float32 in PyTorch's layout; some are views of the source file. */
  readonly tensors: Map<string, Tensor>
  /** What a reader should know: layers that were left out, orders that changed. */
  readonly notes: readonly string[]
}

/** A value of the foreign graph that a layer (or an input) of the draft computes. */
export interface Value {
  readonly id: string
  /** Without the batch, channels first. */
  readonly shape: Shape
  /** The map that was flattened into this vector, so that a reshape back to it costs nothing. */
  readonly flatOf?: Value
  /** Of a vector whose source counts its elements in another order: its parts one after another. */
  readonly parts?: readonly VectorPart[]
  /** Of rows [n,channels]: the map whose pixels they are, row by row, so that what works on channels takes that one. */
  readonly rowsOf?: Value
}

/** The axes along which the source counts, slowest first: their sizes, and their steps in the vector here. */
export type VectorPart = readonly (readonly [size: number, step: number])[]

/** What a bounded value was made of. */
export interface Bounds {
  readonly x: Value
  readonly low?: number
  readonly high?: number
}

/** A tensor of the foreign file, already in PyTorch's layout. */
export interface DraftTensor {
  readonly shape: Shape
  readonly data: Float32Array
  /** Its name in the foreign file, for messages. */
  readonly from: string
}

export type DraftTensors = Readonly<Partial<Record<TensorName, DraftTensor>>>

interface DraftLayer {
  id: string
  op: LayerOp
  in: readonly string[]
  readonly inShapes: readonly Shape[]
  readonly out: Shape
  tensors: DraftTensors
  /** A batch norm that only adds a bias, which an affine layer right before it can take over. */
  readonly addsBias: boolean
}

/** The same bytes without what a subclass makes of them: Node's Buffer copies nothing in its `slice`. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Whether the layer's weights decide in which order its outputs come. */
function hasOwnOrder(op: LayerOp): op is Conv2d | Linear {
  return op.op === 'linear' || (op.op === 'conv2d' && op.groups === 1)
}

function mapTensors(tensors: DraftTensors, change: (tensor: DraftTensor) => DraftTensor): DraftTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]))
}

/** More problems than this are counted, not listed. */
const MOST_PROBLEMS = 500

export class ArchDraft {
  readonly problems: string[] = []
  /** UNSUPPORTED once something is refused that the file says well. */
  code: 'BAD_FILE' | 'UNSUPPORTED' = 'BAD_FILE'
  readonly notes: string[] = []
  /** What helps against the problems, told behind them. */
  hint: string | undefined
  /** Values that are bounded, by id: a second bound joins the first. */
  readonly bounds = new Map<string, Bounds>()
  readonly #inputs: { name: string; shape: Shape; layout?: 'hwc' }[] = []
  readonly #layers: DraftLayer[] = []
  readonly #ids = new Set<string>()
  readonly #plain = new Set<string>()
  readonly #budget: Budget

  /** @param sourceBytes size of the foreign file, which bounds the memory spent on it */
  constructor(
    readonly source: string,
    sourceBytes: number,
  ) {
    this.#budget = new Budget(sourceBytes, source)
  }

  /** Zeros. @throws RingfenceError as `claim` */
  floats(count: number): Float32Array {
    this.claim(count)
    return new Float32Array(count)
  }

  /** Counts elements about to be made. @throws RingfenceError BAD_FILE for more than an honest file asks for */
  claim(elements: number): void {
    this.#budget.spend(4 * elements, 'its tensors')
  }

  /** Whether a value is made, at some step, by a layer that no private step computes. */
  isPlain({ id }: Value): boolean {
    return this.#plain.has(id)
  }

  constant(count: number, value: number, from: string): DraftTensor {
    return { shape: [count], data: this.floats(count).fill(value), from }
  }

  /** @param layout 'hwc' where its values are given channels last */
  input(name: string, shape: Shape, layout?: 'hwc'): Value {
    const id = this.#unique(name)
    this.#inputs.push({ name: id, shape, ...(layout && { layout }) })
    return { id, shape }
  }

  /**
   * Adds a layer after checking its shapes and tensors.
   * @param where path of the foreign node, for messages
   * @returns its output, or undefined after reporting why there is none
   */
  layer(
    where: string,
    name: string,
    op: LayerOp,
    inputs: readonly Value[],
    tensors: DraftTensors = {},
    addsBias = false,
  ): Value | undefined {
    const inShapes = inputs.map(({ shape }) => shape)
    const out = outputShape(op, inShapes, (problem) => this.problems.push(`${where}: ${problem}`))
    if (!out) return undefined
    const layer: DraftLayer = { id: '', op, in: inputs.map(({ id }) => id), inShapes, out, tensors, addsBias }
    if (!this.#tensorsFit(where, layer)) return undefined
    const id = this.#unique(name)
    this.#layers.push({ ...layer, id })
    const made = { ...layer, id, ...op, tensors: {} } as Layer
    if (isPlainOnly(made) || layer.in.some((from) => this.#plain.has(from))) this.#plain.add(id)
    return { id, shape: out }
  }

  /** Adds one number per channel: the bias of the affine layer before it where nobody else reads that layer. */
  bias(where: string, name: string, value: Value, bias: DraftTensor): Value | undefined {
    const [channels] = value.shape
    const tensors = {
      weight: this.constant(channels, 1, 'ones'),
      bias,
      running_mean: this.constant(channels, 0, 'zeros'),
      running_var: this.constant(channels, 1, 'ones'),
    }
    return this.layer(where, name, { op: 'batchNorm', eps: 0 }, [value], tensors, true)
  }

  flatten(where: string, name: string, value: Value): Value | undefined {
    if (value.shape.length === 1) return value
    const flat = this.layer(where, name, { op: 'flatten' }, [value])
    return flat && { ...flat, flatOf: value }
  }

  /** Channels of a map, or elements of a vector, in another order: its element i is the value's `order[i]`. */
  reordered(where: string, name: string, value: Value, order: Int32Array): Value | undefined {
    const maker = this.#layers.find(({ id }) => id === value.id)
    if (maker && hasOwnOrder(maker.op)) {
      const tensors = mapTensors(maker.tensors, (tensor) => this.#rows(tensor, order))
      const input = { id: maker.in[0], shape: maker.inShapes[0] }
      return this.layer(where, maker.id, { ...maker.op, cout: order.length }, [input], tensors)
    }
    const [count] = value.shape
    const data = this.floats(order.length * count)
    for (const [to, from] of order.entries()) data[to * count + from] = 1
    const isMap = value.shape.length === 3
    const weight = { shape: isMap ? [order.length, count, 1, 1] : [order.length, count], data, from: 'an order' }
    const one = [1, 1] as const
    const op = isMap
      ? ({ op: 'conv2d', kernel: one, stride: one, pad: [0, 0, 0, 0], dilation: one, groups: 1 } as const)
      : ({ op: 'linear' } as const)
    return this.layer(where, name, { ...op, cout: order.length, bias: false } as LayerOp, [value], { weight })
  }

  /** The rows of a tensor in another order. */
  #rows({ shape, data, from }: DraftTensor, order: Int32Array): DraftTensor {
    const size = data.length / shape[0]
    const out = this.floats(order.length * size)
    for (const [to, row] of order.entries()) out.set(data.subarray(row * size, (row + 1) * size), to * size)
    return { shape: [order.length, ...shape.slice(1)], data: out, from }
  }

  /** Notes tensors of the file that no layer asked for. */
  noteUnused(where: string, names: readonly string[]): void {
    const more = names.length > 20 ? ` and ${names.length - 20} more` : ''
    if (names.length > 0) this.notes.push(`${where}: not used: ${names.slice(0, 20).map(quote).join(', ')}${more}`)
  }

  #tensorsFit(where: string, layer: DraftLayer): boolean {
    const before = this.problems.length
    for (const { tensor, shape } of parametersOf({ ...layer, ...layer.op, tensors: {} } as Layer)) {
      const given = layer.tensors[tensor]
      const expected = `expected ${tensor} ${formatShape(shape)}`
      if (!given) this.problems.push(`${where}: ${expected}, found none`)
      else if (!sameShape(given.shape, shape)) {
        this.problems.push(`${where}: ${expected} (channels first), got ${formatShape(given.shape)} in ${given.from}`)
      }
    }
    return this.problems.length === before
  }

  #unique(name: string): string {
    let id = name || 'layer'
    for (let n = 1; this.#ids.has(id); n++) id = `${name || 'layer'}_${this.#ids.size + n}`
    this.#ids.add(id)
    return id
  }

  /** @throws RingfenceError with all problems found so far */
  throwIfAny(): void {
    if (this.problems.length > 0) {
      throw new RingfenceError(this.code, summary(this.source, this.problems.length), this.#listed())
    }
  }

  #listed(): string[] {
    const more = this.problems.length - MOST_PROBLEMS
    const listed = more > 0 ? [...this.problems.slice(0, MOST_PROBLEMS), `and ${more} more`] : this.problems
    return this.hint ? [...listed, this.hint] : listed
  }

  /**
   * The finished network, without the layers that no output needs.
   * @param outputs values under the names the foreign file gives them
   * @throws RingfenceError BAD_FILE, or UNSUPPORTED, with every problem
   */
  finish(name: string, outputs: readonly (readonly [string, Value])[]): ConvertedNetwork {
    const out = new Map<string, string>()
    const made = outputs.map(([output, value]) => {
      const key = quote([output, value.id])
      const id = out.get(key) ?? this.#asLayer(output, value, [...out.values()].includes(value.id))
      out.set(key, id)
      return id
    })
    this.throwIfAny()
    nameHardSwishes(this.#layers)
    const becomes = this.#fuseBiases(new Set(made))
    const ids = this.#named(
      outputs.map(([output]) => output),
      made.map((id) => becomes.get(id) ?? id),
    )
    const needed = this.#needed(ids)
    const layers: Json[] = []
    const tensors = new Map<string, Tensor>()
    for (const layer of this.#layers) {
      if (!needed.has(layer.id)) continue
      layers.push({ id: layer.id, ...layer.op, in: layer.in, out: layer.out })
      for (const [tensor, { shape, data }] of Object.entries(layer.tensors)) {
        tensors.set(`${layer.id}.${tensor}`, { shape, dtype: 'F32', data })
      }
    }
    const arch = {
      format: 'arch/1',
      name: name || 'converted',
      inputs: this.#inputs,
      outputs: [...new Set(ids)],
      layers,
    }
    parseArchitecture(arch, this.source)
    return { arch, tensors, notes: this.notes }
  }

  /** Outputs are called what the file calls them, where no other layer is. @returns their ids */
  #named(names: readonly string[], ids: readonly string[]): string[] {
    const renamed = new Map<string, string>()
    ids.forEach((id, i) => {
      if (names[i] === '' || this.#ids.has(names[i]) || renamed.has(id)) return
      renamed.set(id, names[i])
      this.#ids.add(names[i])
    })
    for (const layer of this.#layers) {
      layer.id = renamed.get(layer.id) ?? layer.id
      layer.in = layer.in.map((id) => renamed.get(id) ?? id)
    }
    return ids.map((id) => renamed.get(id) ?? id)
  }

  /** An output must be a layer of its own, so an input that is one, and a value that already goes out, get an identity. */
  #asLayer(output: string, value: Value, isOut: boolean): string {
    if (!isOut && !this.#inputs.some(({ name }) => name === value.id)) return value.id
    return this.layer(quote(output), output, { op: 'identity' }, [value])?.id ?? ''
  }

  #needed(outputs: readonly string[]): Set<string> {
    const needed = new Set(outputs)
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const layer = this.#layers[i]
      if (needed.has(layer.id)) for (const id of layer.in) needed.add(id)
    }
    return needed
  }

  /** @returns the ids of layers that are gone, and of the layers that took them over */
  #fuseBiases(outputs: ReadonlySet<string>): Map<string, string> {
    const needed = this.#needed([...outputs])
    const readers = new Map<string, number>()
    for (const layer of this.#layers) {
      if (needed.has(layer.id)) for (const id of layer.in) readers.set(id, (readers.get(id) ?? 0) + 1)
    }
    const byId = new Map(this.#layers.map((layer) => [layer.id, layer]))
    const becomes = new Map<string, string>()
    for (const layer of this.#layers) {
      layer.in = layer.in.map((id) => becomes.get(id) ?? id)
      const before = byId.get(layer.in[0])
      if (!layer.addsBias || layer.op.op !== 'batchNorm' || !before || readers.get(before.id) !== 1) continue
      if (outputs.has(before.id) || (before.op.op !== 'conv2d' && before.op.op !== 'linear') || before.op.bias) continue
      before.op = { ...before.op, bias: true }
      before.tensors = { ...before.tensors, bias: layer.tensors.bias }
      becomes.set(layer.id, before.id)
    }
    return becomes
  }
}
