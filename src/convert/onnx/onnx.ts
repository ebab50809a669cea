// ONNX to `arch/1`: the graph becomes layers, its initializers become tensors.
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import { formatShape, type Shape } from '../../model/shape.js'
import { ArchDraft, type ConvertedNetwork, plainBytes, type Value } from '../arch-draft.js'
import { computingOrder, cycleWords } from '../graph-order.js'
import * as constants from './constants.js'
import * as layers from './layers.js'
import { type Known, OnnxNodeReader, type OnnxRead, type OnnxScope } from './node.js'
import { nodePath, type OnnxModel, type OnnxValueInfo, readOnnxModel } from './proto.js'
import * as shapes from './shapes.js'
import { decodeTensor, FLOAT_TYPES } from './tensor.js'
import * as windows from './windows.js'

/** What the file leaves open. */
export interface OnnxOptions {
  /** File name, for messages. */
  readonly source?: string
  /** Name of the network; the graph's name by default. */
  readonly name?: string
  /** Shape of every input without the batch, [c,h,w] or [n]; needed where the file leaves a size open. */
  readonly inputShape?: Shape
}

const READERS: ReadonlyMap<string, OnnxRead> = new Map(
  Object.entries({
    Add: layers.add,
    AveragePool: windows.averagePool,
    BatchNormalization: layers.batchNormalization,
    Cast: layers.cast,
    Clip: layers.clip,
    Concat: constants.concat,
    Constant: constants.constant,
    Conv: windows.conv,
    Div: layers.divide,
    Dropout: layers.same,
    Flatten: shapes.flatten,
    Gather: constants.gather,
    Gemm: layers.gemm,
    GlobalAveragePool: windows.globalAveragePool,
    GlobalMaxPool: windows.globalMaxPool,
    Identity: layers.same,
    LeakyRelu: layers.leakyRelu,
    LogSoftmax: layers.softmax,
    MatMul: layers.matMul,
    MaxPool: windows.maxPool,
    Mul: layers.multiply,
    PRelu: layers.prelu,
    Pad: shapes.pad,
    ReduceMean: shapes.reduceMean,
    Relu: layers.relu,
    Reshape: shapes.reshape,
    Resize: shapes.resize,
    Shape: constants.shape,
    Slice: constants.slice,
    Softmax: layers.softmax,
    Squeeze: shapes.squeeze,
    Sub: layers.subtract,
    Sum: layers.add,
    Transpose: constants.transpose,
    Unsqueeze: shapes.unsqueeze,
    Upsample: shapes.resize,
  }),
)

/**
 * Reads a float ONNX model of one image network. Preprocessing and labels are not in such a file: the input is taken
 * as it comes, and there are no labels.
 * @param file a ModelProto with all of its tensors inside
 * @throws RingfenceError UNSUPPORTED listing every node whose op `arch/1` cannot say; BAD_FILE with every other problem
 */
export function convertOnnx(file: Uint8Array, options: OnnxOptions = {}): ConvertedNetwork {
  const source = options.source ?? 'model.onnx'
  const model = readOnnxModel(plainBytes(file), source)
  const draft = new ArchDraft(source, file.byteLength)
  const producers = producersOf(model, draft)
  const order = orderOf(model, producers, draft)
  requireKnownOps(model, order, source)
  const graph = new GraphScope(model, draft, options.inputShape)
  for (const index of order) graph.run(index)
  const outputs = graph.outputs()
  draft.noteUnused('graph.initializer', graph.unread)
  return draft.finish(options.name ?? model.name, outputs)
}

/** Index of the node that makes each name. */
function producersOf(model: OnnxModel, draft: ArchDraft): Map<string, number> {
  const producers = new Map<string, number>()
  for (const [index, node] of model.nodes.entries()) {
    for (const name of node.outputs) {
      if (name === '') continue
      if (producers.has(name)) draft.problems.push(`${nodePath(index, node)}: output ${quote(name)} has two producers`)
      producers.set(name, index)
    }
  }
  return producers
}

function orderOf(model: OnnxModel, producers: ReadonlyMap<string, number>, draft: ArchDraft): readonly number[] {
  const sources = (names: readonly string[]) =>
    names.map((name) => producers.get(name)).filter((index) => index !== undefined)
  const inputs = model.nodes.map((node) => sources(node.inputs))
  const { order, cycle } = computingOrder(inputs, sources(model.outputs.map(({ name }) => name)))
  if (cycle) {
    const names = cycle.map((index) => quote(model.nodes[index].name || model.nodes[index].outputs[0]))
    draft.problems.push(`graph: expected no cycle, got ${cycleWords(names)}`)
  }
  draft.throwIfAny()
  return order
}

