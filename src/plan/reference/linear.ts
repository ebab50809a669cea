// Linear steps in plain text, as the formulas stand, over 32-bit words, exact integers below 2^53, or 64-bit words.
import { embed } from '../compile/lower.js'
import { elementCount, type LinearOp, type MapShape, type Step } from '../plan.js'

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

/** Mod 2^32, as signed words. */
export const int32: Arithmetic<Int32Array, number> = {
  zeros: (length) => new Int32Array(length),
  add: (a, b) => (a + b) | 0,
  times: Math.imul,
  convolve: (op, x, w, out) =>
    forEachRow(op, (tap, at, from, count, stride) => {
      const weight = w[tap]
      for (let j = at, i = from; j < at + count; j++, i += stride) out[j] += Math.imul(weight, x[i])
    }),
}

/** Integers that stay below 2^53. */
export const exact: Arithmetic<Float64Array, number> = {
  zeros: (length) => new Float64Array(length),
  add: (a, b) => a + b,
  times: (a, factor) => a * factor,
  convolve: (op, x, w, out) =>
    forEachRow(op, (tap, at, from, count, stride) => {
      const weight = w[tap]
      for (let j = at, i = from; j < at + count; j++, i += stride) out[j] += weight * x[i]
    }),
}

/** Mod 2^64. Convolutions go by parts of the words, which is faster than with BigInts. */
export const int64: Arithmetic<BigInt64Array, bigint> = {
  zeros: (length) => new BigInt64Array(length),
  add: (a, b) => BigInt.asIntN(64, a + b),
  times: (a, factor) => BigInt.asIntN(64, a * BigInt(factor)),
  convolve: convolve64,
}

/** Words as a + 2^16·b + 2^32·c, the first two of 16 bits, and a + 2^16·b as one signed word. */
function parts(words: Vector<bigint>) {
  const halves = new Int32Array(BigInt64Array.from(words as ArrayLike<bigint>).buffer)
  const of = (part: (index: number) => number) => Int32Array.from({ length: words.length }, (_, i) => part(2 * i))
  return {
    a: Float64Array.from(of((i) => halves[i] & 0xffff)),
    b: Float64Array.from(of((i) => halves[i] >>> 16)),
    low: of((i) => halves[i]),
    c: of((i) => halves[i + 1]),
  }
}

/** (a + 2^16·b + 2^32·c)(a' + 2^16·b' + 2^32·c'): sums of products below 2^32 are exact up to 2^20 taps, c wraps. */
function convolve64(op: ConvOp, x: Vector<bigint>, w: Vector<bigint>, out: Vector<bigint>): void {
  const [{ a, b, low, c }, by] = [parts(x), parts(w)]
  const [first, second] = [new Float64Array(out.length), new Float64Array(out.length)]
  const third = new Int32Array(out.length)
  forEachRow(op, (tap, at, from, count, stride) => {
    const [a1, b1, low1, c1] = [by.a[tap], by.b[tap], by.low[tap], by.c[tap]]
    for (let j = at, i = from; j < at + count; j++, i += stride) {
      first[j] += a[i] * a1
      second[j] += a[i] * b1 + b[i] * a1
      third[j] += Math.imul(b[i], b1) + Math.imul(low[i], c1) + Math.imul(c[i], low1)
    }
  })
  for (let i = 0; i < out.length; i++) {
    out[i] += BigInt(first[i]) + (BigInt(second[i]) << 16n) + (BigInt(third[i]) << 32n)
  }
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
  const out = arithmetic.zeros(elementCount(op.out))
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

/** A weight, and the results in a row that it counts to: `count` from `at` on, of every stride-th value from `from` on. */
type VisitRow = (tap: number, at: number, from: number, count: number, stride: number) => void

function forEachRow({ geometry: g, out: [, oh, ow] }: ConvOp, visit: VisitRow): void {
  const [down, across] = g.stride
  const perGroup = g.cin / g.groups
  const [lines, columns] = [insideOf(g, 0, g.h, oh), insideOf(g, 1, g.w, ow)]
  for (let c = 0; c < g.cout; c++) {
    const first = Math.floor((c * g.groups) / g.cout) * perGroup
    for (let ci = 0; ci < perGroup; ci++) {
      let tap = (c * perGroup + ci) * lines.length * columns.length
      for (const line of lines) {
        for (const { to, from, count } of columns) {
          // Whole lines of both maps make one row.
          const joined = count === ow && ow === g.w && down * across === 1 ? line.count : 1
          for (let i = 0; i < line.count; i += joined) {
            const row = (first + ci) * g.h + line.from + i * down
            visit(tap, (c * oh + line.to + i) * ow + to, row * g.w + from, count * joined, across)
          }
          tap++
        }
      }
    }
  }
}

/** Per tap of a kernel along one axis: how many results it counts to, the first of them, and what that one reads. */
function insideOf(g: ConvOp['geometry'], axis: 0 | 1, size: number, results: number) {
  const stride = g.stride[axis]
  return Array.from({ length: g.kernel[axis] }, (_, k) => {
    const start = k * g.dilation[axis] - g.pad[axis]
    const to = Math.max(0, Math.ceil(-start / stride))
    const last = Math.min(results - 1, Math.floor((size - 1 - start) / stride))
    return { to, from: start + to * stride, count: Math.max(0, last - to + 1) }
  })
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
