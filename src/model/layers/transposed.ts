// A transposed convolution as what it is: a convolution with the weights turned round, of a map whose elements were moved
// apart (Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285, §4).
import { asMap } from '../shape.js'
import type { LayerOf, Pair } from './layers.js'

/** The map that the convolution runs over, without padding of its own: input row i lies at row `at` + i · `step`. */
export interface SpreadMap {
  readonly size: Pair
  readonly at: Pair
  readonly step: Pair
}

export function spreadMap({ kernel, dilation, stride, pad, out }: LayerOf<'convTranspose2d'>): SpreadMap {
  const [, h, w] = asMap(out)
  const reach = [dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)] as const
  return { size: [h + reach[0], w + reach[1]], at: [reach[0] - pad[0], reach[1] - pad[1]], step: stride }
}

/** Which row (or column) of the input each one of the spread map holds; -1 for zeros. */
export function spreadLines({ size, at, step }: SpreadMap, axis: 0 | 1, count: number): number[] {
  return Array.from({ length: size[axis] }, (_, line) => {
    const from = (line - at[axis]) / step[axis]
    return Number.isInteger(from) && from >= 0 && from < count ? from : -1
  })
}

/** Weights [cin, cout / groups, kh, kw] as the convolution's [cout, cin / groups, kh, kw], taps in reverse. */
export function turnedWeights(weight: Float32Array, layer: LayerOf<'convTranspose2d'>): Float32Array {
  const { cout, groups, kernel } = layer
  const taps = kernel[0] * kernel[1]
  const [cin] = layer.inShapes[0]
  const [inputs, outputs] = [cin / groups, cout / groups]
  const turned = new Float32Array(weight.length)
  if (weight.length === 0) return weight
  for (let i = 0; i < cin; i++) {
    const group = Math.floor(i / inputs)
    for (let o = 0; o < outputs; o++) {
      const from = (i * outputs + o) * taps
      const to = ((group * outputs + o) * inputs + (i % inputs)) * taps
      for (let t = 0; t < taps; t++) turned[to + taps - 1 - t] = weight[from + t]
    }
  }
  return turned
}
