// A TF.js graph model: the nodes of a frozen TensorFlow graph in order.
import { RingfenceError } from '../../../errors.js'
import { isObject, type Json, quote } from '../../../model/json/fields.js'
import type { Shape } from '../../../model/shape.js'
import type { ArchDraft, ConvertedNetwork, Value } from '../../arch-draft.js'
import { computingOrder, cycleWords } from '../../graph-order.js'
import { endingHint, type HintValue, noSuchOutput } from '../../outputs.js'
import type { TfWeights } from '../weights.js'
import { unknownFusedOps } from './fused.js'
import { type GraphNode, NodeReader, nodeName, portOf, readDims, readGraphNodes, type TfKnown } from './node.js'
import { isKnownOp, readNode } from './ops.js'

interface Options {
  readonly name?: string
  readonly inputShape?: Shape
  readonly outputs?: readonly string[]
}

/** @throws RingfenceError as `convertTfjs` */
export function convertGraphModel(
  root: Json,
  weights: TfWeights,
  draft: ArchDraft,
  options: Options,
): ConvertedNetwork {
  const nodes = readGraphNodes(root.modelTopology, (problem) => draft.problems.push(problem))
  const places = new Map(nodes.map(({ name }, i) => [name, i]))
  const inputs = nodes.map((node) => placesOf(node.inputs, places))
  for (const [i, node] of nodes.entries()) {
    if (places.get(node.name) !== i) draft.problems.push(`${node.where}: a later node has the same name`)
  }
  const outputs = outputPlaces(root, nodes, places, inputs, draft, options.outputs)
  draft.throwIfAny()
  const { order, cycle } = computingOrder(
    inputs,
    outputs.map(([place]) => place),
  )
  if (cycle)
    draft.problems.push(`modelTopology: expected no cycle, got ${cycleWords(cycle.map((i) => quote(nodes[i].name)))}`)
  draft.throwIfAny()
  requireKnownOps(nodes, order, inputs, outputs, draft)
  const graph = new GraphRun(root, nodes, inputs, outputs, weights, draft, options.inputShape)
  const failed = new Set(order.filter((index) => !graph.run(index)))
  if (failed.size > 0) draft.hint = hintFor(nodes, order, inputs, outputs, (index) => !failed.has(index))
  draft.noteUnused('weightsManifest', weights.unread)
  return draft.finish(options.name ?? 'graph', graph.outputs())
}

function placesOf(names: readonly string[], places: ReadonlyMap<string, number>): number[] {
  return names.map((name) => places.get(name)).filter((place) => place !== undefined)
}

function signatureOf(root: Json): Json {
  const metadata = isObject(root.userDefinedMetadata) ? root.userDefinedMetadata.signature : undefined
  const signature = root.signature ?? metadata
  return isObject(signature) ? signature : {}
}

/** A node and which of its outputs. */
type OutputPlace = readonly [place: number, port: number]

function chosenPlace(
  name: string,
  nodes: readonly GraphNode[],
  places: ReadonlyMap<string, number>,
  draft: ArchDraft,
): OutputPlace[] {
  const place = places.get(nodeName(name))
  if (place !== undefined) return [[place, portOf(name)]]
  draft.problems.push(
    noSuchOutput(
      name,
      nodes.filter(({ op }) => op !== 'Const').map((node) => node.name),
    ),
  )
  return []
}

/** What the signature names; without one, the nodes that nobody reads. */
function outputPlaces(
  root: Json,
  nodes: readonly GraphNode[],
  places: ReadonlyMap<string, number>,
  inputs: readonly (readonly number[])[],
  draft: ArchDraft,
  chosen: readonly string[] | undefined,
): OutputPlace[] {
  const { outputs } = signatureOf(root)
  if (chosen) return chosen.flatMap((name) => chosenPlace(name, nodes, places, draft))
  if (!isObject(outputs) || Object.keys(outputs).length === 0) {
    const read = new Set(inputs.flat())
    const ends = nodes
      .map((_, i) => i)
      .filter((i) => !read.has(i) && !['Const', 'Placeholder', 'NoOp'].includes(nodes[i].op))
    return ends.map((place) => [place, 0])
  }
  return Object.entries(outputs).flatMap(([key, info]) => {
    const name = isObject(info) && typeof info.name === 'string' ? info.name : key
    const place = places.get(nodeName(name))
    if (place !== undefined) return [[place, portOf(name)] as const]
    draft.problems.push(`signature.outputs: expected the name of a node, got ${quote(name)}`)
    return []
  })
}

