// Activations in float: plain, shared by blocks, masked, passed on or zeroed.
import { type ReluLayout, reluLayout } from '../model/relu-layout.js'
import type { LayerRelu } from '../model/relu-spec.js'
import { formatShape, type Shape } from '../model/shape.js'

/** A relu layer's output; a block's elements are kept when their sum is >= 0, negative ones among them too. */
export function applyRelu(relu: LayerRelu, shape: Shape, x: Float32Array): Float32Array {
  if (relu.kind === 'identity') return x
  const out = new Float32Array(x.length)
  if (relu.kind === 'zero') return out
  if (relu.kind === 'relu') {
    for (let i = 0; i < x.length; i++) out[i] = Math.max(x[i], 0)
    return out
  }
  const layout = layoutOf(relu, shape)
  const bits = comparisons(layout, x)
  for (const i of layout.identity) out[i] = x[i]
  for (let s = 0; s < layout.switched.length; s++) {
    if (bits[layout.group[s]] !== 0) out[layout.switched[s]] = x[layout.switched[s]]
  }
  return out
}

/** Layouts by activation and shape: they are the same for every input of a network. */
const layouts = new WeakMap<LayerRelu, Map<string, ReluLayout>>()

function layoutOf(relu: LayerRelu, shape: Shape): ReluLayout {
  const byShape = layouts.get(relu) ?? new Map<string, ReluLayout>()
  layouts.set(relu, byShape)
  const key = formatShape(shape)
  const layout = byShape.get(key) ?? reluLayout(relu, shape)
  byShape.set(key, layout)
  return layout
}

function comparisons(layout: ReluLayout, x: Float32Array): Uint8Array {
  const { singles, patches, switched, group, patchStart, patchElements } = layout
  const bits = new Uint8Array(singles + patches)
  for (let s = 0; s < switched.length; s++) if (group[s] < singles && x[switched[s]] >= 0) bits[group[s]] = 1
  for (let p = 0; p < patches; p++) {
    let sum = 0
    for (let i = patchStart[p]; i < patchStart[p + 1]; i++) sum += x[patchElements[i]]
    if (sum >= 0) bits[singles + p] = 1
  }
  return bits
}
