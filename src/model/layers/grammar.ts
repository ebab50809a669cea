// The fields each op of `arch/1` has, with their defaults (those of PyTorch where it has the op).
import { Fields, isObject, quote } from '../json/fields.js'
import type { AlongAxis, LayerOp, Op, Pad, Pair, Pointwise } from './layers.js'

const ONE: Pair = [1, 1]
const NONE: Pad = [0, 0, 0, 0]
const SIZE = { min: 1 }
const EDGE = { min: 0 }
/** Of shapes that have one axis to three, or six behind a reshape. */
const AXIS = { min: 0, max: 5 }
const MANY = Number.POSITIVE_INFINITY
/** Negative entries crop. */
const CROP = { min: -(2 ** 24) }

type Reader = (fields: Fields, choices: Readonly<Record<string, unknown>>) => LayerOp

/** Inputs an op takes: exactly one unless it is listed here. */
const INPUTS: Partial<Record<Op, readonly [fewest: number, most: number]>> = {
  ...{ add: [2, MANY], weightedSum: [1, MANY], concat: [1, MANY], choice: [1, MANY] },
  multiply: [2, 2],
}

const along =
  (op: AlongAxis['op']): Reader =>
  (f) => ({ op, axis: f.integer('axis', AXIS, 0) })

const only =
  (op: Pointwise['op']): Reader =>
  () => ({ op })

const READERS: Record<Op, Reader> = {
  conv2d: (f) => ({
    op: 'conv2d',
    cout: f.integer('cout', SIZE),
    kernel: f.integers<Pair>('kernel', 2, SIZE),
    stride: f.integers<Pair>('stride', 2, SIZE, ONE),
    pad: f.integers<Pad>('pad', 4, EDGE, NONE),
    dilation: f.integers<Pair>('dilation', 2, SIZE, ONE),
    groups: f.integer('groups', SIZE, 1),
    bias: f.boolean('bias', true),
  }),
  convTranspose2d: (f) => ({
    op: 'convTranspose2d',
    cout: f.integer('cout', SIZE),
    kernel: f.integers<Pair>('kernel', 2, SIZE),
    stride: f.integers<Pair>('stride', 2, SIZE, ONE),
    pad: f.integers<Pad>('pad', 4, EDGE, NONE),
    outputPad: f.integers<Pair>('outputPad', 2, EDGE, [0, 0]),
    dilation: f.integers<Pair>('dilation', 2, SIZE, ONE),
    groups: f.integer('groups', SIZE, 1),
    bias: f.boolean('bias', true),
  }),
  depthToSpace: (f) => ({
    op: 'depthToSpace',
    block: f.integer('block', { min: 1, max: 64 }),
    order: f.oneOf('order', ['dcr', 'crd'], 'crd'),
  }),
  linear: (f) => ({ op: 'linear', cout: f.integer('cout', SIZE), bias: f.boolean('bias', true) }),
  batchNorm: readBatchNorm,
  channelScale: () => ({ op: 'channelScale' }),
  avgPool: (f) => ({ op: 'avgPool', ...readPool(f), countPad: f.boolean('countPad', true) }),
  maxPool: (f) => ({ op: 'maxPool', ...readPool(f) }),
  clip: readClip,
  weightedSum: (f) => ({
    op: 'weightedSum',
    coef: f.string('coef'),
    norm: f.oneOf('norm', ['softmax', 'none'], 'none'),
  }),
  resize: (f) => ({
    op: 'resize',
    size: f.integers<Pair>('size', 2, SIZE),
    mode: f.oneOf('mode', ['broadcast', 'nearest', 'bilinear', 'bilinear-asymmetric', 'bilinear-align-corners']),
  }),
  subsample: (f) => ({
    op: 'subsample',
    stride: f.integers<Pair>('stride', 2, SIZE),
    offset: f.integers<Pair>('offset', 2, EDGE, [0, 0]),
  }),
  shortcutA: (f) => ({
    op: 'shortcutA',
    stride: f.integers<Pair>('stride', 2, SIZE, ONE),
    padChannels: f.integers<Pair>('padChannels', 2, CROP, [0, 0]),
  }),
  pad: (f) => ({ op: 'pad', pad: f.integers<Pad>('pad', 4, CROP), fill: f.number('fill', 0) }),
  choice: readChoice,
  relu: () => ({ op: 'relu' }),
  leakyRelu: (f) => ({ op: 'leakyRelu', slope: f.number('slope', 0.01) }),
  prelu: () => ({ op: 'prelu' }),
  identity: () => ({ op: 'identity' }),
  zero: () => ({ op: 'zero' }),
  add: () => ({ op: 'add' }),
  concat: (f) => ({ op: 'concat', axis: f.integer('axis', AXIS, 0) }),
  flatten: () => ({ op: 'flatten' }),
  globalAvgPool: () => ({ op: 'globalAvgPool' }),
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
}

