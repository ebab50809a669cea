// The shape a layer's output has, from its op and the shapes of its inputs.

import { formatShape, type Shape, sameShape } from '../shape.js'
import { elementShape, equalShapes, isMap } from './element-ops.js'
import type { AvgPool, Conv2d, ConvTranspose2d, LayerOp, MaxPool, PadMap, Pair } from './layers.js'
import { bounded, type Grammar, type Report } from './read-op.js'

/** The output shape, or undefined after reporting why there is none. */
export const outputShape: Grammar['outputShape'] = (op, inputs, report) =>
  bounded(shapeOf(op, inputs, report), inputs, report)

function shapeOf(op: LayerOp, inputs: readonly Shape[], report: Report): Shape | undefined {
  const input = inputs[0]
  switch (op.op) {
    case 'prelu':
    case 'zero':
    case 'batchNorm':
    case 'channelScale':
      return input
    case 'weightedSum':
      return equalShapes(inputs, report)
    case 'linear':
      if (input.length === 1) return [op.cout]
      report(`expected an input of shape [n], got ${formatShape(input)}; put a flatten before it`)
      return undefined
    case 'choice':
      return choiceShape(op.of, inputs, report)
    case 'conv2d':
    case 'convTranspose2d':
    case 'avgPool':
    case 'maxPool':
    case 'globalAvgPool':
    case 'resize':
    case 'subsample':
    case 'shortcutA':
    case 'pad':
      return isMap(input, report) ? mapShape(op, input, report) : undefined
    default:
      return elementShape(op, inputs, report)
  }
}

type MapOp = Extract<
  LayerOp,
  {
    op:
      | 'conv2d'
      | 'convTranspose2d'
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

function choiceShape(of: readonly LayerOp[], inputs: readonly Shape[], report: Report): Shape | undefined {
  const shapes = of.map((op, i) => outputShape(op, inputs, (problem) => report(`of[${i}] (${op.op}): ${problem}`)))
  if (shapes.some((shape) => shape === undefined)) return undefined
  const known = shapes as Shape[]
  if (known.every((shape) => sameShape(shape, known[0]))) return known[0]
  report(`of: expected options of one output shape, got ${known.map(formatShape).join(' and ')}`)
  return undefined
}
