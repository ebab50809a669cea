// Counts of a network: ReLUs, comparisons, multiplications, parameters; nothing is allocated for them.

import { type Json, quote } from './json/fields.js'
import { effectiveOp, isActivation, type Layer } from './layers/layers.js'
import type { Architecture } from './network.js'
import { parametersOf } from './parameters.js'
import { dreluCount } from './relu/layout.js'
import { type ReluSpec, resolveRelu } from './relu/spec.js'
import { elementCount } from './shape.js'

export interface Counts {
  /** Elements that go through an activation (relu, clip, or a choice of one). */
  readonly relus: number
  /** Activations left by the ReLU spec, each decided once per block of elements; equal to `relus` without one. */
  readonly drelus: number
  /** Multiplications of conv2d and linear layers. */
  readonly macs: number
  /** Trained parameters; running statistics are not counted. */
  readonly params: number
  /** Pairwise comparisons of max pools: kernel area - 1 per output element. */
  readonly maxPoolComparisons: number
  /** Comparisons that the clip layers among the activations make: two, one per bound, for each of their `drelus`. */
  readonly clipComparisons: number
}

/** What one layer is made of. */
export interface LayerCounts extends Counts {
  readonly id: string
  readonly op: Layer['op']
}

/** What a network is made of. */
export interface NetworkCounts extends Counts {
  readonly layers: readonly LayerCounts[]
  /** Activation layers with at least one element. */
  readonly reluLayers: number
}

/** Per layer and in all: ReLUs, DReLUs under `spec`, comparisons of max pools and clips, multiplications, parameters. */
export function countNetwork(arch: Architecture, spec?: ReluSpec): NetworkCounts {
  const layers = arch.layers.map((layer) => countLayer(layer, spec))
  const sum = (name: keyof Counts) => layers.reduce((total, layer) => total + layer[name], 0)
  return {
    layers,
    reluLayers: layers.filter((layer) => layer.relus > 0).length,
    relus: sum('relus'),
    drelus: sum('drelus'),
    macs: sum('macs'),
    params: sum('params'),
    maxPoolComparisons: sum('maxPoolComparisons'),
    clipComparisons: sum('clipComparisons'),
  }
}

/** Problems with the counts that a file's `expect` object states. */
export function expectationProblems(arch: Architecture, expect: Json): string[] {
  const counts = countNetwork(arch)
  const checked = ['relus', 'macs', 'params', 'maxPoolComparisons', 'clipComparisons', 'reluLayers'] as const
  return checked
    .filter((name) => Object.hasOwn(expect, name) && expect[name] !== counts[name])
    .map((name) => `expect.${name}: the layers make ${counts[name]}, the file says ${quote(expect[name])}`)
}

function countLayer(layer: Layer, spec: ReluSpec | undefined): LayerCounts {
  const relus = isActivation(layer) ? elementCount(layer.out) : 0
  const drelus = relus === 0 ? 0 : dreluCount(resolveRelu(spec, layer), layer.out)
  return {
    id: layer.id,
    op: layer.op,
    relus,
    drelus,
    macs: macsOf(layer),
    params: parametersOf(layer).reduce((sum, p) => sum + (p.trained ? elementCount(p.shape) : 0), 0),
    maxPoolComparisons: maxPoolComparisons(layer),
    clipComparisons: effectiveOp(layer).op === 'clip' ? 2 * drelus : 0,
  }
}

function macsOf(layer: Layer): number {
  if (layer.op === 'linear') return layer.cout * layer.inShapes[0][0]
  if (layer.op === 'convTranspose2d') {
    return elementCount(layer.inShapes[0]) * (layer.cout / layer.groups) * layer.kernel[0] * layer.kernel[1]
  }
  if (layer.op !== 'conv2d') return 0
  const perElement = (layer.inShapes[0][0] / layer.groups) * layer.kernel[0] * layer.kernel[1]
  return elementCount(layer.out) * perElement
}

function maxPoolComparisons(layer: Layer): number {
  const op = effectiveOp(layer)
  return op.op === 'maxPool' ? elementCount(layer.out) * (op.kernel[0] * op.kernel[1] - 1) : 0
}
