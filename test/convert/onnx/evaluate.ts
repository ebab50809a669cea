// ONNX operators as their definitions read, on [n,c,h,w] arrays with n = 1: what a conversion is compared with.
import type { GraphOf, NodeOf } from './encode.js'

export interface Value {
  readonly dims: readonly number[]
  readonly data: readonly number[]
}

/** Runs every node of the graph. */
export function evaluate(graph: GraphOf, input: Value): Map<string, Value> {
  const values = new Map<string, Value>(Object.entries(graph.tensors ?? {}))
  values.set(Object.keys(graph.inputs)[0], input)
  for (const node of graph.nodes) {
    const inputs = node.in.map((name) => values.get(name)!)
    values.set(node.out, OPERATORS[node.op](inputs, node))
  }
  return values
}

type Operator = (inputs: readonly Value[], node: NodeOf) => Value
const volume = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1)
const ints = (node: NodeOf, name: string, fallback: readonly number[]) =>
  (node.attributes?.[name] as readonly number[]) ?? fallback
const int = (node: NodeOf, name: string, fallback: number) => (node.attributes?.[name] as number) ?? fallback
const float = (node: NodeOf, name: string, fallback: number) =>
  (node.attributes?.[name] as { float: number })?.float ?? fallback
const map = (x: Value, change: (v: number) => number): Value => ({ dims: x.dims, data: x.data.map(change) })
const fill = (dims: readonly number[], at: (n: number, c: number, y: number, x: number) => number): Value => {
  const [, c, h, w] = dims
  return {
    dims,
    data: Array.from({ length: volume(dims) }, (_, i) =>
      at(0, Math.floor(i / (h * w)) % c, Math.floor(i / w) % h, i % w),
    ),
  }
}

function pads(node: NodeOf, dims: readonly number[], kernel: readonly number[]): readonly number[] {
  const auto = node.attributes?.auto_pad
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') return ints(node, 'pads', [0, 0, 0, 0])
  const strides = ints(node, 'strides', [1, 1])
  const dilations = ints(node, 'dilations', [1, 1])
  const total = [0, 1].map((i) => {
    const out = Math.ceil(dims[i + 2] / strides[i])
    return Math.max(0, (out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - dims[i + 2])
  })
  const begin = total.map((t) => (auto === 'SAME_UPPER' ? Math.floor(t / 2) : Math.ceil(t / 2)))
  return [begin[0], begin[1], total[0] - begin[0], total[1] - begin[1]]
}

/** Calls `visit` for every element of the map under each window, and folds what it returns. */
function windows(
  x: Value,
  node: NodeOf,
  kernel: readonly number[],
  cout: number,
  reduce: (c: number, seen: { y: number; x: number; tap: number; inside: boolean }[]) => number,
): Value {
  const strides = ints(node, 'strides', [1, 1])
  const dilations = ints(node, 'dilations', [1, 1])
  const p = pads(node, x.dims, kernel)
  const size = [0, 1].map((i) => {
    const steps = (x.dims[i + 2] + p[i] + p[i + 2] - (kernel[i] - 1) * dilations[i] - 1) / strides[i]
    return (int(node, 'ceil_mode', 0) ? Math.ceil(steps) : Math.floor(steps)) + 1
  })
  return fill([1, cout, ...size], (_, c, oy, ox) => {
    const seen = []
    for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
      const y = oy * strides[0] - p[0] + Math.floor(tap / kernel[1]) * dilations[0]
      const z = ox * strides[1] - p[1] + (tap % kernel[1]) * dilations[1]
      if (y >= x.dims[2] + p[2] || z >= x.dims[3] + p[3]) continue
      seen.push({ y, x: z, tap, inside: y >= 0 && z >= 0 && y < x.dims[2] && z < x.dims[3] })
    }
    return reduce(c, seen)
  })
}

const leaky = ([x, slope]: readonly Value[], node: NodeOf): Value => {
  const alpha = float(node, 'alpha', 0.01)
  if (!slope) return map(x, (v) => (v < 0 ? alpha * v : v))
  return fill(x.dims, (_, c, y, z) => {
    const v = pixel(x, c, y, z)
    return v < 0 ? v * slope.data[slope.data.length === 1 ? 0 : c] : v
  })
}

