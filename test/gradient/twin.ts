// A network in training as its definitions read: every op over a whole batch, in double precision, element by element.
import { toMapSize } from '../../src/float/activation.js'
import { fullGeometry, geometryOf, poolOf } from '../../src/float/operations.js'
import type { Norm } from '../../src/gradient/differentiable.js'
import type { Architecture } from '../../src/model/architecture.js'
import { blendsOf } from '../../src/model/layers/blends.js'
import { effectiveOp, type Layer } from '../../src/model/layers/layers.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../../src/model/relu/spec.js'
import { asMap, elementCount } from '../../src/model/shape.js'
import * as kernels from '../kernels/float/float-twin.js'
import { openGates } from '../kernels/gradient/twin.js'

type Values = readonly ArrayLike<number>[]
export type Tensors = Readonly<Record<string, ArrayLike<number>>>
export type SlowWeights = ReadonlyMap<string, Tensors>

/** Outputs per picture. */
export function slowForward(
  arch: Architecture,
  weights: SlowWeights,
  spec: ReluSpec | undefined,
  norm: Norm,
  inputs: Values,
): Values {
  const values = new Map<string, Values>([[arch.inputs[0].name, inputs]])
  for (const given of arch.layers) {
    const layer = { ...given, ...effectiveOp(given) } as Layer
    const x = layer.in.map((id) => values.get(id)!)
    values.set(layer.id, apply(layer, x, weights.get(layer.id) ?? {}, resolveRelu(spec, layer), norm))
  }
  return values.get(arch.outputs[0])!
}

function apply(layer: Layer, x: readonly Values[], tensors: Tensors, relu: LayerRelu, norm: Norm): Values {
  const each = (one: (picture: ArrayLike<number>, p: number) => ArrayLike<number>): Values => x[0].map(one)
  const channels = layer.out[0]
  const n = elementCount(layer.out)
  const plane = n / channels
  const channel = (i: number) => Math.floor(i / plane)
  switch (layer.op) {
    case 'conv2d':
    case 'linear': {
      const g = layer.op === 'conv2d' ? geometryOf(layer) : fullGeometry(layer.inShapes[0][0], layer.cout)
      return each((v) => kernels.conv(g, v, tensors.weight, tensors.bias ?? new Float64Array(g.cout)).values)
    }
    case 'batchNorm': {
      const statistics = Array.from({ length: channels }, (_, c) => {
        if (norm === 'running') return [tensors.running_mean[c], tensors.running_var[c]]
        const all = x[0].flatMap((v) => Array.from(v).slice(c * plane, (c + 1) * plane))
        const mean = all.reduce((a, b) => a + b) / all.length
        return [mean, all.reduce((sum, v) => sum + (v - mean) ** 2, 0) / all.length]
      })
      const scaled = (v: number, c: number) => (v - statistics[c][0]) / Math.sqrt(statistics[c][1] + layer.eps)
      return each((v) =>
        Array.from(v, (v, i) => scaled(v, channel(i)) * tensors.weight[channel(i)] + tensors.bias[channel(i)]),
      )
    }
    case 'channelScale':
      return each((v) => Array.from(v, (v, i) => v * tensors.weight[channel(i)]))
    case 'relu':
    case 'clip':
    case 'leakyRelu':
    case 'prelu': {
      const slope = (c: number) =>
        layer.op === 'leakyRelu' ? layer.slope : layer.op === 'prelu' ? tensors.weight[c] : 0
      const [low, high] = layer.op === 'clip' ? [layer.min, layer.max] : [0, Number.POSITIVE_INFINITY]
      return each((v) => activate(Array.from(v), layer, relu, low, high, slope))
    }
    case 'add':
      return each((_, p) => Array.from({ length: n }, (_, i) => x.reduce((sum, values) => sum + values[p][i], 0)))
    case 'weightedSum': {
      const raw = Array.from(tensors.coef)
      const total = raw.reduce((sum, c) => sum + Math.exp(c), 0)
      const factors = layer.norm === 'softmax' ? raw.map((c) => Math.exp(c) / total) : raw
      return each((_, p) => Array.from({ length: n }, (_, i) => x.reduce((sum, v, k) => sum + factors[k] * v[p][i], 0)))
    }
    case 'concat':
      return each((_, p) => x.flatMap((values) => Array.from(values[p])))
    case 'avgPool':
    case 'maxPool': {
      const windows = (v: ArrayLike<number>) => kernels.poolWindows(poolOf(layer), v)
      if (layer.op === 'maxPool') return each((v) => windows(v).map(({ elements }) => Math.max(...elements)))
      return each((v) =>
        windows(v).map(({ elements, places }) => {
          return elements.reduce((a, b) => a + b, 0) / (layer.countPad ? places : elements.length)
        }),
      )
    }
    case 'globalAvgPool': {
      const size = elementCount(layer.inShapes[0]) / channels
      const mean = (v: ArrayLike<number>, c: number) => {
        return (
          Array.from(v)
            .slice(c * size, (c + 1) * size)
            .reduce((a, b) => a + b) / size
        )
      }
      return each((v) => Array.from({ length: channels }, (_, c) => mean(v, c)))
    }
    case 'resize': {
      const { h, w } = toMapSize(layer.inShapes[0])
      const [rows, columns] = [blendsOf(layer.mode, h, layer.size[0])!, blendsOf(layer.mode, w, layer.size[1])!]
      return mapped(layer, x[0], (v, c, i, j) => {
        const at = (y: number, z: number) => v[(c * h + y) * w + z]
        const [r, k] = [rows[i], columns[j]]
        const along = (y: number) => (1 - k.weight) * at(y, k.first) + k.weight * at(y, k.second)
        return (1 - r.weight) * along(r.first) + r.weight * along(r.second)
      })
    }
    case 'pad':
      return moved(layer, x[0], [1, 1], [-layer.pad[0], -layer.pad[1]], 0, layer.fill)
    case 'subsample':
      return moved(layer, x[0], layer.stride, layer.offset, 0, 0)
    case 'shortcutA':
      return moved(layer, x[0], layer.stride, [0, 0], layer.padChannels[0], 0)
    case 'zero':
      return each(() => new Float64Array(n))
    default:
      return x[0]
  }
}