/** Ops whose constant inputs are what a network has learnt. */
const WEIGHS = /Conv2D|DepthwiseConv|MatMul|FusedBatchNorm|Prelu/

function requireKnownOps(
  nodes: readonly GraphNode[],
  order: readonly number[],
  inputs: readonly (readonly number[])[],
  outputs: readonly OutputPlace[],
  draft: ArchDraft,
): void {
  const unknown = new Set<number>()
  const constants = constantPlaces(nodes, order, inputs)
  const problems = order.flatMap((index) => {
    const node = nodes[index]
    const isOfConstants = inputs[index].every((place) => constants.has(place))
    const isKnown = node.op === 'Const' || node.op === 'Placeholder' || isKnownOp(node.op, isOfConstants)
    const fused = unknownFusedOps(new NodeReader(draft, node, [], 1))
    if (isKnown && fused.length === 0) return []
    unknown.add(index)
    return [fused.length > 0 ? `${node.where}: fused ${fused.map(quote).join(', ')}` : node.where]
  })
  if (problems.length === 0) return
  const text = `${draft.source}: ${problems.length === 1 ? 'a node has' : `${problems.length} nodes have`}`
  const hint = hintFor(nodes, order, inputs, outputs, (index) => !unknown.has(index))
  throw new RingfenceError(
    'UNSUPPORTED',
    `${text} an op that cannot be converted:`,
    hint ? [...problems, hint] : problems,
  )
}

/** Nodes whose results are known before anything is computed: constants, sizes, and what is made of those. */
function constantPlaces(
  nodes: readonly GraphNode[],
  order: readonly number[],
  inputs: readonly (readonly number[])[],
): ReadonlySet<number> {
  const constants = new Set<number>()
  for (const index of order) {
    const isOwn = ['Const', 'Rank', 'Shape', 'Size'].includes(nodes[index].op)
    const from = inputs[index]
    if (isOwn || (from.length > 0 && from.every((place) => constants.has(place)))) constants.add(index)
  }
  return constants
}

/** What to do about nodes that cannot be converted, where they only stand at the end. */
function hintFor(
  nodes: readonly GraphNode[],
  order: readonly number[],
  inputs: readonly (readonly number[])[],
  outputs: readonly OutputPlace[],
  isKnown: (index: number) => boolean,
): string | undefined {
  const hintValue = (place: number, port: number): HintValue => {
    const { name } = nodes[place]
    return [place, port === 0 ? name : `${name}:${port}`]
  }
  const constants = constantPlaces(nodes, order, inputs)
  const hinted = order.map((index) => {
    const { op } = nodes[index]
    const from = inputs[index]
    const computes = !constants.has(index) && op !== 'Placeholder'
    const read = from.map((place, i) => hintValue(place, nodes[index].ports[i] ?? 0))
    return [index, { inputs: read, computes, weighs: WEIGHS.test(op), isKnown: isKnown(index) }] as const
  })
  return endingHint(
    new Map(hinted),
    order,
    outputs.map(([place, port]) => hintValue(place, port)),
  )
}

class GraphRun {
  /** What every node computes, one thing per output. */
  readonly #made: (readonly (TfKnown | undefined)[] | undefined)[]
  #batch = 1

  constructor(
    readonly root: Json,
    readonly nodes: readonly GraphNode[],
    readonly inputs: readonly (readonly number[])[],
    readonly outputPlaces: readonly OutputPlace[],
    readonly weights: TfWeights,
    readonly draft: ArchDraft,
    readonly inputShape: Shape | undefined,
  ) {
    this.#made = Array(nodes.length)
  }

