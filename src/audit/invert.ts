// Pictures from what is known of them: from values inside a network, and from the gradients of a loss.

import { lossOf } from '../gradient/loss.js'
import { slotsOf, toVector, withVector } from '../gradient/parameters.js'
import { Tape } from '../gradient/tape.js'
import { Uniform } from '../gradient/uniform.js'
import type { Architecture } from '../model/architecture.js'
import { partOf } from '../model/part.js'
import type { ReluSpec } from '../model/relu/spec.js'
import { asMap, elementCount } from '../model/shape.js'
import { bodyOf } from '../model/tail/split.js'
import type { Weights } from '../model/weights.js'
import { adamOf } from '../train/optimizer.js'
import { dot } from './rank.js'

/** A network as everybody who attacks it knows it: its weights, too. */
export interface KnownNetwork {
  readonly arch: Architecture
  readonly weights: Weights
  readonly spec: ReluSpec | undefined
}

export interface InversionOptions {
  /** Steps of Adam. */
  readonly steps: number
  /** Lowest and highest value of a picture. */
  readonly low: number
  readonly high: number
  readonly signal?: AbortSignal
}

/** Of the pictures' range: how far a step moves a pixel at first; and how much uneven pictures are worth avoiding. */
const RATE = 0.1
const EVEN = 1e-2
/** Of the weights' length: how far they are moved for a difference. */
const STEP = 3e-3
/** Total variation where gradients are matched. */
const EVEN_MATCHED = 5e-2

/**
 * Pictures whose values behind a layer point where the given ones do: 1 - cos of the angle between both is made small, and
 * total variation with it (Geiping et al. 2020 compare gradients so; the scale of what is given does not matter).
 * @param layer whose values are given; undefined where they are the picture's own
 */
export function invertFeatures(
  network: KnownNetwork,
  layer: string | undefined,
  features: readonly ArrayLike<number>[],
  options: InversionOptions,
): Float32Array[] {
  if (layer === undefined) return features.map((words) => stretched(words, options))
  const arch = partOf(bodyOf(network.arch), [layer])
  const tape = Tape.prepare(arch, network.weights, {
    ...{ spec: network.spec, norm: 'running', inputs: true },
  })
  const lengths = features.map((one) => Math.sqrt(dot(one, one)))
  const gradient = (pictures: readonly Float32Array[]): readonly Float32Array[] => {
    const seeds = tape.forward(pictures).map((found, i) => awayFrom(found, features[i], lengths[i]))
    return tape.backward(seeds).inputs
  }
  try {
    return descended(arch, features.length, gradient, options)
  } finally {
    tape.release()
  }
}

/**
 * Pictures from the gradients of a loss by the weights, each picture's own, as they leak where networks are trained together
 * (Zhu et al. 2019). The gradient of a dense layer's matrix is that of its output times its input: any of its rows points
 * where the input does, that of the picture's class backwards (Phong et al. 2017; Geiping et al. 2020, proposition 3.1). From
 * those values the picture is looked for as from any others.
 * @returns the layer before the last one and its values, but for their size; nothing where the last layer is not dense
 */
export function leakedByGradients(
  network: KnownNetwork,
  pictures: readonly Float32Array[],
): { readonly layer: string; readonly values: readonly Float32Array[] } | undefined {
  const arch = bodyOf(network.arch)
  const last = arch.byId.get(arch.outputs[0])!
  if (last.op !== 'linear') return undefined
  const tape = Tape.prepare(arch, network.weights, { spec: network.spec, norm: 'running' })
  const size = elementCount(last.inShapes[0])
  const values = pictures.map((picture) => {
    const [logits] = tape.forward([picture])
    const label = logits.indexOf(Math.max(...logits))
    const { weights } = tape.backward([lossOf(logits, label, CROSS_ENTROPY).seed])
    return weights
      .get(last.id)!
      .weight!.slice(label * size, (label + 1) * size)
      .map((g) => -g)
  })
  tape.release()
  return { layer: last.in[0], values }
}

/** Gradients of a loss by all trained tensors, in one vector per picture, as somebody gets them who trains together with others. */
export interface SharedGradients {
  readonly vectors: readonly Float32Array[]
  /** The classes that they say: of a cross entropy only the label's row of the last bias has a negative gradient (Zhao et al. 2020). */
  readonly labels: readonly number[]
}

const CROSS_ENTROPY = { smoothing: 0, distill: 0, temperature: 1 }

/** @returns nothing where the last layer has no bias, whose gradient shows the label */
export function gradientsOf(network: KnownNetwork, pictures: readonly Float32Array[]): SharedGradients | undefined {
  const arch = bodyOf(network.arch)
  const last = arch.byId.get(arch.outputs[0])!
  if (last.op !== 'linear' || !last.bias) return undefined
  const slots = slotsOf(arch)
  const tape = Tape.prepare(arch, network.weights, { spec: network.spec, norm: 'running' })
  const labels: number[] = []
  const vectors = pictures.map((picture) => {
    const [logits] = tape.forward([picture])
    const { weights } = tape.backward([lossOf(logits, logits.indexOf(Math.max(...logits)), CROSS_ENTROPY).seed])
    const bias = weights.get(last.id)!.bias!
    labels.push(bias.indexOf(Math.min(...bias)))
    return toVector(slots, weights)
  })
  tape.release()
  return { vectors, labels }
}

