// Layers computed element by element in JavaScript: functions without weights, and what only moves elements about. The float
// engine runs them anywhere in a network, the client behind the private part. Sizes were checked where the layer was read.
import type { ElementOp } from '../layers/element-ops.js'
import type { Layer, LayerOf, Op } from '../layers/layers.js'
import { elementCount, type Shape } from '../shape.js'

type Compute<O extends Op> = (layer: LayerOf<O>, inputs: readonly Float32Array[], out: Float32Array) => void

type ComputeAny = (layer: unknown, inputs: readonly Float32Array[], out: Float32Array) => void

const each =
  (f: (x: number) => number): ComputeAny =>
  (_, [x], out) => {
    for (let i = 0; i < out.length; i++) out[i] = f(x[i])
  }

const copy: ComputeAny = (_, [x], out) => out.set(x)

const COMPUTE = {
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  tanh: each(Math.tanh),
  exp: each(Math.exp),
  log: each(Math.log),
  sqrt: each(Math.sqrt),
  square: each((x) => x * x),
  reciprocal: each((x) => 1 / x),
  softplus: each((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  erf: each(erf),
  relu: each((x) => Math.max(x, 0)),
  clip: (layer, [x], out) => {
    for (let i = 0; i < out.length; i++) out[i] = Math.min(Math.max(x[i], layer.min), layer.max)
  },
  leakyRelu: (layer, [x], out) => {
    for (let i = 0; i < out.length; i++) out[i] = x[i] > 0 ? x[i] : layer.slope * x[i]
  },
  affine: (layer, [x], out) => {
    for (let i = 0; i < out.length; i++) out[i] = layer.factor * x[i] + layer.offset
  },
  add: (_, inputs, out) => {
    for (let i = 0; i < out.length; i++) out[i] = inputs.reduce((sum, x) => sum + x[i], 0)
  },
  multiply: (layer, inputs, out) => {
    const [a, b] = layer.inShapes.map((shape) => placesIn(shape, layer.out))
    for (let i = 0; i < out.length; i++) out[i] = inputs[0][a ? a[i] : i] * inputs[1][b ? b[i] : i]
  },
  identity: copy,
  flatten: copy,
  reshape: copy,
  softmax: (layer, [x], out) => normalised(layer, x, out, false),
  logSoftmax: (layer, [x], out) => normalised(layer, x, out, true),
  argMax: (layer, [x], out) => {
    overLines(layer.inShapes[0], layer.axis, (line, at, step, count) => {
      let best = 0
      for (let i = 1; i < count; i++) if (x[at + i * step] > x[at + best * step]) best = i
      out[line] = best
    })
  },
  sum: (layer, [x], out) => {
    overLines(layer.inShapes[0], layer.axis, (line, at, step, count) => {
      let sum = 0
      for (let i = 0; i < count; i++) sum += x[at + i * step]
      out[line] = sum
    })
  },
  slice: (layer, [x], out) => {
    const steps = stepsOf(layer.inShapes[0])
    const from = layer.from * steps[layer.axis]
    gather(x, layer.out, steps.with(layer.axis, steps[layer.axis] * layer.step), from, out)
  },
  transpose: (layer, [x], out) => {
    const steps = stepsOf(layer.inShapes[0])
    gather(
      x,
      layer.out,
      layer.order.map((axis) => steps[axis]),
      0,
      out,
    )
  },
  depthToSpace: (layer, [x], out) => {
    const [channels, height, width] = layer.inShapes[0]
    const { block } = layer
    const [c, h, w] = [channels / block ** 2, height, width]
    // The input seen as six axes, in the order in which the output counts them: c, h, block, w, block.
    const plane = h * w
    const [own, down, right] = layer.order === 'crd' ? [block ** 2, block, 1] : [1, block * c, c]
    gather(x, [c, h, block, w, block], [own * plane, w, down * plane, 1, right * plane], 0, out)
  },
  concat: (layer, inputs, out) => {
    const whole = elementCount(layer.out.slice(layer.axis))
    let at = 0
    inputs.forEach((x, i) => {
      const run = elementCount(layer.inShapes[i].slice(layer.axis))
      for (let from = 0, to = at; from < x.length; from += run, to += whole) out.set(x.subarray(from, from + run), to)
      at += run
    })
  },
} satisfies { readonly [O in ElementOp]: Compute<O> }

/** Whether `computeElements` knows an op. */
export const isElementOp = (op: Op): op is ElementOp => Object.hasOwn(COMPUTE, op)

/** Writes all of `out`, which is no input. */
export function computeElements(layer: Layer, inputs: readonly Float32Array[], out: Float32Array): void {
  const compute = COMPUTE[layer.op as ElementOp] as ComputeAny
  compute(layer, inputs, out)
}

/** How far apart neighbours along each axis are. */
function stepsOf(shape: Shape): number[] {
  return shape.map((_, axis) => elementCount(shape.slice(axis + 1)))
}

/** Elements of `x` counted along axes of the sizes of `shape`, which lie `steps` apart. */
function gather(x: Float32Array, shape: Shape, steps: readonly number[], from: number, out: Float32Array): void {
  const at = shape.map(() => 0)
  for (let i = 0, place = from; i < out.length; i++) {
    out[i] = x[place]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += steps[axis]
      if (++at[axis] < shape[axis]) break
      place -= steps[axis] * shape[axis]
      at[axis] = 0
    }
  }
}

/** Where every element of `shape` reads a tensor that broadcasts to it; null when it reads them one by one. */
function placesIn(of: Shape, shape: Shape): Int32Array | null {
  if (elementCount(of) === elementCount(shape)) return null
  const places = new Float32Array(elementCount(shape))
  const steps = stepsOf(of).map((step, axis) => (of[axis] === 1 ? 0 : step))
  gather(
    Float32Array.from({ length: elementCount(of) }, (_, i) => i),
    shape,
    steps,
    0,
    places,
  )
  return Int32Array.from(places)
}

type OnLine = (line: number, at: number, step: number, count: number) => void

/** Calls back for every line along an axis: its number, where it begins, how far apart its elements are, how many. */
function overLines(shape: Shape, axis: number, visit: OnLine): void {
  const step = elementCount(shape.slice(axis + 1))
  const count = shape[axis]
  const lines = elementCount(shape) / count
  for (let line = 0; line < lines; line++) {
    visit(line, Math.floor(line / step) * step * count + (line % step), step, count)
  }
}

function normalised(
  layer: LayerOf<'softmax'> | LayerOf<'logSoftmax'>,
  x: Float32Array,
  out: Float32Array,
  log: boolean,
): void {
  overLines(layer.inShapes[0], layer.axis, (_, at, step, count) => {
    let most = Number.NEGATIVE_INFINITY
    for (let i = 0; i < count; i++) most = Math.max(most, x[at + i * step])
    let sum = 0
    for (let i = 0; i < count; i++) sum += Math.exp(x[at + i * step] - most)
    for (let i = 0; i < count; i++) {
      const exponent = x[at + i * step] - most
      out[at + i * step] = log ? exponent - Math.log(sum) : Math.exp(exponent) / sum
    }
  })
}

/** Abramowitz & Stegun, series 7.1.5; from 4 on it is 1 in float32. */
function erf(x: number): number {
  const a = Math.abs(x)
  if (a > 4) return Math.sign(x)
  let term = a
  let sum = a
  for (let n = 1; n < 100 && Math.abs(term) > 1e-17 * sum; n++) {
    term *= (-a * a) / n
    sum += term / (2 * n + 1)
  }
  return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
}
