// CryptoNAS's two moves against the ReLUs of skips (Ghodsi et al. 2020): shuffling computes the same with fewer, pruning
// leaves out what only skips need.
import type { Json } from '../json/fields.js'
import { closed, type LayerJson, opened } from './file.js'

/** Layers in their order, and who reads whom. */
class Graph {
  constructor(
    public layers: readonly LayerJson[],
    readonly outputs: readonly string[],
  ) {}

  get(id: string): LayerJson | undefined {
    return this.layers.find((layer) => layer.id === id)
  }

  is(id: string, op: string): boolean {
    return this.get(id)?.op === op
  }

  readers(id: string): readonly LayerJson[] {
    return this.layers.filter((layer) => layer.in.includes(id))
  }

  /** Whoever read one layer reads another one. */
  redirect(from: string, to: string): void {
    this.layers = this.layers.map((layer) => ({ ...layer, in: layer.in.map((id) => (id === from ? to : id)) }))
  }

  drop(id: string): void {
    this.layers = this.layers.filter((layer) => layer.id !== id)
  }

  /** A ReLU behind which stands nothing but other layers. */
  relus(): readonly LayerJson[] {
    return this.layers.filter(({ id, op }) => op === 'relu' && !this.outputs.includes(id))
  }
}

const isConcat = (layer: LayerJson | undefined): layer is LayerJson => layer?.op === 'concat' && (layer.axis ?? 0) === 0

/**
 * The same function with fewer ReLUs: one of a concatenation becomes one of each of its parts where a part has a ReLU of its
 * own or is concatenated elsewhere, and ReLUs of the same values become one. Weights stay as they are.
 * @param json an `arch/1` file, explicit or of a family
 * @returns the explicit form
 * @throws RingfenceError BAD_FILE for a file that is wrong
 */
export function shuffleRelus(json: unknown): Json {
  const file = opened(json)
  const graph = new Graph(file.layers, file.arch.outputs)
  while (merged(graph) || spread(graph)) {}
  return closed(file, graph.layers, 'shuffling')
}

/** One ReLU of two that read the same, or none of one that reads a ReLU. */
function merged(graph: Graph): boolean {
  const relus = graph.relus()
  for (const [
    i,
    {
      id,
      in: [input],
    },
  ] of relus.entries()) {
    const same = graph.is(input, 'relu') ? input : relus.slice(0, i).find((other) => other.in[0] === input)?.id
    if (same === undefined) continue
    graph.redirect(id, same)
    graph.drop(id)
    return true
  }
  return false
}

function spread(graph: Graph): boolean {
  const isSpreadable = (layer: LayerJson | undefined): layer is LayerJson =>
    isConcat(layer) &&
    !graph.outputs.includes(layer.id) &&
    graph.readers(layer.id).every(({ op, id }) => op === 'relu' && !graph.outputs.includes(id))
  const relu = graph.relus().find(({ in: [from] }) => {
    const concat = graph.get(from)
    const isShared = (part: string) =>
      graph.is(part, 'relu') ||
      graph.readers(part).some((other) => other.id !== from && (other.op === 'relu' || isSpreadable(other)))
    return isSpreadable(concat) && concat.in.some(isShared)
  })
  if (!relu) return false
  const concat = graph.get(relu.in[0])!
  const parts = concat.in.map((part, k): LayerJson => ({ id: `${relu.id}.${k}`, op: 'relu', in: [part] }))
  graph.redirect(relu.id, concat.id)
  graph.drop(relu.id)
  graph.layers = graph.layers.flatMap((layer) =>
    layer.id === concat.id ? [...parts, { ...layer, in: parts.map(({ id }) => id) }] : [layer],
  )
  return true
}

/**
 * Concatenations read what is in front of a ReLU, what reads them reads no ReLU of them, and ReLUs that nobody else reads are
 * gone: another function, which wants training.
 * @param json an `arch/1` file, explicit or of a family
 * @returns the explicit form
 * @throws RingfenceError BAD_FILE for a file that is wrong
 */
export function pruneSkipRelus(json: unknown): Json {
  const file = opened(json)
  const graph = new Graph(file.layers, file.arch.outputs)
  const unrectified = (id: string): string => (graph.is(id, 'relu') ? unrectified(graph.get(id)!.in[0]) : id)
  graph.layers = graph.layers.map((layer) => (isConcat(layer) ? { ...layer, in: layer.in.map(unrectified) } : layer))
  for (const { id, in: inputs } of graph.relus()) if (isConcat(graph.get(inputs[0]))) graph.redirect(id, inputs[0])
  for (const { id } of [...graph.relus()].reverse()) if (graph.readers(id).length === 0) graph.drop(id)
  return closed(file, graph.layers, 'pruning')
}
