// Piecewise-linear activations as ReLUs of stacked copies of their input: one step, so one round trip, however many bends.
//   clip(x, a, b)  = a + ReLU(x - a) - ReLU(x - b)
//   leaky, PReLU   = s·x + (1 - s)·ReLU(x)
import { RingfenceError } from '../errors.js'
import type { Layer } from '../model/layers.js'
import type { LayerRelu } from '../model/relu-spec.js'
import type { LayerTensors } from '../model/weights.js'
import { affineFilter, type Expression, type Value } from './expression.js'
import { lift } from './fold.js'
import { constant } from './linear-algebra.js'
import { concat } from './max-pool.js'
import type { MapShape } from './plan.js'

export interface Bent {
  /** What the step computes before its ReLUs. */
  readonly stacked: Value
  readonly relu: LayerRelu
  /** By how much stacked values may exceed the activation's own input. */
  readonly offset: number
  /** The activation's value from the step's tensor. */
  combine(tensor: Expression): Expression
}

/** @throws RingfenceError UNSUPPORTED for a mask that would keep what a bend needs gone */
export function bent(layer: Layer, spec: LayerRelu, value: Value, tensors: LayerTensors): Bent {
  switch (layer.op) {
    case 'clip':
      return clip(layer.id, layer.min, layer.max, spec, value)
    case 'leakyRelu':
      return leaky(layer.id, new Float32Array(value.expression.shape[0]).fill(layer.slope), spec, value)
    case 'prelu': {
      const { weight } = tensors
      const slopes = Float32Array.from({ length: value.expression.shape[0] }, (_, c) => weight![c % weight!.length])
      return leaky(layer.id, slopes, spec, value)
    }
    default:
      return { stacked: value, relu: spec, offset: 0, combine: (tensor) => tensor }
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

const shifted = (e: Expression, by: number): Expression =>
  by === 0 ? e : { kind: 'add', of: [e, constant(new Float32Array(e.shape[0]).fill(by), e.shape)], shape: e.shape }

function clip(id: string, min: number, max: number, spec: LayerRelu, value: Value): Bent {
  const x = lift(value)
  const { shape } = x
  const [c, h, w] = shape
  if (spec.kind === 'mask' && (spec.off === 'identity' || min !== 0)) {
    throw new RingfenceError('UNSUPPORTED', `${id}: a mask on a clip can only switch elements of [0, max] to zero`)
  }
  // Where a channel is zero the whole clip is; where it passes unchanged there is nothing to take off again.
  const blocks = spec.kind === 'block' ? spec.blocks : undefined
  const floor = Float32Array.from({ length: c }, (_, i) => (blocks?.[i][1] === 0 ? 0 : min))
  const relu: LayerRelu =
    spec.kind === 'mask'
      ? { ...spec, bits: new Uint8Array([...spec.bits, ...spec.bits]) }
      : spec.kind === 'block'
        ? { ...spec, blocks: [...spec.blocks, ...spec.blocks.map((b) => (b[0] === 0 ? ([1, 0] as const) : b))] }
        : spec
  return {
    stacked: { expression: concat([shifted(x, -min), shifted(x, -max)], h, w), factor: 1 },
    relu,
    offset: Math.max(Math.abs(min), Math.abs(max)),
    combine(tensor) {
      const bends: Expression[] = [part(tensor, 0, shape), { kind: 'negate', of: part(tensor, c, shape), shape }]
      const sum: Expression = { kind: 'add', of: bends, shape }
      if (floor.every((v) => v === 0)) return sum
      return { kind: 'add', of: [lift({ expression: sum, factor: 1 }), constant(floor, shape)], shape }
    },
  }
}

function leaky(id: string, slopes: Float32Array, spec: LayerRelu, value: Value): Bent {
  const { expression: x } = value
  const { shape } = x
  const [c, h, w] = shape
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
    stacked: { expression: concat([x, x], h, w), factor: value.factor },
    relu,
    offset: 0,
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
