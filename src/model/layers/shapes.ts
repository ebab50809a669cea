// The shape a layer's output has, from its op and the shapes of its inputs.

import { elementCount, formatShape, type Shape, sameShape } from '../shape.js'
import type { AvgPool, Conv2d, LayerOp, MaxPool, PadMap, Pair } from './layers.js'

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
      return concatShape(inputs, report)
    default:
      return isMap(input, report) ? mapShape(op, input, report) : undefined
  }
}

type MapOp = Extract<
  LayerOp,
  { op: 'conv2d' | 'avgPool' | 'maxPool' | 'globalAvgPool' | 'resize' | 'subsample' | 'shortcutA' | 'pad' }
>

function mapShape(op: MapOp, [c, h, w]: Shape, report: Report): Shape | undefined {
  switch (op.op) {
    case 'conv2d':
      return convShape(op, c, h, w, report)
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

function convShape(op: Conv2d, c: number, h: number, w: number, report: Report): Shape | undefined {
  let fits = true
  const divides = (what: string, count: number) => {
    if (count % op.groups === 0) return
    report(`groups: expected a divisor of the ${count} ${what} channels, got ${op.groups}`)
    fits = false
  }
  divides('input', c)
  divides('output', op.cout)
  if (!fits) return undefined
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

function concatShape(inputs: readonly Shape[], report: Report): Shape | undefined {
  const [first] = inputs
  if (!inputs.every((shape) => sameShape(shape.slice(1), first.slice(1)))) {
    report(`expected inputs that differ in channels only, got ${inputs.map(formatShape).join(' and ')}`)
    return undefined
  }
  return [inputs.reduce((sum, shape) => sum + shape[0], 0), ...first.slice(1)]
}

function choiceShape(of: readonly LayerOp[], inputs: readonly Shape[], report: Report): Shape | undefined {
  const shapes = of.map((op, i) => outputShape(op, inputs, (problem) => report(`of[${i}] (${op.op}): ${problem}`)))
  if (shapes.some((shape) => shape === undefined)) return undefined
  const known = shapes as Shape[]
  if (known.every((shape) => sameShape(shape, known[0]))) return known[0]
  report(`of: expected options of one output shape, got ${known.map(formatShape).join(' and ')}`)
  return undefined
}
