// The operations that a Seesaw sample layer sums up, as steps over C channels: stride 1, size kept, no activation.
import type { ConvFields, LayerList } from '../family.js'

type Step = (layers: LayerList, id: string, input: string, channels: number) => string

interface SampleOp {
  readonly steps: readonly Step[]
  /** Where the steps stand below the branch's `paths.<k>.0` in a state dict; '' for an op of one step. */
  readonly suffix: (step: number) => string
}

const single = () => ''
const numbered = (step: number) => `.${step}`
const inNet = (step: number) => `.net.${step}`

const bn: Step = (layers, id, input) => layers.batchNorm(id, input)

/** A k×k convolution that keeps the size; `depthwise` has one filter per channel. */
function conv(k: number, { groups = 1, dilation = 1, depthwise = false } = {}): Step {
  return (layers, id, input, cout) => {
    const fields: ConvFields = { cout, kernel: k, pad: (dilation * (k - 1)) / 2, dilation }
    return layers.conv2d(id, input, { ...fields, groups: depthwise ? cout : groups })
  }
}

const pointwise = conv(1)

function row(k: number): Step {
  const pad = (k - 1) / 2
  return (layers, id, input, cout) => layers.conv2d(id, input, { cout, kernel: [1, k], pad: [0, pad, 0, pad] })
}

function column(k: number): Step {
  const pad = (k - 1) / 2
  return (layers, id, input, cout) => layers.conv2d(id, input, { cout, kernel: [k, 1], pad: [pad, 0, pad, 0] })
}

function avgPool(k: number): Step {
  return (layers, id, input) => layers.avgPool(id, input, { kernel: k, stride: 1, pad: (k - 1) / 2, countPad: false })
}

function separable(k: number, dilation: number): readonly Step[] {
  return [conv(k, { depthwise: true, dilation }), pointwise, bn]
}

const twice = (steps: readonly Step[]) => [...steps, ...steps]

/** The ops of one kernel size; a convolution of 1×1 has no variants. */
function ofSize(k: number): readonly (readonly [string, SampleOp])[] {
  const op = (steps: readonly Step[], suffix = numbered): SampleOp => ({ steps, suffix })
  return [
    [`avg_pool_${k}x${k}`, op([avgPool(k)], single)],
    [`conv_${k}x${k}`, op([conv(k), bn])],
    [`sep_conv_${k}x${k}`, op(twice(separable(k, 1)))],
    [`dil_conv_${k}x${k}`, op(separable(k, 2))],
    [`dil_sep_conv_${k}x${k}`, op(twice(separable(k, 2)))],
    [`group_8_conv_${k}x${k}`, op([conv(k, { groups: 8 }), bn])],
    [`conv_${k}x1_1x${k}`, op([row(k), column(k), bn])],
    [`van_conv_${k}x${k}`, op(twice([conv(k), bn]), inNet)],
  ]
}

const ZERO: SampleOp = { steps: [(layers, id, input) => layers.add('zero', id, input)], suffix: single }

const OPS: ReadonlyMap<string, SampleOp> = new Map<string, SampleOp>([
  ['none', ZERO],
  ['skip_connect', { steps: [(layers, id, input) => layers.add('identity', id, input)], suffix: single }],
  ['conv_1x1', { steps: [pointwise, bn], suffix: numbered }],
  ...ofSize(3),
  ...ofSize(5),
  ...ofSize(7),
])

const each = (name: string) => [3, 5, 7].map((k) => `${name}_${k}x${k}`)

/** All 27, in the order of the published code, which is the order of a sample layer's alpha. */
export const sampleOps27: readonly string[] = [
  'none',
  ...each('avg_pool'),
  'skip_connect',
  'conv_1x1',
  ...['conv', 'sep_conv', 'dil_conv', 'dil_sep_conv', 'group_8_conv'].flatMap(each),
  ...[3, 5, 7].map((k) => `conv_${k}x1_1x${k}`),
  ...each('van_conv'),
]

/** The ten of the older code. */
export const sampleOps10: readonly string[] = [
  'skip_connect',
  'conv_3x3',
  'conv_1x1',
  'sep_conv_3x3',
  'sep_conv_5x5',
  'dil_conv_3x3',
  'dil_sep_conv_3x3',
  'conv_3x1_1x3',
  'conv_7x1_1x7',
  'van_conv_3x3',
]

/** Adds the branch `name` under `id` and returns its last layer; a branch that is not kept is a zero. */
export function addBranch(
  layers: LayerList,
  id: string,
  input: string,
  channels: number,
  name: string,
  kept: boolean,
): string {
  const { steps, suffix } = (kept && OPS.get(name)) || ZERO
  return steps.reduce((before, step, i) => step(layers, id + suffix(i), before, channels), input)
}

/** Whether the branch owns tensors, so that a state dict tells if it is there. */
export function ownsTensors(name: string): boolean {
  return (OPS.get(name)?.steps.length ?? 0) > 1
}
