// Operations with trained tensors: convolutions, batch norms, channel scales, weighted sums.
import { addScaledF32, affineF32, convF32, type FloatConv, packConvF32, repackConvF32 } from '../kernels/float/conv.js'
import type { ConvGeometry } from '../kernels/geometry.js'
import {
  type ConvGradient,
  inputGradF32,
  prepareConvGradient,
  reloadConvGradient,
  weightGradF32,
} from '../kernels/gradient/conv.js'
import { affine2F32, channelSumsF32 } from '../kernels/gradient/maps.js'
import { type Region, upload } from '../kernels/instance.js'
import type { LayerOf } from '../model/layers/layers.js'
import { elementCount } from '../model/shape.js'
import { type LayerTensors, tensorOf, type Weights } from '../model/weights.js'
import { type Differentiable, eachPicture, type Parts } from './differentiable.js'

export function convolution(
  g: ConvGeometry,
  layer: LayerOf<'conv2d'> | LayerOf<'linear'>,
  { k, weights: first }: Parts,
): Differentiable {
  const tensors = (weights: Weights) => ({
    weight: tensorOf(weights, layer.id, 'weight'),
    bias: layer.bias ? tensorOf(weights, layer.id, 'bias') : undefined,
  })
  const { weight, bias } = tensors(first)
  const conv: FloatConv = packConvF32(k, g, weight, bias)
  const gradient: ConvGradient = prepareConvGradient(k, g, weight)
  const plane = elementCount(layer.out) / g.cout
  return {
    keepsInputs: true,
    load(weights) {
      const { weight, bias } = tensors(weights)
      repackConvF32(k, conv, weight, bias)
      reloadConvGradient(k, gradient, weight)
    },
    forward([x], out, pictures) {
      eachPicture(pictures, [x, out], ([x, out]) => convF32(k, conv, x, out))
    },
    backward(dy, [x], pictures, wanted) {
      const dw = k.memory.allocZero(4 * weight.length)
      eachPicture(pictures, [x, dy], ([x, dy]) => weightGradF32(k, gradient, x, dy, dw))
      const own: LayerTensors = {
        weight: dw.f32().slice(),
        ...(bias ? { bias: Float32Array.from(channelSumsF32(k, dy, dy, pictures, g.cout, plane).sum) } : {}),
      }
      dw.release()
      if (!wanted) return { inputs: [], tensors: own }
      const dx = k.memory.alloc(x.byteLength)
      eachPicture(pictures, [dy, dx], ([dy, dx]) => inputGradF32(k, gradient, dy, dx))
      return { inputs: [dx], tensors: own }
    },
    release() {
      conv.release()
      gradient.release()
    },
  }
}

/** Statistics of a batch, or those it is normalised by instead. */
interface Statistics {
  readonly mean: Float64Array
  readonly variance: Float64Array
}

/**
 * y = γ·(x - μ)·s + β with s = 1/√(σ² + ε), μ and σ² over pictures and planes (Ioffe & Szegedy 2015). With statistics of
 * the batch dx = γs·(g - mean(g) - x̂·mean(g·x̂)), which is one map of g and x per channel; else dx = γs·g.
 */
