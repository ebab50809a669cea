// From layers to steps: what can be done in one pass over a value becomes one step.
import { UNBOUNDED } from '../kernels/float/conv.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import type { Architecture } from '../model/architecture.js'
import { effectiveOp, isActivation, type Layer } from '../model/layers/layers.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'
import type { Weights } from '../model/weights.js'
import { boundsOf, isClamp } from './activation.js'
import { affineOf, isAffine } from './affine.js'
import { type Operation, operationOf } from './operations.js'

/** A value: 0 is the network's input, i + 1 what step i computes. */
export type ValueIndex = number

export interface Step extends Operation {
  /** The first layer it computes; an activation layer's own step is its alone. */
  readonly layer: Layer
  readonly inputs: readonly ValueIndex[]
  /** What the step does when its layer is an activation. */
  readonly relu: LayerRelu | undefined
  /** Elements of its value. */
  readonly elements: number
}

export interface Steps {
  readonly steps: readonly Step[]
  /** Values by the ids of layers and inputs; ids of layers merged into the step of a later one are not in it. */
  readonly values: ReadonlyMap<string, ValueIndex>
}

export interface StepOptions {
  readonly spec: ReluSpec | undefined
  /** Layers whose values must exist. */
  readonly keep: (layerId: string) => boolean
  /** Every activation is a step of its own. */
  readonly separate: boolean
}

export function stepsOf(k: FloatKernels, arch: Architecture, weights: Weights, options: StepOptions): Steps {
  const layers = arch.layers.map(choose)
  const successors = successorsOf(layers, arch.outputs)
  const values = new Map<string, ValueIndex>([[arch.inputs[0].name, 0]])
  const steps: Step[] = []
  const merged = new Set<string>()
  try {
    for (const layer of layers) {
      if (merged.has(layer.id)) continue
      const inputs = layer.in.map((id) => values.get(id)!)
      if (layer.op === 'identity' || layer.op === 'flatten') {
        values.set(layer.id, inputs[0])
        continue
      }
      const chain = chainFrom(layer, successors, options)
      for (const { id } of chain) merged.add(id)
      const operation = chainOperation(k, chain, weights, options)
      const relu = isActivation(layer) ? resolveRelu(options.spec, layer) : undefined
      steps.push({ ...operation, layer, inputs, relu, elements: elementCount(layer.out) })
      values.set(chain[chain.length - 1].id, steps.length)
    }
  } catch (error) {
    for (const step of steps) step.release()
    throw error
  }
  return { steps, values }
}

function choose(layer: Layer): Layer {
  return { ...layer, ...effectiveOp(layer) } as Layer
}

/** The only reader of a value that nobody else needs. */
function successorsOf(layers: readonly Layer[], outputs: readonly string[]): Map<string, Layer | undefined> {
  const only = new Map<string, Layer | undefined>(outputs.map((id) => [id, undefined]))
  for (const layer of layers) for (const id of layer.in) only.set(id, only.has(id) ? undefined : layer)
  return only
}

/** The layer and those behind it that become part of its step: per-channel maps, then a plain activation. */
function chainFrom(
  first: Layer,
  successors: ReadonlyMap<string, Layer | undefined>,
  { spec, keep, separate }: StepOptions,
): Layer[] {
  const chain = [first]
  const weighs = first.op === 'conv2d' || first.op === 'convTranspose2d' || first.op === 'linear' || isAffine(first)
  for (let last = first; (weighs || first.op === 'add') && !keep(last.id); ) {
    const next = successors.get(last.id)
    if (!next) break
    const plain = isClamp(next) && !separate && resolveRelu(spec, next).kind === 'relu'
    if (!plain && !(weighs && isAffine(next))) break
    chain.push(next)
    if (plain) break
    last = next
  }
  return chain
}

function chainOperation(k: FloatKernels, chain: readonly Layer[], weights: Weights, { spec }: StepOptions): Operation {
  const [first] = chain
  const last = chain[chain.length - 1]
  const maps = chain.filter(isAffine)
  return operationOf(first, {
    k,
    weights,
    affine: maps.length > 0 ? affineOf(maps, weights) : undefined,
    bounds: chain.length > 1 && isClamp(last) ? boundsOf(last) : UNBOUNDED,
    relu: resolveRelu(spec, first),
  })
}
