// Reads the layers of an `arch/1` file, in order, and computes every shape.

import { Fields, type Json, objects, quote } from '../json/fields.js'
import type { NetworkInput } from '../network.js'
import { formatShape, readShape, type Shape, sameShape } from '../shape.js'
import type { Layer, LayerOp } from './layers.js'
import { type Grammar, inputCount, type Node, readLayerOp } from './read-op.js'

/** The layers, and the shape of every input and layer by name. Layers with faults are reported and left out. */
export function readLayers(
  grammar: Grammar,
  root: Fields,
  inputs: readonly NetworkInput[],
  choices: Json,
): { layers: Layer[]; shapes: Map<string, Shape> } {
  const shapes = new Map<string, Shape>(inputs.map(({ name, shape }) => [name, shape]))
  const sources = new Set(shapes.keys())
  const drafts = objects(root, 'layers').map((entry, i) => readDraft(grammar, entry, i, root.problems, choices))
  checkIds(drafts, sources)
  root.problems.push(...grammar.referenceProblems(drafts, sources))
  const layers: Layer[] = []
  for (const draft of drafts) {
    const layer = shapeLayer(grammar, draft, shapes)
    if (layer) layers.push(layer)
  }
  return { layers, shapes }
}

interface Draft extends Node {
  readonly fields: Fields
  readonly op: LayerOp | undefined
  /** Whether the op's own fields are without fault, so that a shape can be computed. */
  readonly sound: boolean
  readonly declared: Shape | undefined
  readonly specName: string | undefined
  readonly tensors: Readonly<Record<string, string>>
}

function readDraft(grammar: Grammar, entry: Json, index: number, problems: string[], choices: Json): Draft {
  const named = typeof entry.id === 'string' && entry.id.length > 0
  const fields = new Fields(entry, named ? `layer ${quote(entry.id)}` : `layers[${index}]`, problems)
  const op = readLayerOp(grammar.readers, fields, choices)
  const sound = !fields.failed
  const id = fields.string('id')
  const inputs = fields.strings('in')
  const [fewest, most] = op ? inputCount(op.op) : [1, Number.POSITIVE_INFINITY]
  if (Array.isArray(entry.in) && (inputs.length < fewest || inputs.length > most)) {
    fields.fault('in', most === fewest ? `${most} input` : `at least ${fewest} input${fewest > 1 ? 's' : ''}`)
  }
  const declared = fields.has('out') ? readShape(fields, 'out', 6) : undefined
  const specName = fields.has('specName') ? fields.string('specName') : undefined
  const tensors = fields.texts('tensors')
  if (op) fields.noOthers()
  return { id, in: inputs, fields, op, sound, declared, specName, tensors }
}

function checkIds(drafts: readonly Draft[], sources: ReadonlySet<string>): void {
  const seen = new Set<string>()
  for (const { id, fields } of drafts) {
    if (sources.has(id)) fields.problem(`id: ${quote(id)} is the name of an input`)
    else if (seen.has(id)) fields.problem(`id: ${quote(id)} is taken by an earlier layer`)
    seen.add(id)
  }
}

/** Computes the layer's output shape; with a fault before it, the declared shape lets the checks go on. */
function shapeLayer(grammar: Grammar, draft: Draft, shapes: Map<string, Shape>): Layer | undefined {
  const { id, fields, op, sound, declared, specName, tensors } = draft
  const inShapes = draft.in.map((name) => shapes.get(name)).filter((shape) => shape !== undefined)
  const usable =
    sound && inShapes.length > 0 && inShapes.length === draft.in.length && inShapes.every((shape) => shape.length > 0)
  const computed = op && usable ? grammar.outputShape(op, inShapes, (problem) => fields.problem(problem)) : undefined
  if (computed && declared && !sameShape(computed, declared)) {
    fields.problem(`out: expected ${formatShape(computed)} as computed from its input, got ${formatShape(declared)}`)
  }
  const out = computed ?? declared
  if (out && !shapes.has(id)) shapes.set(id, out)
  if (!op || !out) return undefined
  return { id, ...op, in: draft.in, inShapes, out, tensors, ...(specName === undefined ? {} : { specName }) }
}
