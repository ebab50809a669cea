// Linear steps in plain text, as the formulas stand, over 32-bit words, exact integers below 2^53, or 64-bit words.
import { embed } from './lower.js'
import { type LinearOp, type MapShape, mapSize, type Step } from './plan.js'

/** Numbers of one kind in an array. */
export interface Vector<E> {
  readonly length: number
  [index: number]: E
}

export interface Arithmetic<V extends Vector<E>, E> {
  zeros(length: number): V
  add(a: E, b: E): E
  times(a: E, factor: number): E
  /** out += the convolution of x with w. */
  convolve(op: ConvOp, x: V, w: Vector<E>, out: V): void
}

export type ConvOp = Extract<LinearOp, { op: 'conv' }>

/** Mod 2^32, as signed words; weights below 2^15 keep every product exact. */
export const int32: Arithmetic<Int32Array, number> = {
  zeros: (length) => new Int32Array(length),
  add: (a, b) => (a + b) | 0,
  times: Math.imul,
  convolve,
}

/** Integers that stay below 2^53. */
export const exact: Arithmetic<Float64Array, number> = {
  zeros: (length) => new Float64Array(length),
  add: (a, b) => a + b,
  times: (a, factor) => a * factor,
  convolve,
}

const LIMBS = 4

/** Mod 2^64. Convolutions go by limbs of 16 bits: ten exact ones are faster than one of BigInts. */
export const int64: Arithmetic<BigInt64Array, bigint> = {
  zeros: (length) => new BigInt64Array(length),
  add: (a, b) => BigInt.asIntN(64, a + b),
  times: (a, factor) => BigInt.asIntN(64, a * BigInt(factor)),
  convolve(op, x, w, out) {
    const [xs, ws] = [limbs(x), limbs(w)]
    for (let level = 0; level < LIMBS; level++) {
      // A sum of up to four products below 2^32 per tap stays exact up to 2^19 taps.
      const sum = new Float64Array(out.length)
      for (let i = 0; i <= level; i++) convolve(op, xs[i], ws[level - i], sum)
      for (let i = 0; i < out.length; i++) out[i] += BigInt(sum[i]) << BigInt(16 * level)
    }
  },
}

function limbs(words: Vector<bigint>): Float64Array[] {
  return Array.from({ length: LIMBS }, (_, limb) =>
    Float64Array.from(words as ArrayLike<bigint>, (word) => Number((word >> BigInt(16 * limb)) & 0xffffn)),
  )
}

/**
 * y of a step without its biases.
 * @param weights of operation `i`
 */
export function linearReference<V extends Vector<E>, E>(
  arithmetic: Arithmetic<V, E>,
  { linear }: Step,
  tensors: readonly V[],
  weights: (operation: number) => Vector<E>,
): V {
  const values: V[] = []
  linear.forEach((op, i) => {
    values.push(apply(arithmetic, op, i, values, tensors, weights, linear))
  })
  const y = arithmetic.zeros(values[values.length - 1].length)
  for (let i = 0; i < y.length; i++) y[i] = values[values.length - 1][i]
  return y
}

function apply<V extends Vector<E>, E>(
  arithmetic: Arithmetic<V, E>,
  op: LinearOp,
  index: number,
  values: readonly V[],
  tensors: readonly V[],
  weights: (operation: number) => Vector<E>,
  ops: readonly LinearOp[],
): V {
  if (op.op === 'tensor') return tensors[op.tensor]
  const out = arithmetic.zeros(mapSize(op.out))
  switch (op.op) {
    case 'conv':
      arithmetic.convolve(op, values[op.of], weights(index), out)
      break
    case 'lift':
    case 'scale': {
      const plane = op.out[1] * op.out[2]
      const { factor, of } = op
      const at = (i: number) => (typeof factor === 'number' ? factor : factor[i % plane])
      for (let i = 0; i < out.length; i++) out[i] = arithmetic.times(values[of][i], at(i))
      break
    }
    case 'poolSum':
      poolSum(arithmetic, op, values[op.of], ops[op.of].out, out)
      break
    case 'resize':
      resize(arithmetic, op, values[op.of], ops[op.of].out, out)
      break
    case 'embed':
      embed(values[op.of], ops[op.of].out, out, { ...op, shape: op.out })
      break
    case 'add':
      for (const of of op.of) for (let i = 0; i < out.length; i++) out[i] = arithmetic.add(out[i], values[of][i])
  }
  return out
}

/** Arrays of 32-bit words wrap by themselves where they are stored. */
function convolve(
  { geometry: g, out: [, oh, ow] }: ConvOp,
  x: Vector<number>,
  w: Vector<number>,
  out: Vector<number>,
): void {
  const [kh, kw] = g.kernel
  const [, stride] = g.stride
  const perGroup = g.cin / g.groups
  // Columns of the output whose tap kx lies inside the map.
  const inside = Array.from({ length: kw }, (_, kx) => {
    const from = kx * g.dilation[1] - g.pad[1]
    return [Math.max(0, Math.ceil(-from / stride)), Math.min(ow - 1, Math.floor((g.w - 1 - from) / stride))] as const
  })
  for (let c = 0; c < g.cout; c++) {
    const first = Math.floor((c * g.groups) / g.cout) * perGroup
    for (let ci = 0; ci < perGroup; ci++) {
      for (let ky = 0; ky < kh; ky++) {
        for (let kx = 0; kx < kw; kx++) {
          const weight = w[((c * perGroup + ci) * kh + ky) * kw + kx]
          const [left, right] = inside[kx]
          for (let i = 0; i < oh; i++) {
            const y = i * g.stride[0] - g.pad[0] + ky * g.dilation[0]
            if (y < 0 || y >= g.h) continue
            const at = (c * oh + i) * ow
            let from = ((first + ci) * g.h + y) * g.w + left * stride - g.pad[1] + kx * g.dilation[1]
            for (let j = left; j <= right; j++, from += stride) out[at + j] += weight * x[from]
          }
        }
      }
    }
  }
}

function resize<V extends Vector<E>, E>(
  { add, times }: Arithmetic<V, E>,
  { rows, columns, bits, out: [channels] }: Extract<LinearOp, { op: 'resize' }>,
  x: V,
  [, h, w]: MapShape,
  out: V,
): void {
  let to = 0
  for (let c = 0; c < channels; c++) {
    for (const [upper, lower, down] of rows) {
      for (const [left, right, across] of columns) {
        const line = (row: number): E => {
          const at = (c * h + row) * w
          return add(times(x[at + left], 2 ** bits - across), times(x[at + right], across))
        }
        out[to++] = add(times(line(upper), 2 ** bits - down), times(line(lower), down))
      }
    }
  }
}

function poolSum<V extends Vector<E>, E>(
  arithmetic: Arithmetic<V, E>,
  op: Extract<LinearOp, { op: 'poolSum' }>,
  x: V,
  [, h, w]: MapShape,
  out: V,
): void {
  const [channels, oh, ow] = op.out
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < oh; i++) {
      for (let j = 0; j < ow; j++) {
        const to = (c * oh + i) * ow + j
        for (let ky = 0; ky < op.kernel[0]; ky++) {
          for (let kx = 0; kx < op.kernel[1]; kx++) {
            const y = i * op.stride[0] - op.pad[0] + ky
            const z = j * op.stride[1] - op.pad[1] + kx
            if (y >= 0 && y < h && z >= 0 && z < w) out[to] = arithmetic.add(out[to], x[(c * h + y) * w + z])
          }
        }
      }
    }
  }
}