/** One integer to six. */
function readSizes(f: Fields, name: string, min: number): readonly number[] {
  const list = f.numbers(name)
  const fits =
    list.length >= 1 && list.length <= 6 && list.every((x) => Number.isSafeInteger(x) && x >= min && x < 2 ** 28)
  if (!fits && !f.failed) f.fault(name, `1 to 6 integers >= ${min}`)
  return fits ? list : [1]
}

/** Reads the op of a layer and the fields that belong to it; undefined when the op itself is unknown. */
export function readLayerOp(fields: Fields, choices: Readonly<Record<string, unknown>>): LayerOp | undefined {
  const name = fields.value('op')
  if (typeof name !== 'string' || !Object.hasOwn(READERS, name)) {
    fields.fault('op', `one of ${Object.keys(READERS).join(', ')}`)
    return undefined
  }
  return READERS[name as Op](fields, choices)
}

/** Every op there is. */
export const OPS: readonly Op[] = Object.keys(READERS) as Op[]

/** How many inputs the op takes, as [fewest, most]. */
export function inputCount(op: Op): readonly [number, number] {
  return INPUTS[op] ?? [1, 1]
}

function readBatchNorm(f: Fields): LayerOp {
  const eps = f.number('eps', 1e-5)
  if (eps < 0) f.fault('eps', 'a number >= 0')
  return { op: 'batchNorm', eps }
}

function readClip(f: Fields): LayerOp {
  const clip = { op: 'clip', min: f.number('min'), max: f.number('max') } as const
  if (!f.failed && clip.min >= clip.max) f.problem(`clip: expected min < max, got ${clip.min} and ${clip.max}`)
  return clip
}

function readPool(f: Fields) {
  const kernel = f.integers<Pair>('kernel', 2, SIZE)
  return {
    kernel,
    stride: f.integers<Pair>('stride', 2, SIZE, kernel),
    pad: f.integers<Pad>('pad', 4, EDGE, NONE),
    ceil: f.boolean('ceil', false),
  }
}

function readChoice(f: Fields, choices: Readonly<Record<string, unknown>>): LayerOp {
  const key = f.string('key')
  const list = f.value('of')
  if (!Array.isArray(list) || list.length === 0) {
    f.fault('of', 'a non-empty list of ops')
    return { op: 'choice', key, of: [], chosen: undefined }
  }
  const of = list.map((entry, i) => readOption(entry, i, f)).filter((option) => option !== undefined)
  return { op: 'choice', key, of, chosen: chosenOption(f, key, choices, list.length) }
}

function readOption(entry: unknown, index: number, f: Fields): LayerOp | undefined {
  if (!isObject(entry) || entry.op === 'choice') {
    f.problem(`of[${index}]: expected an op other than choice, got ${quote(entry)}`)
    return undefined
  }
  const fields = new Fields(entry, `${f.where}: of[${index}]`, f.problems)
  const op = readLayerOp(fields, {})
  if (op) fields.noOthers()
  if (fields.failed) f.failed = true
  return op
}

function chosenOption(f: Fields, key: string, choices: Readonly<Record<string, unknown>>, count: number) {
  if (!Object.hasOwn(choices, key)) return undefined
  const chosen = choices[key]
  if (Number.isSafeInteger(chosen) && (chosen as number) >= 0 && (chosen as number) < count) return chosen as number
  f.problem(`choices[${quote(key)}]: expected an integer from 0 to ${count - 1}, got ${quote(chosen)}`)
  return undefined
}