function activate(
  v: readonly number[],
  layer: Layer,
  relu: LayerRelu,
  low: number,
  high: number,
  slope: (channel: number) => number,
): number[] {
  const [c, h, w] = asMap(layer.out)
  const blocks = Array.from({ length: c }, (_, i) => {
    if (relu.kind === 'block') return relu.blocks[i]
    return relu.kind === 'identity' ? ([0, 1] as const) : relu.kind === 'zero' ? ([1, 0] as const) : ([1, 1] as const)
  })
  const open = openGates(v, blocks, low, high, h, w)
  const means = blockMeans(v, blocks, h, w)
  return v.map((value, i) => {
    const channel = Math.floor(i / (h * w))
    if (relu.kind === 'mask' && relu.bits[i] === 0) return relu.off === 'identity' ? value : 0
    if (blocks[channel][1] === 0) return 0
    if (open[i]) return value
    const cut = means[i] < low ? low : high
    return cut + slope(channel) * (value - cut)
  })
}

function blockMeans(v: readonly number[], blocks: readonly (readonly number[])[], h: number, w: number): number[] {
  return v.map((_, i) => {
    const [bh, bw] = blocks[Math.floor(i / (h * w))].map((size) => Math.max(size, 1))
    const [row, column] = [Math.floor(i / w) % h, i % w]
    const first = i - row * w - column
    let [sum, count] = [0, 0]
    for (let y = row - (row % bh); y < Math.min(row - (row % bh) + bh, h); y++) {
      for (let z = column - (column % bw); z < Math.min(column - (column % bw) + bw, w); z++) {
        sum += v[first + y * w + z]
        count++
      }
    }
    return sum / count
  })
}

function mapped(
  layer: Layer,
  values: Values,
  at: (v: ArrayLike<number>, c: number, i: number, j: number) => number,
): Values {
  const [c, h, w] = asMap(layer.out)
  return values.map((v) =>
    Array.from({ length: c * h * w }, (_, n) => at(v, Math.floor(n / (h * w)), Math.floor(n / w) % h, n % w)),
  )
}

function moved(
  layer: Layer,
  values: Values,
  stride: readonly number[],
  offset: readonly number[],
  channelOffset: number,
  fill: number,
): Values {
  const [c, h, w] = asMap(layer.inShapes[0])
  return mapped(layer, values, (v, k, i, j) => {
    const [channel, y, z] = [k - channelOffset, i * stride[0] + offset[0], j * stride[1] + offset[1]]
    const inside = channel >= 0 && channel < c && y >= 0 && y < h && z >= 0 && z < w
    return inside ? v[(channel * h + y) * w + z] : fill
  })
}