const pixel = (x: Value, c: number, y: number, z: number) => x.data[(c * x.dims[2] + y) * x.dims[3] + z]

const conv: Operator = ([x, w, b], node) => {
  const [cout, perGroup, kh, kw] = w.dims
  const perOut = cout / int(node, 'group', 1)
  return windows(x, node, [kh, kw], cout, (c, seen) => {
    let sum = b ? b.data[c] : 0
    for (const { y, x: z, tap, inside } of seen) {
      for (let i = 0; inside && i < perGroup; i++) {
        const from = Math.floor(c / perOut) * perGroup + i
        sum += w.data[(c * perGroup + i) * kh * kw + tap] * pixel(x, from, y, z)
      }
    }
    return sum
  })
}

const averagePool: Operator = ([x], node) =>
  windows(x, node, ints(node, 'kernel_shape', []), x.dims[1], (c, seen) => {
    const real = seen.filter(({ inside }) => inside)
    const sum = real.reduce((total, at) => total + pixel(x, c, at.y, at.x), 0)
    return sum / (int(node, 'count_include_pad', 0) ? seen.length : real.length)
  })

const maxPool: Operator = ([x], node) =>
  windows(x, node, ints(node, 'kernel_shape', []), x.dims[1], (c, seen) =>
    Math.max(...seen.filter(({ inside }) => inside).map((at) => pixel(x, c, at.y, at.x))),
  )

/** Numpy's broadcasting of b onto a. */
const onto = (a: Value, b: Value, combine: (x: number, y: number) => number): Value => {
  const dims = [...Array(a.dims.length - b.dims.length).fill(1), ...b.dims] as number[]
  return {
    dims: a.dims,
    data: a.data.map((v, i) => {
      let at = 0
      let rest = i
      for (let axis = a.dims.length - 1, step = 1; axis >= 0; axis--) {
        if (dims[axis] > 1) at += (rest % a.dims[axis]) * step
        step *= dims[axis]
        rest = Math.floor(rest / a.dims[axis])
      }
      return combine(v, b.data[at])
    }),
  }
}
const both =
  (combine: (x: number, y: number) => number): Operator =>
  ([a, b]) =>
    volume(a.dims) >= volume(b.dims) ? onto(a, b, combine) : onto(b, a, (y, x) => combine(x, y))

const product = (
  x: Value,
  w: Value,
  at: (o: number, i: number) => number,
  cout: number,
  bias: (o: number) => number,
) => ({
  dims: [1, cout],
  data: Array.from({ length: cout }, (_, o) => x.data.reduce((sum, v, i) => sum + v * w.data[at(o, i)], bias(o))),
})

const gemm: Operator = ([x, w, b], node) => {
  const turned = int(node, 'transB', 0) === 1
  const [n, cout] = turned ? [w.dims[1], w.dims[0]] : w.dims
  const alpha = float(node, 'alpha', 1)
  const beta = float(node, 'beta', 1)
  const at = turned ? (o: number, i: number) => o * n + i : (o: number, i: number) => i * cout + o
  const plain = product(x, w, at, cout, () => 0)
  return {
    dims: plain.dims,
    data: plain.data.map((v, o) => alpha * v + (b ? beta * b.data[b.data.length > 1 ? o : 0] : 0)),
  }
}

const mean: Operator = ([x], node) => {
  const [n, c, h, w] = x.dims
  const data = Array.from(
    { length: c },
    (_, i) => x.data.slice(i * h * w, (i + 1) * h * w).reduce((a, b) => a + b, 0) / (h * w),
  )
  return { dims: int(node, 'keepdims', 1) ? [n, c, 1, 1] : [n, c], data }
}

