// What of a network has to be private, and what the client computes alone from the values that it learns: its tail, layers
// without weights behind the last layers that have some.
import { spreadFactors } from '../layers/broadcast.js'
import type { Layer, Op } from '../layers/layers.js'
import { effectiveOp } from '../layers/layers.js'
import type { Architecture } from '../network.js'
import { parametersOf } from '../parameters.js'
import type { Shape } from '../shape.js'
import { isElementOp } from './elements.js'

/** Ops that only the plain engine computes. */
const PLAIN: ReadonlySet<Op> = new Set<Op>([
  ...(['sigmoid', 'tanh', 'exp', 'log', 'sqrt', 'square', 'reciprocal', 'softplus', 'erf', 'multiply'] as const),
  ...(['softmax', 'logSoftmax', 'argMax', 'sum', 'transpose'] as const),
])

/** Whether no private step computes a layer. */
export function isPlainOnly(layer: Layer): boolean {
  const op = effectiveOp(layer)
  const isSteep = [layer.out, ...layer.inShapes].some(({ length }) => length > 3)
  if (op.op === 'reshape') return isSteep
  if (op.op === 'slice') return isSteep || layer.out.length === 2 || (op.axis === 0 && op.step > 1)
  if (op.op === 'multiply') return isSteep || !spreadFactors(layer.inShapes)
  return PLAIN.has(op.op) || (op.op === 'concat' && op.axis !== 0)
}

/** What the client computes by itself at the end of a network, even where it could be private. */
const opensTail = (layer: Layer): boolean => PLAIN.has(effectiveOp(layer).op) || isPlainOnly(layer)

/** A network in two parts. */
export interface SplitNetwork {
  /** The layers that go before; its outputs are what the tail reads and those of the network itself. */
  readonly body: Architecture
  /** Layers of the tail, in order. */
  readonly tail: readonly Layer[]
}

const known = new WeakMap<Architecture, SplitNetwork>()

/** A network and its tail: layers that no private step computes and all behind them, where none of these has weights. */
export function splitNetwork(arch: Architecture): SplitNetwork {
  const made = known.get(arch) ?? split(arch)
  known.set(arch, made)
  return made
}

/** The part that is computed privately. */
export const bodyOf = (arch: Architecture): Architecture => splitNetwork(arch).body

function split(arch: Architecture): SplitNetwork {
  const tail = tailOf(arch)
  if (tail.length === 0) return { body: arch, tail }
  const ids = new Set(tail.map(({ id }) => id))
  const outputs = new Set([...arch.outputs, ...tail.flatMap((layer) => layer.in)].filter((id) => !ids.has(id)))
  const layers = arch.layers.filter(({ id }) => !ids.has(id))
  const ordered = layers.map(({ id }) => id).filter((id) => outputs.has(id))
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  return { body: { ...arch, outputs: ordered, layers, byId }, tail }
}

function tailOf(arch: Architecture): Layer[] {
  const readers = new Map<string, Layer[]>()
  for (const layer of arch.layers) {
    for (const id of layer.in) {
      const list = readers.get(id)
      if (list) list.push(layer)
      else readers.set(id, [layer])
    }
  }
  // From the end: layers that are computed element by element, and so are all behind them.
  const could = new Set<string>()
  for (const layer of arch.layers.toReversed()) {
    const isOpen = isElementOp(effectiveOp(layer).op) && parametersOf(layer).length === 0 && layer.op !== 'choice'
    // A layer that reads the network's input makes nothing private.
    const readsLayers = layer.in.every((id) => arch.byId.has(id))
    if (isOpen && readsLayers && (readers.get(layer.id) ?? []).every(({ id }) => could.has(id))) could.add(layer.id)
  }
  const ids = new Set<string>()
  return arch.layers.filter((layer) => {
    if (!could.has(layer.id) || !(opensTail(layer) || layer.in.some((id) => ids.has(id)))) return false
    ids.add(layer.id)
    return true
  })
}

/** A value of a network. */
export interface NamedOutput {
  readonly shape: Shape
  readonly data: Float32Array
}

/** By the ids of layers, in the network's order. */
export type NamedOutputs = Readonly<Record<string, NamedOutput>>
