// Float layers other than convolutions and activations. Each returns a new array and leaves its inputs alone.
import type { AvgPool, LayerBase, LayerOf } from '../model/layers.js'
import { elementCount } from '../model/shape.js'
import { tensorOf, type Weights } from '../model/weights.js'

/** (x - mean) / sqrt(var + eps) * weight + bias, per channel. */
export function batchNorm(layer: LayerOf<'batchNorm'>, x: Float32Array, weights: Weights): Float32Array {
  const gamma = tensorOf(weights, layer.id, 'weight')
  const beta = tensorOf(weights, layer.id, 'bias')
  const mean = tensorOf(weights, layer.id, 'running_mean')
  const variance = tensorOf(weights, layer.id, 'running_var')
  const out = new Float32Array(x.length)
  const plane = x.length / gamma.length
  for (let c = 0, i = 0; c < gamma.length; c++) {
    const factor = gamma[c] / Math.sqrt(variance[c] + layer.eps)
    const shift = beta[c] - mean[c] * factor
    for (const end = i + plane; i < end; i++) out[i] = x[i] * factor + shift
  }
  return out
}

export function scaleChannels(x: Float32Array, factors: Float32Array): Float32Array {
  const out = new Float32Array(x.length)
  const plane = x.length / factors.length
  for (let c = 0, i = 0; c < factors.length; c++) for (const end = i + plane; i < end; i++) out[i] = x[i] * factors[c]
  return out
}

export function addAll(inputs: readonly Float32Array[]): Float32Array {
  const out = inputs[0].slice()
  for (const other of inputs.slice(1)) for (let i = 0; i < out.length; i++) out[i] += other[i]
  return out
}

/** Windows are cut to the padded map, then to the real one; `countPad` says which size divides the sum. */
export function averagePool(layer: LayerBase & AvgPool, x: Float32Array): Float32Array {
  const [channels, h, w] = layer.inShapes[0]
  const [, oh, ow] = layer.out
  const rows = poolSpans(oh, h, layer.pad[0], layer.pad[2], layer.kernel[0], layer.stride[0])
  const columns = poolSpans(ow, w, layer.pad[1], layer.pad[3], layer.kernel[1], layer.stride[1])
  const out = new Float32Array(channels * oh * ow)
  let at = 0
  for (let c = 0; c < channels; c++) {
    for (const row of rows) {
      for (const column of columns) {
        let sum = 0
        for (let y = row.start; y < row.end; y++) {
          const line = (c * h + y) * w
          for (let i = column.start; i < column.end; i++) sum += x[line + i]
        }
        out[at++] = sum / poolDivisor(row, column, layer.countPad)
      }
    }
  }
  return out
}

interface PoolSpan {
  /** First element of the map in the window, and one past the last. */
  readonly start: number
  readonly end: number
  /** Size of the window within the padded map. */
  readonly padded: number
}

function poolDivisor(row: PoolSpan, column: PoolSpan, countPad: boolean): number {
  return countPad ? row.padded * column.padded : (row.end - row.start) * (column.end - column.start)
}

/** Windows along one axis. */
export function poolSpans(
  count: number,
  size: number,
  before: number,
  after: number,
  kernel: number,
  stride: number,
): PoolSpan[] {
  return Array.from({ length: count }, (_, i) => {
    const from = i * stride - before
    const to = Math.min(from + kernel, size + after)
    return { start: Math.max(from, 0), end: Math.min(to, size), padded: to - from }
  })
}

export function padMap(layer: LayerOf<'pad'>, x: Float32Array): Float32Array {
  const [channels, h, w] = layer.inShapes[0]
  const [, oh, ow] = layer.out
  const [top, left] = layer.pad
  const out = new Float32Array(elementCount(layer.out)).fill(layer.fill)
  const first = Math.max(0, left)
  const last = Math.min(ow, left + w)
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, top); y < Math.min(oh, top + h); y++) {
      const line = (c * h + y - top) * w - left
      if (last > first) out.set(x.subarray(line + first, line + last), (c * oh + y) * ow + first)
    }
  }
  return out
}

/** Picks every stride-th row and column; for shortcutA, between channels of zeros. */
export function shrinkMap(layer: LayerOf<'subsample'> | LayerOf<'shortcutA'>, x: Float32Array): Float32Array {
  const [channels, h, w] = layer.inShapes[0]
  const [, oh, ow] = layer.out
  const [sh, sw] = layer.stride
  const [dy, dx] = layer.op === 'subsample' ? layer.offset : [0, 0]
  const below = layer.op === 'shortcutA' ? layer.padChannels[0] : 0
  const out = new Float32Array(elementCount(layer.out))
  let at = below * oh * ow
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < oh; y++) {
      const line = (c * h + dy + y * sh) * w + dx
      for (let i = 0; i < ow; i++) out[at++] = x[line + i * sw]
    }
  }
  return out
}
