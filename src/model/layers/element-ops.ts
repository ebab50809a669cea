// Ops that are computed element by element, without weights: their fields and shapes. The tail of a network has no others.
import { type Fields, quote } from '../json/fields.js'
import { elementCount, formatShape, type Shape, sameShape } from '../shape.js'
import type { AlongAxis, LayerOp, Op, Pointwise } from './layers.js'
import { bounded, type Grammar, type Reader, type Report } from './read-op.js'

const SIZE = { min: 1 }
const EDGE = { min: 0 }
/** Of shapes that have one axis to three, or six behind a reshape. */
const AXIS = { min: 0, max: 5 }

const along =
  (op: AlongAxis['op']): Reader =>
  (f) => ({ op, axis: f.integer('axis', AXIS, 0) })

const only =
  (op: Pointwise['op']): Reader =>
  () => ({ op })

export const ELEMENT_READERS = {
  depthToSpace: (f) => ({
    op: 'depthToSpace',
    block: f.integer('block', { min: 1, max: 64 }),
    order: f.oneOf('order', ['dcr', 'crd'], 'crd'),
  }),
  clip: readClip,
  relu: () => ({ op: 'relu' }),
  leakyRelu: (f) => ({ op: 'leakyRelu', slope: f.number('slope', 0.01) }),
  identity: () => ({ op: 'identity' }),
  add: () => ({ op: 'add' }),
  concat: (f) => ({ op: 'concat', axis: f.integer('axis', AXIS, 0) }),
  flatten: () => ({ op: 'flatten' }),
  affine: (f) => ({ op: 'affine', factor: f.number('factor', 1), offset: f.number('offset', 0) }),
  slice: (f) => ({
    op: 'slice',
    axis: f.integer('axis', AXIS, 0),
    from: f.integer('from', EDGE, 0),
    to: f.integer('to', SIZE),
    step: f.integer('step', SIZE, 1),
  }),
  transpose: (f) => ({ op: 'transpose', order: readSizes(f, 'order', 0) }),
  reshape: (f) => ({ op: 'reshape', shape: readSizes(f, 'shape', 1) }),
  softmax: along('softmax'),
  logSoftmax: along('logSoftmax'),
  argMax: along('argMax'),
  sum: along('sum'),
  sigmoid: only('sigmoid'),
  tanh: only('tanh'),
  exp: only('exp'),
  log: only('log'),
  sqrt: only('sqrt'),
  square: only('square'),
  reciprocal: only('reciprocal'),
  softplus: only('softplus'),
  erf: only('erf'),
  multiply: only('multiply'),
} satisfies Partial<Record<Op, Reader>>

export type ElementOp = keyof typeof ELEMENT_READERS

/** One integer to six. */
function readSizes(f: Fields, name: string, min: number): readonly number[] {
  const list = f.numbers(name)
  const fits =
    list.length >= 1 && list.length <= 6 && list.every((x) => Number.isSafeInteger(x) && x >= min && x < 2 ** 28)
  if (!fits && !f.failed) f.fault(name, `1 to 6 integers >= ${min}`)
  return fits ? list : [1]
}

function readClip(f: Fields): LayerOp {
  const clip = { op: 'clip', min: f.number('min'), max: f.number('max') } as const
  if (!f.failed && clip.min >= clip.max) f.problem(`clip: expected min < max, got ${clip.min} and ${clip.max}`)
  return clip
}

/** The output shape of an element op, or undefined after reporting why there is none. */
export function elementShape(
  op: Extract<LayerOp, { op: ElementOp }>,
  inputs: readonly Shape[],
  report: Report,
): Shape | undefined {
  const input = inputs[0]
  switch (op.op) {
    case 'add':
      return equalShapes(inputs, report)
    case 'flatten':
      return [elementCount(input)]
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
    case 'depthToSpace': {
      if (!isMap(input, report)) return undefined
      const [c, h, w] = input
      if (c % op.block ** 2 === 0) return [c / op.block ** 2, h * op.block, w * op.block]
      report(`block: expected one whose square divides the ${c} input channels, got ${op.block}`)
      return undefined
    }
    default:
      return input
  }
}

/** What the tail of a network may have. */
export const ELEMENT_OPS: Grammar = {
  readers: ELEMENT_READERS,
  outputShape: (op, inputs, report) =>
    bounded(elementShape(op as Extract<LayerOp, { op: ElementOp }>, inputs, report), inputs, report),
  referenceProblems(nodes, sources) {
    const known = new Set(sources)
    return nodes.flatMap(({ id, in: read }) => {
      const missing = read.filter((name) => !known.has(name))
      known.add(id)
      return missing.map((name) => `layer ${quote(id)}: in: found no earlier value of id ${quote(name)}`)
    })
  },
}

export function isMap(input: Shape, report: Report): boolean {
  if (input.length === 3) return true
  report(`expected an input of shape [channels,height,width], got ${formatShape(input)}`)
  return false
}

export function equalShapes(inputs: readonly Shape[], report: Report): Shape | undefined {
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