/**
 * Pictures whose gradients point where the given ones do, tensor by tensor (deep leakage from gradients: Zhu et al. 2019; by
 * angles, as Geiping et al. 2020). The derivative by the picture of ⟨gradient by the weights, r⟩ is how the gradient by the picture
 * changes when the weights go towards r, so that two more passes are all it takes.
 */
export function matchGradients(
  network: KnownNetwork,
  { vectors, labels }: SharedGradients,
  options: InversionOptions,
): Float32Array[] {
  const arch = bodyOf(network.arch)
  const slots = slotsOf(arch)
  const own = toVector(slots, network.weights)
  const size = Math.sqrt(dot(own, own))
  const tape = Tape.prepare(arch, network.weights, { spec: network.spec, norm: 'running', inputs: true })
  const at = (parameters: Float32Array, picture: Float32Array, label: number) => {
    tape.load(withVector(network.weights, slots, parameters))
    const [logits] = tape.forward([picture])
    return tape.backward([lossOf(logits, label, CROSS_ENTROPY).seed])
  }
  const slope = (picture: Float32Array, i: number): Float32Array => {
    const found = toVector(slots, at(own, picture, labels[i]).weights)
    const r = new Float32Array(found.length)
    for (const { start, length } of slots) {
      const part = (vector: Float32Array) => vector.subarray(start, start + length)
      const given = part(vectors[i])
      r.set(awayFrom(part(found), given, Math.sqrt(dot(given, given))), start)
    }
    const step = (STEP * size) / Math.max(Math.sqrt(dot(r, r)), 1e-30)
    const beside = (side: number) => {
      const [inputs] = at(
        own.map((w, k) => w + side * step * r[k]),
        picture,
        labels[i],
      ).inputs
      return inputs
    }
    const [up, down] = [beside(1), beside(-1)]
    return up.map((value, k) => (value - down[k]) / (2 * step))
  }
  try {
    return descended(arch, vectors.length, (pictures) => pictures.map(slope), options, EVEN_MATCHED)
  } finally {
    tape.release()
  }
}

/** The gradient of 1 - cos(found, given) by what was found. */
function awayFrom(found: Float32Array, given: ArrayLike<number>, length: number): Float32Array {
  const size = Math.max(Math.sqrt(dot(found, found)), 1e-20)
  const cosine = dot(found, given) / size / Math.max(length, 1e-20)
  return found.map((value, i) => (cosine * (value / size) - given[i] / Math.max(length, 1e-20)) / size)
}

/** Adam from even grey with a little noise, within the pictures' range; the rate falls to 0. */
function descended(
  arch: Architecture,
  count: number,
  gradient: (pictures: readonly Float32Array[]) => readonly Float32Array[],
  { steps, low, high, signal }: InversionOptions,
  even = EVEN,
): Float32Array[] {
  const { shape } = arch.inputs[0]
  const elements = elementCount(shape)
  const { next: random } = new Uniform(12345)
  const all = Float32Array.from({ length: count * elements }, () => low + (high - low) * (0.45 + 0.1 * random()))
  const pictures = Array.from({ length: count }, (_, i) => all.subarray(i * elements, (i + 1) * elements))
  const moments = [new Float32Array(all.length), new Float32Array(all.length)]
  const slopes = new Float32Array(all.length)
  for (let step = 0; step < steps; step++) {
    signal?.throwIfAborted()
    const given = gradient(pictures)
    for (let i = 0; i < count; i++) slopes.set(withEvenness(pictures[i], given[i], shape, even), i * elements)
    const rate = (RATE * (high - low) * (steps - step)) / steps
    adamOf(all, slopes, moments, { rate, momentum: 0.9, steps: step + 1 })
    for (let i = 0; i < all.length; i++) all[i] = Math.min(Math.max(all[i], low), high)
  }
  return pictures.map((picture) => picture.slice())
}

/** The gradient, of length 1, and that of total variation beside it. */
function withEvenness(
  picture: Float32Array,
  gradient: Float32Array,
  shape: Architecture['inputs'][0]['shape'],
  even: number,
) {
  const [channels, h, w] = asMap(shape)
  const size = Math.max(Math.sqrt(dot(gradient, gradient)), 1e-30)
  const sum = gradient.map((value) => value / size)
  const weight = even / Math.sqrt(picture.length)
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const at = (c * h + y) * w + x
        for (const next of [x + 1 < w ? at + 1 : at, y + 1 < h ? at + w : at]) {
          const sign = weight * Math.sign(picture[at] - picture[next])
          sum[at] += sign
          sum[next] -= sign
        }
      }
    }
  }
  return sum
}

/** What words look like as a picture: their range becomes the pictures'. */
export function stretched(words: ArrayLike<number>, { low, high }: InversionOptions): Float32Array {
  const list = Array.from(words)
  const [least, most] = [list.reduce((a, b) => Math.min(a, b)), list.reduce((a, b) => Math.max(a, b))]
  return Float32Array.from(list, (word) => low + ((high - low) * (word - least)) / Math.max(most - least, 1e-30))
}