  /** @returns whether there is no problem with the node itself */
  run(index: number): boolean {
    const before = this.draft.problems.length
    const node = this.nodes[index]
    if (node.op === 'Placeholder') this.#made[index] = [this.#placeholder(node)]
    else if (node.op === 'Const') this.#made[index] = [this.#constant(node)]
    else {
      if (this.inputs[index].length !== node.inputs.length) {
        const names = new Set(this.inputs[index].map((place) => this.nodes[place].name))
        const lost = node.inputs.filter((name) => !names.has(name))
        this.draft.problems.push(`${node.where}: input: expected names of nodes, got ${lost.map(quote).join(', ')}`)
        return false
      }
      const sources = this.inputs[index].map((place, i) => this.#output(place, node.ports[i], node.where))
      const reader = new NodeReader(this.draft, node, sources, this.#batch)
      const made = readNode(reader)
      if (!reader.failed && made) reader.checkUsed()
      this.#made[index] = made === undefined || 'length' in made ? made : [made]
    }
    return this.draft.problems.length === before
  }

  /** An output of a node; one that it does not have is reported. */
  #output(place: number, port: number, where: string): TfKnown | undefined {
    const made = this.#made[place]
    if (made && port >= made.length) {
      const { name } = this.nodes[place]
      this.draft.problems.push(
        `${where}: input: expected one of ${made.length} outputs of ${quote(name)}, got number ${port}`,
      )
    }
    return made?.[port]
  }

  #constant(node: GraphNode): TfKnown | undefined {
    const tensor = this.weights.tensor(node.name)
    if (tensor) return { tensor }
    if (!this.weights.has(node.name)) {
      this.draft.problems.push(`${node.where}: expected a weight ${quote(node.name)} in the manifest, found none`)
    }
    return undefined
  }

  #placeholder(node: GraphNode): TfKnown | undefined {
    const reader = new NodeReader(this.draft, node, [], 1)
    const dims = reader.shapeAttribute() ?? this.#signatureShape(node.name)
    if (dims && dims[0] >= 1 && dims[0] < 2 ** 24) this.#batch = dims[0]
    const declared = dims?.length === 4 ? [dims[3], dims[1], dims[2]] : dims?.slice(1)
    const shape = this.inputShape ?? declared
    const fits = shape?.every((size) => Number.isSafeInteger(size) && size >= 1 && size < 2 ** 28)
    if (shape && fits && (shape.length === 1 || shape.length === 3))
      return { value: this.draft.input(node.name, shape) }
    // Rows are the pixels of a map one column wide.
    const map = shape?.length === 2 && fits && this.draft.input(node.name, [shape[1], shape[0], 1], 'hwc')
    const rows = map && reader.rows(map)
    if (rows) return { value: rows }
    const expected =
      "expected [batch,height,width,channels], [batch,n,channels] or [batch,n] of known sizes; give the input's shape"
    return reader.fault(`${expected}, got ${quote(dims)}`)
  }

  #signatureShape(name: string): readonly number[] | undefined {
    const { inputs } = signatureOf(this.root)
    if (!isObject(inputs)) return undefined
    const info = Object.entries(inputs).find(([key, value]) => {
      return nodeName(isObject(value) && typeof value.name === 'string' ? value.name : key) === name
    })?.[1]
    return isObject(info) ? readDims(info.tensorShape) : undefined
  }

  outputs(): (readonly [string, Value])[] {
    return this.outputPlaces.flatMap(([place, port]) => {
      const known = this.#made[place]?.[port]
      const { name, where } = this.nodes[place]
      if (known && 'value' in known && known.blocks) {
        this.draft.problems.push(`${where}: expected a BatchToSpaceND before an output, found none`)
        return []
      }
      if (known && 'value' in known && known.lowest) {
        this.draft.problems.push(`${where}: expected a MaxPool behind padding by -Infinity, found an output`)
        return []
      }
      if (known && 'value' in known) {
        const value = new NodeReader(this.draft, this.nodes[place], [], 1).output(name, known.value)
        return value ? [[name, value] as const] : []
      }
      if (known) this.draft.problems.push(`${where}: expected a computed output, got a constant`)
      return []
    })
  }
}