function requireKnownOps(model: OnnxModel, order: readonly number[], source: string): void {
  const problems = order
    .filter((index) => {
      const { op, domain } = model.nodes[index]
      return (domain !== '' && domain !== 'ai.onnx') || !READERS.has(op)
    })
    .map((index) => {
      const { domain } = model.nodes[index]
      return `${nodePath(index, model.nodes[index])}${domain === '' ? '' : ` of operator set ${quote(domain)}`}`
    })
  if (problems.length === 0) return
  const text = `${source}: ${problems.length === 1 ? 'a node has' : `${problems.length} nodes have`}`
  throw new RingfenceError('UNSUPPORTED', `${text} an op that cannot be converted:`, problems)
}

class GraphScope implements OnnxScope {
  readonly #known = new Map<string, Known | 'broken'>()
  readonly #initializers: ReadonlyMap<string, number>
  readonly #read = new Set<string>()
  readonly #ends: ReadonlySet<string>
  readonly opset: number
  batch = 1

  constructor(
    readonly model: OnnxModel,
    readonly draft: ArchDraft,
    inputShape: Shape | undefined,
  ) {
    this.opset = model.opset
    this.#initializers = new Map(model.initializers.map(({ name }, i) => [name, i]))
    for (const { inputs } of model.nodes) for (const name of inputs) this.#read.add(name)
    this.#ends = new Set(model.outputs.map(({ name }) => name))
    if (model.sparseInitializers > 0) draft.problems.push('graph.sparse_initializer: expected dense tensors only')
    for (const [i, info] of model.inputs.entries()) {
      if (!this.#initializers.has(info.name)) this.#known.set(info.name, this.#input(info, i, inputShape) ?? 'broken')
    }
  }

  #input(info: OnnxValueInfo, index: number, given: Shape | undefined): Known | undefined {
    const where = `graph.input[${index}] ${quote(info.name)}`
    const fault = (text: string) => {
      this.draft.problems.push(`${where}: ${text}`)
      return undefined
    }
    const { dims, type } = info
    if (type !== 0 && !FLOAT_TYPES.has(type)) return fault(`expected float elements, got type ${type}`)
    if (dims && dims.length !== 2 && dims.length !== 4) {
      return fault(`expected [batch,channels,height,width] or [batch,n], got ${quote(dims)}`)
    }
    if (dims && typeof dims[0] === 'number' && dims[0] >= 1 && dims[0] < 2 ** 24) this.batch = dims[0]
    const shape = given ?? dims?.slice(1)
    const fits = shape?.every(
      (size) => Number.isSafeInteger(size) && (size as number) >= 1 && (size as number) < 2 ** 28,
    )
    if (!shape || !fits || (shape.length !== 1 && shape.length !== 3) || (dims && shape.length !== dims.length - 1)) {
      return fault(`expected known sizes of 1 to 3 axes after the batch, got ${quote(dims)}; give the input's shape`)
    }
    return { value: this.draft.input(info.name, shape as Shape) }
  }

  find(name: string): Known | 'broken' | undefined {
    const known = this.#known.get(name)
    const index = this.#initializers.get(name)
    if (known !== undefined || index === undefined) return known
    const where = `graph.initializer[${index}] ${quote(name)}`
    const claim = (elements: number) => this.draft.claim(elements)
    const constant = decodeTensor(this.model.initializers[index], where, claim, (p) => this.draft.problems.push(p))
    const made = constant ? { constant } : 'broken'
    this.#known.set(name, made)
    return made
  }

  /** Names of the initializers that no converted node asked for. */
  get unread(): string[] {
    return [...this.#initializers.keys()].filter((name) => !this.#known.has(name))
  }

  endsAt(name: string): boolean {
    return this.#ends.has(name) && !this.#read.has(name)
  }

  run(index: number): void {
    const node = this.model.nodes[index]
    const reader = new OnnxNodeReader(node, nodePath(index, node), this.draft, this)
    const made = READERS.get(node.op)!(reader)
    for (const [i, name] of node.outputs.entries()) {
      if (name !== '' && (i === 0 || made === undefined)) this.#known.set(name, made ?? 'broken')
    }
  }

  /** Values of the graph's outputs by their names. */
  outputs(): (readonly [string, Value])[] {
    const outputs: (readonly [string, Value])[] = []
    for (const [i, { name }] of this.model.outputs.entries()) {
      const known = this.find(name)
      if (known && known !== 'broken' && 'value' in known) outputs.push([name, known.value])
      else if (known !== 'broken') {
        const got = known ? `a constant ${formatShape(known.constant.shape)}` : 'a name that no node makes'
        this.draft.problems.push(`graph.output[${i}] ${quote(name)}: expected a computed value, got ${got}`)
      }
    }
    if (this.model.outputs.length === 0) this.draft.problems.push('graph.output: expected at least one, got none')
    return outputs
  }
}
