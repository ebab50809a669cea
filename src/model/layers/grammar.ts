// The fields each op of `arch/1` has, with their defaults (those of PyTorch where it has the op).
import { Fields, isObject, quote } from '../json/fields.js'
import { ELEMENT_READERS } from './element-ops.js'
import { referenceProblems } from './graph.js'
import type { LayerOp, Op, Pad, Pair } from './layers.js'
import { type Grammar, type Reader, readLayerOp } from './read-op.js'
import { outputShape } from './shapes.js'

const ONE: Pair = [1, 1]
const NONE: Pad = [0, 0, 0, 0]
const SIZE = { min: 1 }
const EDGE = { min: 0 }
/** Negative entries crop. */
const CROP = { min: -(2 ** 24) }

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
  linear: (f) => ({ op: 'linear', cout: f.integer('cout', SIZE), bias: f.boolean('bias', true) }),
  batchNorm: readBatchNorm,
  channelScale: () => ({ op: 'channelScale' }),
  avgPool: (f) => ({ op: 'avgPool', ...readPool(f), countPad: f.boolean('countPad', true) }),
  maxPool: (f) => ({ op: 'maxPool', ...readPool(f) }),
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
  prelu: () => ({ op: 'prelu' }),
  zero: () => ({ op: 'zero' }),
  globalAvgPool: () => ({ op: 'globalAvgPool' }),
  ...ELEMENT_READERS,
}

/** Every op there is. */
export const OPS: readonly Op[] = Object.keys(READERS) as Op[]

/** What a file may say. */
export const EVERY_OP: Grammar = { readers: READERS, outputShape, referenceProblems }

function readBatchNorm(f: Fields): LayerOp {
  const eps = f.number('eps', 1e-5)
  if (eps < 0) f.fault('eps', 'a number >= 0')
  return { op: 'batchNorm', eps }
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
  const op = readLayerOp(READERS, fields, {})
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
