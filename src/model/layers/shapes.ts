// The shape a layer's output has, from its op and the shapes of its inputs.

import { elementCount, formatShape, type Shape, sameShape } from '../shape.js'
import type { AvgPool, Conv2d, ConvTranspose2d, LayerOp, MaxPool, PadMap, Pair } from './layers.js'

type Report = (problem: string) => void

/** Tensors with more elements than this are taken for a mistake in the file. */
const MOST_ELEMENTS = 2 ** 28

/** The output shape, or undefined after reporting why there is none. */
export function outputShape(op: LayerOp, inputs: readonly Shape[], report: Report): Shape | undefined {
  const shape = shapeOf(op, inputs, report)
  if (shape === undefined) return undefined
  if (shape.some((size) => size < 1)) {
    report(`out: the output would be empty (${formatShape(shape)}) for an input of ${formatShape(inputs[0])}`)
    return undefined
  }
  if (elementCount(shape) > MOST_ELEMENTS) {
    report(`out: ${formatShape(shape)} has more than ${MOST_ELEMENTS} elements`)
    return undefined
  }
  return shape
}

function shapeOf(op: LayerOp, inputs: readonly Shape[], report: Report): Shape | undefined {
  const input = inputs[0]
  switch (op.op) {
    case 'relu':
    case 'clip':
    case 'leakyRelu':
    case 'prelu':
    case 'identity':
    case 'zero':
    case 'batchNorm':
    case 'channelScale':
    case 'affine':
    case 'sigmoid':
    case 'tanh':
    case 'exp':
    case 'log':
    case 'sqrt':
    case 'square':
    case 'reciprocal':
    case 'softplus':
    case 'erf':
      return input
    case 'add':
    case 'weightedSum':
      return equalShapes(inputs, report)
    case 'flatten':
      return [elementCount(input)]
    case 'linear':
      if (input.length === 1) return [op.cout]
      report(`expected an input of shape [n], got ${formatShape(input)}; put a flatten before it`)
      return undefined
    case 'choice':
      return choiceShape(op.of, inputs, report)
    case 'concat':
      return concatShape(inputs, op.axis, report)
    case 'multiply':
      return broadcastShape(inputs, report)
    case 'softmax':
    case 'logSoftmax':
      return hasAxis(op.axis, input, report) ? input : undefined
    case 'argMax':
    case 'sum':
      return hasAxis(op.axis, input, report) ? input.with(op.axis, 1) : undefined
    case 'slice':
      if (!hasAxis(op.axis, input, report)) return undefined
      if (op.from < op.to && op.to <= input[op.axis]) return input.with(op.axis, Math.ceil((op.to - op.from) / op.step))
      report(`expected from < to <= ${input[op.axis]}, the size of axis ${op.axis}, got ${op.from} and ${op.to}`)
      return undefined
    case 'transpose':
      if (op.order.length === input.length && input.every((_, axis) => op.order.includes(axis))) {
        return op.order.map((axis) => input[axis])
      }
      report(`order: expected the axes of ${formatShape(input)}, got ${formatShape(op.order)}`)
      return undefined
    case 'reshape':
      if (elementCount(op.shape) === elementCount(input)) return op.shape
      report(
        `shape: expected one of the ${elementCount(input)} elements of ${formatShape(input)}, got ${formatShape(op.shape)}`,
      )
      return undefined
    default:
      return isMap(input, report) ? mapShape(op, input, report) : undefined
  }
}

type MapOp = Extract<
  LayerOp,
  {
    op:
      | 'conv2d'
      | 'convTranspose2d'
      | 'depthToSpace'
      | 'avgPool'
      | 'maxPool'
      | 'globalAvgPool'
      | 'resize'
      | 'subsample'
      | 'shortcutA'
      | 'pad'
  }
>

function mapShape(op: MapOp, [c, h, w]: Shape, report: Report): Shape | undefined {
  switch (op.op) {
    case 'conv2d':
      return convShape(op, c, h, w, report)
    case 'convTranspose2d':
      return transposedShape(op, c, h, w, report)
    case 'depthToSpace':
      if (c % op.block ** 2 === 0) return [c / op.block ** 2, h * op.block, w * op.block]
      report(`block: expected one whose square divides the ${c} input channels, got ${op.block}`)
      return undefined
    case 'avgPool':
    case 'maxPool':
      return poolShape(op, c, h, w, report)
    case 'resize':
      return [c, ...op.size]
    case 'subsample':
      return [c, ...strided([h - op.offset[0], w - op.offset[1]], op.stride)]
    case 'shortcutA':
      return [op.padChannels[0] + c + op.padChannels[1], ...strided([h, w], op.stride)]
    case 'pad':
      return padShape(op, c, h, w)
    default:
      return [c, 1, 1] // globalAvgPool
  }
}

function isMap(input: Shape, report: Report): boolean {
  if (input.length === 3) return true
  report(`expected an input of shape [channels,height,width], got ${formatShape(input)}`)
  return false
}

function strided([h, w]: Pair, [sh, sw]: Pair): Pair {
  return [Math.ceil(h / sh), Math.ceil(w / sw)]
}