const pad: Operator = ([x, p, value], node) => {
  const list = p?.data ?? ints(node, 'pads', [])
  const dims = x.dims.map((size, i) => size + list[i] + list[i + 4])
  const blank = value?.data[0] ?? float(node, 'value', 0)
  return fill(dims, (_, c, y, z) => {
    const [ci, yi, zi] = [c - list[1], y - list[2], z - list[3]]
    const inside = ci >= 0 && yi >= 0 && zi >= 0 && ci < x.dims[1] && yi < x.dims[2] && zi < x.dims[3]
    return inside ? pixel(x, ci, yi, zi) : blank
  })
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  Conv: conv,
  Gemm: gemm,
  MatMul: ([x, w]) =>
    product(
      x,
      w,
      (o, i) => i * w.dims[1] + o,
      w.dims[1],
      () => 0,
    ),
  BatchNormalization: ([x, scale, b, m, v], node) =>
    fill(x.dims, (_, c, y, z) => {
      const deviation = Math.sqrt(v.data[c] + float(node, 'epsilon', 1e-5))
      return ((pixel(x, c, y, z) - m.data[c]) / deviation) * scale.data[c] + b.data[c]
    }),
  LeakyRelu: leaky,
  PRelu: leaky,
  Relu: ([x]) => map(x, (v) => Math.max(v, 0)),
  Clip: ([x, min, max], node) => {
    const [low, high] = [min?.data[0] ?? float(node, 'min', -1e30), max?.data[0] ?? float(node, 'max', 1e30)]
    return map(x, (v) => Math.min(Math.max(v, low), high))
  },
  AveragePool: averagePool,
  MaxPool: maxPool,
  GlobalAveragePool: ([x]) => mean([x], { op: '', in: [], out: '' }),
  GlobalMaxPool: ([x]) => ({ dims: [1, x.dims[1], 1, 1], data: mapChannels(x, (values) => Math.max(...values)) }),
  ReduceMean: mean,
  Add: both((x, y) => x + y),
  Sub: both((x, y) => x - y),
  Mul: both((x, y) => x * y),
  Div: both((x, y) => x / y),
  Sum: (inputs) => inputs.reduce((a, b) => onto(a, b, (x, y) => x + y)),
  Concat: (inputs) => ({
    dims: [1, inputs.reduce((sum, x) => sum + x.dims[1], 0), ...inputs[0].dims.slice(2)],
    data: inputs.flatMap((x) => x.data),
  }),
  Flatten: ([x]) => ({ dims: [1, x.data.length], data: x.data }),
  Reshape: ([x, to]) => ({ dims: to.data[1] === -1 ? [1, x.data.length] : to.data, data: x.data }),
  Squeeze: ([x]) => ({ dims: x.dims.slice(0, 2), data: x.data }),
  Pad: pad,
  Slice: ([x, starts, ends, , steps]) => {
    const [y0, x0] = starts.data
    const size = [0, 1].map((i) => Math.ceil((Math.min(ends.data[i], x.dims[i + 2]) - starts.data[i]) / steps.data[i]))
    return fill([1, x.dims[1], ...size], (_, c, y, z) => pixel(x, c, y0 + y * steps.data[0], x0 + z * steps.data[1]))
  },
  Resize: ([x, , scales], node) => {
    const dims = x.dims.map((size, i) => Math.floor(size * scales.data[i]))
    const at = (i: number, axis: number) => (i + 0.5) / scales.data[axis] - 0.5
    if (node.attributes?.mode === 'linear') {
      return fill(dims, (_, c, y, z) => bilinear(x, c, at(y, 2), at(z, 3)))
    }
    return fill(dims, (_, c, y, z) => pixel(x, c, Math.floor(y / scales.data[2]), Math.floor(z / scales.data[3])))
  },
  Identity: ([x]) => x,
  Dropout: ([x]) => x,
  Softmax: ([x]) => {
    const powers = x.data.map(Math.exp)
    const sum = powers.reduce((a, b) => a + b)
    return { ...x, data: powers.map((power) => power / sum) }
  },
}

function mapChannels(x: Value, reduce: (values: readonly number[]) => number): number[] {
  const plane = x.dims[2] * x.dims[3]
  return Array.from({ length: x.dims[1] }, (_, c) => reduce(x.data.slice(c * plane, (c + 1) * plane)))
}

function bilinear(x: Value, c: number, y: number, z: number): number {
  const clamp = (v: number, size: number) => Math.min(Math.max(v, 0), size - 1)
  let sum = 0
  for (const dy of [0, 1]) {
    for (const dz of [0, 1]) {
      const weight = (dy ? y - Math.floor(y) : 1 - y + Math.floor(y)) * (dz ? z - Math.floor(z) : 1 - z + Math.floor(z))
      sum += weight * pixel(x, c, clamp(Math.floor(y) + dy, x.dims[2]), clamp(Math.floor(z) + dz, x.dims[3]))
    }
  }
  return sum
}
