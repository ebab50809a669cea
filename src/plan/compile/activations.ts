// Piecewise-linear activations as several ReLUs of one value: one step, so one round trip, however many bends.
//   clip(x, a, b)  = a + ReLU(x - a) - ReLU(x - b)
//   leaky, PReLU   = s·x + (1 - s)·ReLU(x)
import type { Layer } from '../../model/layers/layers.js'
import type { LayerRelu } from '../../model/relu/spec.js'
import type { LayerTensors } from '../../model/weights.js'
import type { Bends, MapShape } from '../plan.js'
import { affineFilter, channelsFrom, type Expression } from './expression.js'

export interface Bent {
  /** Over all copies of the value. */
  readonly relu: LayerRelu
  /** By how much copies may exceed the value itself. */
  readonly offset: number
  /** The copies, when the result has `scale` fraction bits; none for a plain ReLU. */
  bends?(scale: number): Bends
  /** The activation's value from the step's tensor. */
  combine(tensor: Expression): Expression
}

export function bent(layer: Layer, spec: LayerRelu, shape: MapShape, tensors: LayerTensors): Bent {
  switch (layer.op) {
    case 'clip':
      return clip(layer.min, layer.max, spec)
    case 'leakyRelu':
      return leaky(layer.id, new Float32Array(shape[0]).fill(layer.slope), spec, shape)
    case 'prelu': {
      const { weight } = tensors
      const slopes = Float32Array.from({ length: shape[0] }, (_, c) => weight![c % weight!.length])
      return leaky(layer.id, slopes, spec, shape)
    }
    default:
      return { relu: spec, offset: 0, combine: (tensor) => tensor }
  }
}

/** The second copy is taken off the first, so that one word comes back. */
function clip(min: number, max: number, spec: LayerRelu): Bent {
  // Where a channel or an element passes unchanged there is nothing to take off again.
  const relu: LayerRelu =
    spec.kind === 'mask'
      ? copiesOf(spec, [spec.bits, spec.bits], [passing(spec), none(spec)])
      : spec.kind === 'block'
        ? { ...spec, blocks: [...spec.blocks, ...spec.blocks.map((b) => (b[0] === 0 ? ([1, 0] as const) : b))] }
        : spec
  return {
    relu,
    offset: Math.max(Math.abs(min), Math.abs(max)),
    bends(scale) {
      const [low, high] = [min, max].map((bound) => Math.round(bound * 2 ** scale))
      return { shifts: [-low, -high], sum: { signs: [1, -1], plus: low } }
    },
    combine: (tensor) => tensor,
  }
}

/** Copies: the ReLU, and the value as it is. */
function leaky(id: string, slopes: Float32Array, spec: LayerRelu, shape: MapShape): Bent {
  const [c] = shape
  const linear = (blocks: readonly (readonly [number, number])[]) =>
    blocks.map((b) => (b[1] === 0 ? ([1, 0] as const) : ([0, 1] as const)))
  const whole = Array.from({ length: c }, () => [1, 1] as const)
  const relu: LayerRelu =
    spec.kind === 'mask'
      ? copiesOf(spec, [spec.bits, none(spec)], [passing(spec), spec.off === 'zero' ? spec.bits : all(spec)])
      : blocksOf(spec, whole, linear)
  return {
    relu,
    offset: 0,
    bends: () => ({ shifts: [0, 0], sum: null }),
    combine(tensor) {
      const scaled = (at: number, by: Float32Array): Expression => {
        const of = channelsFrom(tensor, at, shape)
        return { kind: 'conv', of, filter: affineFilter(id, shape, by, new Float32Array(c)), shape }
      }
      return {
        kind: 'add',
        of: [
          scaled(
            0,
            slopes.map((s) => 1 - s),
          ),
          scaled(c, slopes),
        ],
        shape,
      }
    },
  }
}

type Mask = Extract<LayerRelu, { kind: 'mask' }>

const none = ({ bits }: Mask): Uint8Array => new Uint8Array(bits.length)
const all = ({ bits }: Mask): Uint8Array => new Uint8Array(bits.length).fill(1)
/** What is off and passes. */
const passing = (mask: Mask): Uint8Array => (mask.off === 'zero' ? none(mask) : mask.bits.map((bit) => 1 - bit))

/** A mask over two copies: which elements of each have a ReLU, and which of the others pass. */
function copiesOf(mask: Mask, bits: readonly Uint8Array[], passed: readonly Uint8Array[]): Mask {
  const joined = ([a, b]: readonly Uint8Array[]): Uint8Array => {
    const both = new Uint8Array(2 * a.length)
    both.set(a)
    both.set(b, a.length)
    return both
  }
  const { kind, comparison } = mask
  const passes = passed.some((copy) => copy.includes(1))
  return {
    ...{ kind, off: 'zero', bits: joined(bits) },
    ...(passes && { passed: joined(passed) }),
    ...(comparison && { comparison }),
  }
}

type Blocks = readonly (readonly [number, number])[]

function blocksOf(spec: LayerRelu, whole: Blocks, passing: (blocks: Blocks) => Blocks): LayerRelu {
  const blocks = spec.kind === 'block' ? spec.blocks : whole
  const comparison = 'comparison' in spec && spec.comparison ? { comparison: spec.comparison } : {}
  return { kind: 'block', blocks: [...blocks, ...passing(blocks)], ...comparison }
}

/** A ReLU that the last `passed` channels pass unchanged. */
export function reluBut(channels: number, passed: number): LayerRelu {
  if (passed === 0) return { kind: 'relu' }
  const block = (c: number) => (c < channels - passed ? ([1, 1] as const) : ([0, 1] as const))
  return { kind: 'block', blocks: Array.from({ length: channels }, (_, c) => block(c)) }
}
