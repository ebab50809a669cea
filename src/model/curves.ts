// Functions of one value that a network writes as several layers: x · sigmoid(x), 0.5 · x · (1 + erf(x / √2)), a sigmoid alone.
// Back end `mcc` computes each in one round trip, however many layers it is; some that are quadratic from bend to bend, as
// x · clip(x + 3, 0, 6) / 6, too.
import { effectiveOp, type Layer, type Op } from './layers/layers.js'
import type { Architecture } from './network.js'
import { type QuadraticSum, quadraticSum } from './piecewise.js'
import { type ReluSpec, resolveRelu } from './relu/spec.js'
import { sameShape } from './shape.js'
import { computeElements } from './tail/elements.js'

/** A function of every element of `root`, a layer's id or the input's name. */
export interface Curve {
  readonly root: string
  /** What it is made of, in order; the last layer's value is the function's. */
  readonly layers: readonly Layer[]
  /** Where steps that multiply and compare could compute it, but one step can. */
  readonly quadratic?: QuadraticSum
}

/** The curves of a network's private part, by the layers whose values they are. */
export interface Curves {
  readonly byLayer: ReadonlyMap<string, Curve>
  /** Layers whose values nobody needs: curves have them inside. */
  readonly inner: ReadonlySet<string>
}

/** Layers that only a curve computes. */
const CURVED: ReadonlySet<Op> = new Set<Op>([
  ...(['sigmoid', 'tanh', 'exp', 'log', 'sqrt', 'reciprocal', 'softplus', 'erf', 'square'] as const),
])
const POINTWISE: ReadonlySet<Op> = new Set<Op>([...CURVED, 'affine', 'add', 'multiply', 'identity'])
/** Pointwise as long as no spec shares or drops them. */
const BENT: ReadonlySet<Op> = new Set<Op>(['relu', 'clip', 'leakyRelu'])

/** Whether the quadratic sum of `root` that is the value of layer `id` is to be one step. */
export type TakesQuadratic = (id: string, root: string) => boolean

/**
 * @param body of `splitNetwork`
 * @param takes default: none is, and their layers are steps of their own
 */
export function curvesOf(body: Architecture, spec?: Pick<ReluSpec, 'layers'>, takes?: TakesQuadratic): Curves {
  const found = new Map<string, Curve>()
  const rootOf = (id: string) => found.get(id)?.root ?? id
  for (const layer of body.layers) {
    if (!isPointwise(layer, spec)) continue
    const [root, ...others] = new Set(layer.in.map(rootOf))
    const isMap = layer.out.length <= 3 && layer.inShapes.every((shape) => sameShape(shape, layer.out))
    if (others.length > 0 || !isMap) continue
    found.set(layer.id, { root, layers: joined(layer, body, found) })
  }
  const byLayer = new Map<string, Curve>()
  for (const [id, curve] of found) {
    if (curve.layers.some(({ op }) => CURVED.has(op))) byLayer.set(id, curve)
    else if (takes?.(id, curve.root)) {
      const quadratic = quadraticSum(curve.root, curve.layers)
      if (quadratic) byLayer.set(id, { ...curve, quadratic })
    }
  }
  const needed = new Set(body.outputs)
  for (const layer of body.layers.toReversed()) {
    if (!needed.has(layer.id)) continue
    const curve = byLayer.get(layer.id)
    for (const id of curve ? [curve.root] : layer.in) needed.add(id)
  }
  const inner = new Set<string>()
  for (const { layers } of byLayer.values()) for (const { id } of layers) if (!needed.has(id)) inner.add(id)
  return { byLayer: new Map([...byLayer].filter(([id]) => needed.has(id))), inner }
}

function isPointwise(layer: Layer, spec: Pick<ReluSpec, 'layers'> | undefined): boolean {
  const { op } = effectiveOp(layer)
  return POINTWISE.has(op) || (BENT.has(op) && resolveRelu(spec, layer).kind === 'relu')
}

/** The layers of a layer's inputs and the layer, in the network's order. */
function joined(layer: Layer, body: Architecture, found: ReadonlyMap<string, Curve>): Layer[] {
  const ids = new Set(layer.in.flatMap((id) => found.get(id)?.layers ?? []).map(({ id }) => id))
  if (ids.size === 0) return [layer]
  return [...body.layers.filter(({ id }) => ids.has(id)), layer]
}

/** The function at every x. */
export function evaluateCurve({ root, layers }: Curve, x: Float32Array): Float32Array {
  const shape = [x.length]
  const values = new Map([[root, x]])
  for (const layer of layers) {
    const flat = { ...layer, ...effectiveOp(layer), out: shape, inShapes: layer.in.map(() => shape) } as Layer
    const inputs = layer.in.map((id) => values.get(id)!)
    const out = new Float32Array(x.length)
    computeElements(flat, inputs, out)
    values.set(layer.id, out)
  }
  return values.get(layers[layers.length - 1].id)!
}
