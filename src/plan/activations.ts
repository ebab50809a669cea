// Piecewise-linear activations as several ReLUs of one value: one step, so one round trip, however many bends.
//   clip(x, a, b)  = a + ReLU(x - a) - ReLU(x - b)
//   leaky, PReLU   = s·x + (1 - s)·ReLU(x)
import { RingfenceError } from '../errors.js'
import type { Layer } from '../model/layers.js'
import type { LayerRelu } from '../model/relu-spec.js'
import type { LayerTensors } from '../model/weights.js'
import { affineFilter, type Expression } from './expression.js'
import type { Bends, MapShape } from './plan.js'

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

/** @throws RingfenceError UNSUPPORTED for a mask that would keep what a bend needs gone */
export function bent(layer: Layer, spec: LayerRelu, shape: MapShape, tensors: LayerTensors): Bent {
  switch (layer.op) {
    case 'clip':
      return clip(layer.id, layer.min, layer.max, spec)
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
function clip(id: string, min: number, max: number, spec: LayerRelu): Bent {
  if (spec.kind === 'mask' && spec.off === 'identity') {
    throw new RingfenceError('UNSUPPORTED', `${id}: a mask on a clip can only switch elements to zero`)
  }
  // Where a channel passes unchanged there is nothing to take off again.
  const relu: LayerRelu =
    spec.kind === 'mask'
      ? { ...spec, bits: new Uint8Array([...spec.bits, ...spec.bits]) }
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

const part = (of: Expression, at: number, shape: MapShape): Expression => ({
  kind: 'embed',
  of,
  stride: [1, 1],
  from: [0, 0],
  at: [-at, 0, 0],
  shape,
})

/** Copies: the ReLU, and the value as it is. */
function leaky(id: string, slopes: Float32Array, spec: LayerRelu, shape: MapShape): Bent {
  const [c] = shape
  if (spec.kind === 'mask' && spec.off === 'zero') {
    throw new RingfenceError('UNSUPPORTED', `${id}: a mask on a leaky ReLU can only pass elements unchanged`)
  }
  const passing = (blocks: readonly (readonly [number, number])[]) =>
    blocks.map((b) => (b[1] === 0 ? ([1, 0] as const) : ([0, 1] as const)))
  const whole = Array.from({ length: c }, () => [1, 1] as const)
  const relu: LayerRelu =
    spec.kind === 'mask'
      ? { ...spec, bits: new Uint8Array([...spec.bits, ...new Uint8Array(spec.bits.length)]) }
      : blocksOf(spec, whole, passing)
  return {
    relu,
    offset: 0,
    bends: () => ({ shifts: [0, 0], sum: null }),
    combine(tensor) {
      const scaled = (at: number, by: Float32Array): Expression => {
        const of = part(tensor, at, shape)
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

type Blocks = readonly (readonly [number, number])[]

function blocksOf(spec: LayerRelu, whole: Blocks, passing: (blocks: Blocks) => Blocks): LayerRelu {
  const blocks = spec.kind === 'block' ? spec.blocks : whole
  const comparison = 'comparison' in spec && spec.comparison ? { comparison: spec.comparison } : {}
  return { kind: 'block', blocks: [...blocks, ...passing(blocks)], ...comparison }
}
