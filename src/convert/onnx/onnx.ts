// ONNX to `arch/1`: the graph becomes layers, its initializers become tensors.
import { RingfenceError, throwIfAny } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import { summary } from '../../model/json/file.js'
import type { Pad } from '../../model/layers/layers.js'
import { formatShape, type Shape } from '../../model/shape.js'
import { ArchDraft, type ConvertedNetwork, plainBytes, type Value } from '../arch-draft.js'
import { computingOrder, cycleWords } from '../graph-order.js'
import { endingHint, type HintValue, noSuchOutput } from '../outputs.js'
import { stemOf } from '../weights/read.js'
import * as fold from './fold.js'
import { isChannelsLast } from './input-layout.js'
import { type Bounded, type Known, OnnxNodeReader, type OnnxScope } from './node.js'
import { nodePath, type OnnxModel, type OnnxNode, type OnnxValueInfo, readOnnxModel } from './proto.js'
import { READERS } from './readers.js'
import { withoutSoftplusGuards } from './softplus.js'
import { decodeTensor, FLOAT_TYPES } from './tensor.js'
import { plainView, transposedView } from './view.js'

/** What the file leaves open. */
export interface OnnxOptions {
  /** File name, for messages. */
  readonly source?: string
  /** Name of the network; by default the graph's, or the file's where the exporter gave none of its own. */
  readonly name?: string
  /** Shape of every input without the batch, [c,h,w] or [n]; needed where the file leaves a size open. */
  readonly inputShape?: Shape
  /** What the network gives, by the names of tensors or nodes; else the graph's outputs. */
  readonly outputs?: readonly string[]
  /** Files of tensors beside the model (external data), by the locations that `externalLocations` lists. */
  readonly externalData?: ReadonlyMap<string, Uint8Array>
}

/**
 * Reads a float ONNX model of one image network. Preprocessing and labels are not in such a file: the input is taken
 * as it comes, and there are no labels.
 * @param file a ModelProto; tensors outside of it are in `options.externalData`
 * @throws RingfenceError UNSUPPORTED listing every node whose op `arch/1` cannot say; BAD_FILE with every other problem
 */
export function convertOnnx(file: Uint8Array, options: OnnxOptions = {}): ConvertedNetwork {
  const source = options.source ?? 'model.onnx'
  const read = withoutSoftplusGuards(readOnnxModel(plainBytes(file), source))
  const model = options.outputs ? { ...read, outputs: chosenOutputs(read, options.outputs, source) } : read
  const files = new Map([...(options.externalData ?? [])].map(([name, bytes]) => [name, plainBytes(bytes)]))
  const draft = new ArchDraft(
    source,
    [...files.values()].reduce((sum, { byteLength }) => sum + byteLength, file.byteLength),
  )
  const producers = producersOf(model, draft)
  const order = orderOf(model, producers, draft)
  requireKnownOps(model, order, producers, source)
  const graph = new GraphScope(model, draft, options.inputShape, files)
  const failed = new Set(order.filter((index) => !graph.run(index)))
  if (failed.size > 0) draft.hint = hintFor(model, order, producers, (index) => !failed.has(index))
  const outputs = graph.outputs()
  draft.noteUnused('graph.initializer', graph.unread)
  return draft.finish(options.name ?? ownName(model.name, source), outputs)
}

/** Names that exporters give every graph. */
const NAMELESS: ReadonlySet<string> = new Set([
  '',
  'torch_jit',
  'torch-jit-export',
  'main_graph',
  'main',
  'tf2onnx',
  'graph',
])

/** The graph's name; that of the file where an exporter made it up. */
function ownName(graph: string, source: string): string {
  return NAMELESS.has(graph) ? stemOf(source) : graph
}

/** Tensors by their names, or the first of each node's. */
function chosenOutputs(model: OnnxModel, names: readonly string[], source: string): OnnxValueInfo[] {
  const problems: string[] = []
  const chosen = names.map((name): OnnxValueInfo => {
    const isTensor = model.nodes.some(({ outputs }) => outputs.includes(name))
    const node = isTensor ? undefined : model.nodes.find((each) => each.name === name)
    if (!isTensor && !node) {
      const known = model.nodes.flatMap(({ outputs }) => outputs).filter((output) => output !== '')
      problems.push(noSuchOutput(name, known))
    }
    return { name: node?.outputs[0] ?? name, type: 0, dims: undefined }
  })
  throwIfAny('BAD_INPUT', summary(source, problems.length), problems)
  return chosen
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

/** Ops whose constant inputs are what a network has learnt. */
const WEIGHS: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'BatchNormalization', 'PRelu'])

