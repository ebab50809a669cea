// 'same' padding in numbers: TensorFlow's rule, which ONNX's auto_pad follows.
import type { Pad, Pair } from '../model/layers/layers.js'

/** What a window reads: its kernel with the gaps that dilation makes. */
export function reachOf(kernel: Pair, dilation: Pair): Pair {
  return [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1]
}

/**
 * Padding that gives ceil(size / stride) windows along each axis; an odd element goes after the map, or before it
 * where `lower` is set.
 * @param reach height and width of what one window reads
 */
export function samePadding([h, w]: Pair, reach: Pair, stride: Pair, lower = false): Pad {
  const [top, bottom] = split(total(h, reach[0], stride[0]), lower)
  const [left, right] = split(total(w, reach[1], stride[1]), lower)
  return [top, left, bottom, right]
}

function total(size: number, reach: number, stride: number): number {
  return Math.max((Math.ceil(size / stride) - 1) * stride + reach - size, 0)
}

function split(total: number, lower: boolean): Pair {
  const less = Math.floor(total / 2)
  return lower ? [total - less, less] : [less, total - less]
}