export function batchNorm(layer: LayerOf<'batchNorm'>, { k, weights: first, norm }: Parts): Differentiable {
  const [channels] = layer.out
  const n = elementCount(layer.out) / channels
  let tensors = first.get(layer.id)!
  let used: Statistics | undefined
  let count = 0
  const inverse = (c: number) => 1 / Math.sqrt(used!.variance[c] + layer.eps)
  return {
    keepsInputs: true,
    load(weights) {
      tensors = weights.get(layer.id)!
    },
    forward([x], out, pictures) {
      count = pictures * n
      used = norm === 'batch' ? ofBatch(x, pictures) : running(tensors)
      const factor = Float32Array.from(used.mean, (_, c) => tensors.weight![c] * inverse(c))
      const shift = Float32Array.from(used.mean, (mean, c) => tensors.bias![c] - mean * tensors.weight![c] * inverse(c))
      const [factors, shifts] = [upload(k.memory, factor), upload(k.memory, shift)]
      eachPicture(pictures, [x, out], ([x, out]) => affineF32(k, x, factors, shifts, out, channels, n))
      factors.release()
      shifts.release()
    },
    backward(g, [x], pictures, wanted) {
      const { sum, dot } = channelSumsF32(k, g, x, pictures, channels, n)
      const dGamma = Float64Array.from(sum, (s, c) => (dot[c] - used!.mean[c] * s) * inverse(c))
      const own = { weight: Float32Array.from(dGamma), bias: Float32Array.from(sum) }
      if (!wanted) return { inputs: [], tensors: own }
      const coefficients = new Float32Array(3 * channels)
      for (let c = 0; c < channels; c++) {
        const a = tensors.weight![c] * inverse(c)
        const b = norm === 'batch' ? (-a * inverse(c) * dGamma[c]) / count : 0
        coefficients[c] = a
        coefficients[channels + c] = b
        coefficients[2 * channels + c] = norm === 'batch' ? (-a * sum[c]) / count - b * used!.mean[c] : 0
      }
      const table = upload(k.memory, coefficients)
      eachPicture(pictures, [g, x], ([g, x]) => affine2F32(k, g, x, table, g, channels, n))
      table.release()
      return { inputs: [g], tensors: own }
    },
    statistics: () => ({
      running_mean: Float32Array.from(used!.mean),
      running_var: Float32Array.from(used!.variance, (v) => (count > 1 ? (v * count) / (count - 1) : v)),
    }),
    release() {},
  }

  function ofBatch(x: Region, pictures: number): Statistics {
    const { sum, dot } = channelSumsF32(k, x, x, pictures, channels, n)
    const mean = sum.map((s) => s / count)
    return { mean, variance: dot.map((d, c) => Math.max(d / count - mean[c] ** 2, 0)) }
  }
}

const running = ({ running_mean, running_var }: LayerTensors): Statistics => ({
  mean: Float64Array.from(running_mean!),
  variance: Float64Array.from(running_var!),
})

export function channelScale(layer: LayerOf<'channelScale'>, { k, weights: first }: Parts): Differentiable {
  const [channels] = layer.out
  const n = elementCount(layer.out) / channels
  const factors = upload(k.memory, tensorOf(first, layer.id, 'weight'))
  const none = upload(k.memory, new Float32Array(channels))
  return {
    keepsInputs: true,
    load: (weights) => factors.f32().set(tensorOf(weights, layer.id, 'weight')),
    forward([x], out, pictures) {
      eachPicture(pictures, [x, out], ([x, out]) => affineF32(k, x, factors, none, out, channels, n))
    },
    backward(g, [x], pictures, wanted) {
      const { dot } = channelSumsF32(k, g, x, pictures, channels, n)
      const tensors = { weight: Float32Array.from(dot) }
      if (!wanted) return { inputs: [], tensors }
      eachPicture(pictures, [g], ([g]) => affineF32(k, g, factors, none, g, channels, n))
      return { inputs: [g], tensors }
    },
    release() {
      factors.release()
      none.release()
    },
  }
}

/** y = Σ w_i·x_i, w the coefficients or their softmax, whose gradient is w_i·(d_i - Σ w_j·d_j) with d_i = ⟨g, x_i⟩. */
export function weightedSum(layer: LayerOf<'weightedSum'>, { k, weights: first }: Parts): Differentiable {
  const softened = layer.norm === 'softmax'
  const factorsOf = (weights: Weights) => {
    const raw = tensorOf(weights, layer.id, 'coef')
    return softened ? softmax(raw) : Array.from(raw)
  }
  let factors = factorsOf(first)
  return {
    keepsInputs: true,
    load(weights) {
      factors = factorsOf(weights)
    },
    forward(x, out) {
      out.u8().fill(0)
      for (const [i, one] of x.entries()) addScaledF32(k, one, factors[i], out, out.byteLength / 4)
    },
    backward(g, x, _, wanted) {
      const n = g.byteLength / 4
      const dots = x.map((one) => channelSumsF32(k, g, one, 1, 1, n).dot[0])
      const mean = softened ? dots.reduce((sum, dot, i) => sum + factors[i] * dot, 0) : 0
      const tensors = { coef: Float32Array.from(dots, (dot, i) => (softened ? factors[i] * (dot - mean) : dot)) }
      if (!wanted) return { inputs: [], tensors }
      const inputs = x.map((_, i) => {
        const dx = k.memory.allocZero(g.byteLength)
        addScaledF32(k, g, factors[i], dx, n)
        return dx
      })
      return { inputs, tensors }
    },
    release() {},
  }
}

/** In double precision. */
export function softmax(values: ArrayLike<number>, temperature = 1): number[] {
  const list = Array.from(values, (value) => value / temperature)
  const most = Math.max(...list)
  const powers = list.map((value) => Math.exp(value - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}