function requireKnownOps(
  model: OnnxModel,
  order: readonly number[],
  producers: ReadonlyMap<string, number>,
  source: string,
): void {
  const constants = constantNodes(model, order)
  const initializers = new Set(model.initializers.map(({ name }) => name))
  const isComputed = (name: string) => !initializers.has(name) && !constants.has(producers.get(name) ?? -1)
  /** Attention: nobody has the weights of such a product. */
  const isAttention = ({ op, inputs }: OnnxNode) => op === 'MatMul' && inputs.length === 2 && inputs.every(isComputed)
  const isKnown = (index: number) => {
    const { op, domain } = model.nodes[index]
    if (isAttention(model.nodes[index])) return false
    const isFolded = constants.has(index) && fold.foldOf(op) !== undefined
    return (domain === '' || domain === 'ai.onnx') && (READERS.has(op) || isFolded)
  }
  const problems = order
    .filter((index) => !isKnown(index))
    .map((index) => {
      const node = model.nodes[index]
      const set = node.domain === '' ? '' : ` of operator set ${quote(node.domain)}`
      return `${nodePath(index, node)}${isAttention(node) ? ' of two computed values' : set}`
    })
  if (problems.length === 0) return
  const text = `${source}: ${problems.length === 1 ? 'a node has' : `${problems.length} nodes have`}`
  const hint = hintFor(model, order, producers, isKnown)
  throw new RingfenceError(
    'UNSUPPORTED',
    `${text} an op that cannot be converted:`,
    hint ? [...problems, hint] : problems,
  )
}

/** What to do about nodes that cannot be converted, where they only stand at the end. */
function hintFor(
  model: OnnxModel,
  order: readonly number[],
  producers: ReadonlyMap<string, number>,
  isKnown: (index: number) => boolean,
): string | undefined {
  const valuesOf = (names: readonly string[]) =>
    names.flatMap((name): HintValue[] => {
      const place = producers.get(name)
      return place === undefined ? [] : [[place, name]]
    })
  const constants = constantNodes(model, order)
  const nodes = order.map((index) => {
    const node = model.nodes[index]
    const isMatrix = node.op === 'MatMul' && node.inputs.some((input) => !producers.has(input))
    const weighs = WEIGHS.has(node.op) || isMatrix
    const computes = !constants.has(index)
    return [index, { inputs: valuesOf(node.inputs), computes, weighs, isKnown: isKnown(index) }] as const
  })
  return endingHint(new Map(nodes), order, valuesOf(model.outputs.map(({ name }) => name)))
}

/** Constants whatever they read: every size is known. */
const FROM_SIZES: ReadonlySet<string> = new Set(['Shape', 'Size'])

/** Nodes over constants alone. */
function constantNodes(model: OnnxModel, order: readonly number[]): Set<number> {
  const constants = new Set(model.initializers.map(({ name }) => name))
  const found = new Set<number>()
  for (const index of order) {
    const { op, inputs, outputs } = model.nodes[index]
    const isShape = FROM_SIZES.has(op)
    if (!isShape && !inputs.every((name) => name === '' || constants.has(name))) continue
    found.add(index)
    for (const name of outputs) constants.add(name)
  }
  return found
}

/** Stands for an output where layers are made that bring it into the graph's order. */
const outputNode = (name: string): OnnxNode => ({
  ...{ name, op: 'Identity', domain: '', inputs: [name], outputs: [name], attributes: new Map() },
})

class GraphScope implements OnnxScope {
  readonly #known = new Map<string, Known | 'broken'>()
  readonly #initializers: ReadonlyMap<string, number>
  readonly #readers = new Map<string, OnnxNode[]>()
  readonly #outputs: ReadonlySet<string>
  readonly bounds = new Map<string, Bounded>()
  readonly maxPoolPads = new Map<string, Pad>()
  readonly opset: number
  batch = 1
  isBatchKnown = false

