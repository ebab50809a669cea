// Writes `relu-spec/1` files, as `parseReluSpec` reads them.
import { isActivation, type Pair } from '../layers/layers.js'
import type { Architecture } from '../network.js'
import { formatShape, type Shape } from '../shape.js'
import { type ComparisonWindow, dreluCount, type LayerRelu } from './layout.js'
import { toBase64 } from './mask-bits.js'
import { resolveRelu } from './spec.js'

/** One layer of a `relu-spec/1` file, as it is written. */
export type PlannedRelu = { readonly comparison?: ComparisonWindow } & (
  | { readonly kind: 'relu' | 'identity' | 'zero' }
  | {
      readonly kind: 'block'
      readonly shape: Shape
      readonly palette: readonly Pair[]
      readonly index: readonly number[]
    }
  | {
      readonly kind: 'mask'
      readonly shape: Shape
      readonly off: 'identity' | 'zero'
      readonly encoding: 'base64-bits-lsb-first'
      readonly bits: string
    }
)

/** A `relu-spec/1` file as it is written. */
export interface ReluSpecFile {
  readonly format: 'relu-spec/1'
  readonly network: string
  readonly layers: Readonly<Record<string, PlannedRelu>>
  readonly expect: { readonly drelus: number }
}

/**
 * The file of a network's activations.
 * @param layers by layer id; plain activations where it has none
 */
export function reluSpecFile(arch: Architecture, layers: ReadonlyMap<string, LayerRelu>): ReluSpecFile {
  const entries: [string, PlannedRelu][] = []
  let drelus = 0
  for (const layer of arch.layers) {
    if (!isActivation(layer)) continue
    const relu = resolveRelu({ layers }, layer)
    drelus += dreluCount(relu, layer.out)
    entries.push([layer.specName ?? layer.id, entryOf(relu, layer.out)])
  }
  return { format: 'relu-spec/1', network: arch.name, layers: Object.fromEntries(entries), expect: { drelus } }
}

function entryOf(relu: LayerRelu, shape: Shape): PlannedRelu {
  const comparison = 'comparison' in relu && relu.comparison ? { comparison: relu.comparison } : {}
  if (relu.kind === 'mask') {
    const bits = new Uint8Array(Math.ceil(relu.bits.length / 8))
    for (const [i, bit] of relu.bits.entries()) bits[i >> 3] |= bit << (i & 7)
    const { kind, off } = relu
    return { kind, shape, off, encoding: 'base64-bits-lsb-first', bits: toBase64(bits), ...comparison }
  }
  if (relu.kind !== 'block') return { kind: relu.kind, ...comparison }
  const keys = relu.blocks.map(formatShape)
  const distinct = [...new Map(relu.blocks.map((block): [string, Pair] => [formatShape(block), block]))]
  const palette = distinct.sort(([, a], [, b]) => a[0] * a[1] - b[0] * b[1] || a[0] - b[0]).map(([, block]) => block)
  const place = new Map(palette.map((block, i) => [formatShape(block), i]))
  return { kind: 'block', shape, palette, index: keys.map((key) => place.get(key)!), ...comparison }
}
