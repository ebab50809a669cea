// Linear expressions over real numbers, as their definitions stand: what folding must not change.
import type { Expression } from '../../src/plan/compile/expression.js'
import type { MapShape } from '../../src/plan/plan.js'

type Values = Float64Array
type Of<K extends Expression['kind']> = Extract<Expression, { kind: K }>

const sizeOf = ([c, h, w]: MapShape): number => c * h * w

/** Calls back for every element [channel, row, column] of a map, in order. */
function each([c, h, w]: MapShape, visit: (channel: number, row: number, column: number) => number): Values {
  const out = new Float64Array(c * h * w)
  let at = 0
  for (let i = 0; i < c; i++) for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) out[at++] = visit(i, y, x)
  return out
}

/** Zero outside the map. */
const reader =
  (x: Values, [, h, w]: MapShape) =>
  (c: number, row: number, column: number): number =>
    row < 0 || row >= h || column < 0 || column >= w ? 0 : x[(c * h + row) * w + column]

function conv({ filter: { geometry: g, weights, bias }, shape }: Of<'conv'>, x: Values): Values {
  const read = reader(x, [g.cin, g.h, g.w])
  const [kh, kw] = g.kernel
  const perGroup = g.cin / g.groups
  return each(shape, (c, i, j) => {
    const first = Math.floor(c / (g.cout / g.groups)) * perGroup
    let sum = bias[c]
    for (let n = 0; n < perGroup; n++) {
      for (let ky = 0; ky < kh; ky++) {
        for (let kx = 0; kx < kw; kx++) {
          const row = i * g.stride[0] - g.pad[0] + ky * g.dilation[0]
          const column = j * g.stride[1] - g.pad[1] + kx * g.dilation[1]
          sum += weights[((c * perGroup + n) * kh + ky) * kw + kx] * read(first + n, row, column)
        }
      }
    }
    return sum
  })
}

function pool({ kernel, stride, pad, of, shape }: Of<'pool'>, x: Values): Values {
  const read = reader(x, of.shape)
  return each(shape, (c, i, j) => {
    let sum = 0
    for (let ky = 0; ky < kernel[0]; ky++) {
      for (let kx = 0; kx < kernel[1]; kx++) sum += read(c, i * stride[0] - pad[0] + ky, j * stride[1] - pad[1] + kx)
    }
    return sum
  })
}

/** Output element o is input element `from + (o - at)·stride`, where both exist. */
function embed({ of, stride, from, at, shape }: Of<'embed'>, x: Values): Values {
  const read = reader(x, of.shape)
  return each(shape, (c, i, j) => {
    const channel = c - at[0]
    if (channel < 0 || channel >= of.shape[0] || i < at[1] || j < at[2]) return 0
    return read(channel, from[0] + (i - at[1]) * stride[0], from[1] + (j - at[2]) * stride[1])
  })
}

function resize({ of, rows, columns, bits, shape }: Of<'resize'>, x: Values): Values {
  const read = reader(x, of.shape)
  return each(shape, (c, i, j) => {
    const [[top, bottom, down], [left, right, across]] = [rows[i], columns[j]]
    const line = (row: number) => read(c, row, left) * (2 ** bits - across) + read(c, row, right) * across
    return line(top) * (2 ** bits - down) + line(bottom) * down
  })
}

/** @param tensors by number */
export function evaluate(e: Expression, tensors: readonly Values[]): Values {
  const of = (inner: Expression) => evaluate(inner, tensors)
  switch (e.kind) {
    case 'tensor':
      return tensors[e.tensor]
    case 'zero':
      return new Float64Array(sizeOf(e.shape))
    case 'constant':
      return each(e.shape, (c) => e.values[c])
    case 'conv':
      return conv(e, of(e.of))
    case 'pool':
      return pool(e, of(e.of))
    case 'embed':
      return embed(e, of(e.of))
    case 'resize':
      return resize(e, of(e.of))
    case 'negate':
      return of(e.of).map((x) => -x)
    case 'lift': {
      const { factor, shape } = e
      return of(e.of).map((x, i) => x * (typeof factor === 'number' ? factor : factor[i % (shape[1] * shape[2])]))
    }
    case 'add':
      return e.of.map(of).reduce((a, b) => a.map((x, i) => x + b[i]))
  }
}
