// Runs what a converter wrote: layer by layer through the float engine, and by their definitions the few ops that take
// several inputs or that the engine came to later.

import type { ConvertedNetwork } from '../../src/convert/arch-draft.js'
import { runFloat } from '../../src/float/run.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import type { Layer } from '../../src/model/layers/layers.js'
import { elementCount } from '../../src/model/shape.js'
import { bindWeights, type Weights } from '../../src/model/weights.js'

/** Values of every output, by layer id. */
export function runConverted(converted: ConvertedNetwork, input: Float32Array): Map<string, Float32Array> {
  const arch = parseArchitecture(JSON.stringify(converted.arch))
  const weights = bindWeights(arch, converted.tensors)
  const values = new Map([[arch.inputs[0].name, input]])
  for (const layer of arch.layers) {
    const inputs = layer.in.map((id) => values.get(id)!)
    values.set(layer.id, byDefinition(layer, inputs) ?? alone(layer, inputs[0], weights))
  }
  return new Map(arch.outputs.map((id) => [id, values.get(id)!]))
}

function alone(layer: Layer, input: Float32Array, weights: Weights): Float32Array {
  const shape = layer.inShapes[0]
  const network: Architecture = {
    format: 'arch/1',
    name: 'one layer',
    inputs: [{ name: 'x', shape, preprocess: { scale: 1, mean: shape.map(() => 0), std: shape.map(() => 1) } }],
    outputs: [layer.id],
    layers: [{ ...layer, in: ['x'] }],
    byId: new Map(),
    weights: { layout: 'torch', map: {} },
    labels: [],
  }
  return runFloat(network, weights, undefined, input)
}

function byDefinition(layer: Layer, inputs: readonly Float32Array[]): Float32Array | undefined {
  const [x] = inputs
  switch (layer.op) {
    case 'add':
      return x.map((_, i) => inputs.reduce((sum, values) => sum + values[i], 0))
    case 'clip':
      return x.map((v) => Math.min(Math.max(v, layer.min), layer.max))
    case 'concat':
      return Float32Array.from(inputs.flatMap((values) => [...values]))
    case 'maxPool':
      return maxPool(layer, x)
    case 'resize':
      return resize(layer, x)
    default:
      return undefined
  }
}

function maxPool(layer: Extract<Layer, { op: 'maxPool' }>, x: Float32Array): Float32Array {
  const [, h, w] = layer.inShapes[0]
  const [, oh, ow] = layer.out
  return new Float32Array(elementCount(layer.out)).map((_, i) => {
    let max = Number.NEGATIVE_INFINITY
    for (let t = 0; t < layer.kernel[0] * layer.kernel[1]; t++) {
      const y = (Math.floor(i / ow) % oh) * layer.stride[0] - layer.pad[0] + Math.floor(t / layer.kernel[1])
      const z = (i % ow) * layer.stride[1] - layer.pad[1] + (t % layer.kernel[1])
      if (y >= 0 && y < h && z >= 0 && z < w) max = Math.max(max, x[(Math.floor(i / (oh * ow)) * h + y) * w + z])
    }
    return max
  })
}

function resize({ inShapes, out, mode }: Extract<Layer, { op: 'resize' }>, x: Float32Array): Float32Array {
  const [, h, w] = inShapes[0]
  const [, oh, ow] = out
  const at = (i: number, size: number, resized: number) => {
    if (mode === 'bilinear-asymmetric') return Math.min((i * size) / resized, size - 1)
    if (mode === 'bilinear-align-corners') return (i * (size - 1)) / Math.max(resized - 1, 1)
    if (mode !== 'bilinear') return Math.floor((i * size) / resized)
    return Math.min(Math.max(((i + 0.5) * size) / resized - 0.5, 0), size - 1)
  }
  return new Float32Array(elementCount(out)).map((_, i) => {
    const y = at(Math.floor(i / ow) % oh, h, oh)
    const z = at(i % ow, w, ow)
    const c = Math.floor(i / (oh * ow))
    const pixel = (row: number, column: number) => x[(c * h + Math.min(row, h - 1)) * w + Math.min(column, w - 1)]
    const [fy, fz] = [y - Math.floor(y), z - Math.floor(z)]
    const row = (r: number) => pixel(r, Math.floor(z)) * (1 - fz) + pixel(r, Math.floor(z) + 1) * fz
    return row(Math.floor(y)) * (1 - fy) + row(Math.floor(y) + 1) * fy
  })
}

/** Largest difference of two equally long lists. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]))
  return most
}

/** Numbers from -1 to 1 in steps of 1/8, the same for the same seed. */
export function numbers(count: number, seed: number): number[] {
  let state = seed * 2654435761 + 1
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 12) % 17) / 8 - 1
  })
}