function padShape({ pad: [top, left, bottom, right] }: PadMap, c: number, h: number, w: number): Shape {
  return [c, top + h + bottom, left + w + right]
}

/** Whether both numbers of channels are multiples of the groups; else it is reported. */
function groupsFit({ groups, cout }: Conv2d | ConvTranspose2d, c: number, report: Report): boolean {
  let fits = true
  const divides = (what: string, count: number) => {
    if (count % groups === 0) return
    report(`groups: expected a divisor of the ${count} ${what} channels, got ${groups}`)
    fits = false
  }
  divides('input', c)
  divides('output', cout)
  return fits
}

function transposedShape(op: ConvTranspose2d, c: number, h: number, w: number, report: Report): Shape | undefined {
  if (!groupsFit(op, c, report)) return undefined
  if (op.outputPad.some((size, i) => size >= Math.max(op.stride[i], op.dilation[i]))) {
    report(`outputPad: expected less than stride or dilation, got ${formatShape(op.outputPad)}`)
    return undefined
  }
  const along = (size: number, i: 0 | 1) =>
    (size - 1) * op.stride[i] + (op.kernel[i] - 1) * op.dilation[i] + 1 + op.outputPad[i] - op.pad[i] - op.pad[i + 2]
  return [op.cout, along(h, 0), along(w, 1)]
}

function convShape(op: Conv2d, c: number, h: number, w: number, report: Report): Shape | undefined {
  if (!groupsFit(op, c, report)) return undefined
  const [top, left, bottom, right] = op.pad
  const reach = [(op.kernel[0] - 1) * op.dilation[0] + 1, (op.kernel[1] - 1) * op.dilation[1] + 1]
  const oh = Math.floor((h + top + bottom - reach[0]) / op.stride[0]) + 1
  const ow = Math.floor((w + left + right - reach[1]) / op.stride[1]) + 1
  return [op.cout, oh, ow]
}

function poolShape(op: AvgPool | MaxPool, c: number, h: number, w: number, report: Report): Shape | undefined {
  const [top, left, bottom, right] = op.pad
  if (top >= op.kernel[0] || left >= op.kernel[1] || bottom >= op.kernel[0] || right >= op.kernel[1]) {
    report(`pad: expected less than the kernel ${formatShape(op.kernel)} on each side, got ${formatShape(op.pad)}`)
    return undefined
  }
  const oh = windows(h, top, bottom, op.kernel[0], op.stride[0], op.ceil)
  return [c, oh, windows(w, left, right, op.kernel[1], op.stride[1], op.ceil)]
}

/** As PyTorch counts: in ceil mode a last window must start inside the input or its leading padding. */
function windows(size: number, before: number, after: number, kernel: number, stride: number, ceil: boolean): number {
  const steps = (before + size + after - kernel) / stride
  if (!ceil) return Math.floor(steps) + 1
  const count = Math.ceil(steps) + 1
  return (count - 1) * stride >= size + before ? count - 1 : count
}

function equalShapes(inputs: readonly Shape[], report: Report): Shape | undefined {
  if (inputs.every((shape) => sameShape(shape, inputs[0]))) return inputs[0]
  report(`expected inputs of one shape, got ${inputs.map(formatShape).join(' and ')}`)
  return undefined
}

function hasAxis(axis: number, shape: Shape, report: Report): boolean {
  if (axis < shape.length) return true
  report(`axis: expected an axis of ${formatShape(shape)}, got ${axis}`)
  return false
}

function concatShape(inputs: readonly Shape[], axis: number, report: Report): Shape | undefined {
  const [first] = inputs
  if (!hasAxis(axis, first, report)) return undefined
  if (!inputs.every((shape) => axis < shape.length && sameShape(shape.with(axis, 1), first.with(axis, 1)))) {
    const along = axis === 0 ? 'channels' : `axis ${axis}`
    report(`expected inputs that differ in ${along} only, got ${inputs.map(formatShape).join(' and ')}`)
    return undefined
  }
  return first.with(
    axis,
    inputs.reduce((sum, shape) => sum + shape[axis], 0),
  )
}

/** Sizes of 1 grow to the other's. */
function broadcastShape([a, b]: readonly Shape[], report: Report): Shape | undefined {
  if (a.length === b.length && a.every((size, i) => size === b[i] || size === 1 || b[i] === 1)) {
    return a.map((size, i) => Math.max(size, b[i]))
  }
  report(`expected inputs of one shape, or with sizes of 1, got ${formatShape(a)} and ${formatShape(b)}`)
  return undefined
}

function choiceShape(of: readonly LayerOp[], inputs: readonly Shape[], report: Report): Shape | undefined {
  const shapes = of.map((op, i) => outputShape(op, inputs, (problem) => report(`of[${i}] (${op.op}): ${problem}`)))
  if (shapes.some((shape) => shape === undefined)) return undefined
  const known = shapes as Shape[]
  if (known.every((shape) => sameShape(shape, known[0]))) return known[0]
  report(`of: expected options of one output shape, got ${known.map(formatShape).join(' and ')}`)
  return undefined
}
