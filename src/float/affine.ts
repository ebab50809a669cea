// Per-channel maps x·factor + shift: batch norms and channel scales, alone or folded into the convolution before them.
import type { Layer } from '../model/layers/layers.js'
import { tensorOf, type Weights } from '../model/weights.js'

export interface Affine {
  readonly factor: Float64Array
  readonly shift: Float64Array
}

/** Whether the layer is a per-channel map. */
export function isAffine(layer: Layer): boolean {
  return layer.op === 'batchNorm' || layer.op === 'channelScale'
}

/** The layers' maps one after another; every layer is one, and there is at least one. */
export function affineOf(layers: readonly Layer[], weights: Weights): Affine {
  return layers.map((layer) => oneAffine(layer, weights)).reduce(after)
}

/** (x - mean) / sqrt(var + eps) · weight + bias, or x · weight. */
function oneAffine(layer: Layer, weights: Weights): Affine {
  const gamma = tensorOf(weights, layer.id, 'weight')
  if (layer.op !== 'batchNorm') return { factor: Float64Array.from(gamma), shift: new Float64Array(gamma.length) }
  const beta = tensorOf(weights, layer.id, 'bias')
  const mean = tensorOf(weights, layer.id, 'running_mean')
  const variance = tensorOf(weights, layer.id, 'running_var')
  const factor = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + layer.eps))
  return { factor, shift: factor.map((f, c) => beta[c] - mean[c] * f) }
}

function after(first: Affine, then: Affine): Affine {
  return {
    factor: first.factor.map((f, c) => f * then.factor[c]),
    shift: first.shift.map((s, c) => s * then.factor[c] + then.shift[c]),
  }
}

/** Weights [cout, …] and biases of a convolution with the map behind it, rounded once. */
export function foldAffine(
  weight: Float32Array,
  bias: Float32Array | undefined,
  { factor, shift }: Affine,
): { weight: Float32Array; bias: Float32Array } {
  const perChannel = weight.length / factor.length
  const folded = new Float32Array(weight.length)
  for (let o = 0, i = 0; o < factor.length; o++) {
    for (const end = i + perChannel; i < end; i++) folded[i] = weight[i] * factor[o]
  }
  return { weight: folded, bias: Float32Array.from(shift, (s, o) => s + (bias ? bias[o] * factor[o] : 0)) }
}