  constructor(
    readonly model: OnnxModel,
    readonly draft: ArchDraft,
    inputShape: Shape | undefined,
    readonly files: ReadonlyMap<string, Uint8Array>,
  ) {
    this.opset = model.opset
    this.#initializers = new Map(model.initializers.map(({ name }, i) => [name, i]))
    for (const node of model.nodes) {
      for (const name of node.inputs) {
        const readers = this.#readers.get(name)
        if (readers) readers.push(node)
        else this.#readers.set(name, [node])
      }
    }
    this.#outputs = new Set(model.outputs.map(({ name }) => name))
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
    if (dims && typeof dims[0] === 'number' && dims[0] >= 1 && dims[0] < 2 ** 24) {
      this.batch = dims[0]
      this.isBatchKnown = true
    }
    const isLast = dims?.length === 4 && isChannelsLast(this.model, info.name)
    const shape = given ?? (isLast ? [dims[3], dims[1], dims[2]] : dims?.slice(1))
    const fits = shape?.every(
      (size) => Number.isSafeInteger(size) && (size as number) >= 1 && (size as number) < 2 ** 28,
    )
    if (!shape || !fits || (shape.length !== 1 && shape.length !== 3) || (dims && shape.length !== dims.length - 1)) {
      return fault(`expected known sizes of 1 to 3 axes after the batch, got ${quote(dims)}; give the input's shape`)
    }
    const value = this.draft.input(info.name, shape as Shape, isLast ? 'hwc' : undefined)
    const view = plainView(value.shape, this.batch)
    if (isLast) this.draft.notes.push(`${where}: given as [height,width,channels], as in the file`)
    return { value, view: isLast ? transposedView(view, [0, 2, 3, 1]) : view }
  }

  find(name: string): Known | 'broken' | undefined {
    const known = this.#known.get(name)
    const index = this.#initializers.get(name)
    if (known !== undefined || index === undefined) return known
    const where = `graph.initializer[${index}] ${quote(name)}`
    const claim = (elements: number) => this.draft.claim(elements)
    const constant = decodeTensor(
      this.model.initializers[index],
      where,
      claim,
      (p) => this.draft.problems.push(p),
      this.files,
    )
    const made = constant ? { constant } : 'broken'
    this.#known.set(name, made)
    return made
  }

  /** Names of the initializers that no converted node asked for. */
  get unread(): string[] {
    return [...this.#initializers.keys()].filter((name) => !this.#known.has(name))
  }

  readersOf(name: string): readonly OnnxNode[] {
    return this.#readers.get(name) ?? []
  }

  isOutput(name: string): boolean {
    return this.#outputs.has(name)
  }

  /** @returns whether there is no problem with the node itself */
  run(index: number): boolean {
    const before = this.draft.problems.length
    const node = this.model.nodes[index]
    const n = new OnnxNodeReader(node, nodePath(index, node), this.draft, this)
    const isConstant = node.inputs.length > 0 && node.inputs.every((name) => name === '' || this.#isConstant(name))
    const read = (isConstant && fold.foldOf(node.op)) || READERS.get(node.op)
    const made = read ? read(n) : n.fault('expected constants only')
    if (!n.failed) n.checkUsed()
    const outputs = made === undefined || n.failed ? undefined : 'length' in made ? made : [made]
    for (const [i, name] of node.outputs.entries()) {
      if (name === '') continue
      const known = outputs ? outputs[i] : 'broken'
      if (known) this.#known.set(name, known)
    }
    return this.draft.problems.length === before
  }

  #isConstant(name: string): boolean {
    const known = this.find(name)
    return known !== undefined && known !== 'broken' && 'constant' in known
  }

  /** Values of the graph's outputs by their names. */
  outputs(): (readonly [string, Value])[] {
    const outputs: (readonly [string, Value])[] = []
    for (const [i, { name }] of this.model.outputs.entries()) {
      const known = this.find(name)
      if (known && known !== 'broken' && 'value' in known) {
        const reader = new OnnxNodeReader(outputNode(name), `graph.output[${i}] ${quote(name)}`, this.draft, this)
        const settled = reader.settled(known, name)
        if (settled) outputs.push([name, settled.value])
      } else if (known !== 'broken') {
        const got = known ? `a constant ${formatShape(known.constant.shape)}` : 'a name that no node makes'
        this.draft.problems.push(`graph.output[${i}] ${quote(name)}: expected a computed value, got ${got}`)
      }
    }
    if (this.model.outputs.length === 0) this.draft.problems.push('graph.output: expected at least one, got none')
    return outputs
  }
}
