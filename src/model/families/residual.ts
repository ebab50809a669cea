// Stems and stages of residual networks (He et al., 2016), in torchvision's names.
import type { LayerList } from './family.js'

/** Adds the shortcut of the block `id` and returns its id. */
export type Shortcut = (id: string, input: string, channels: { from: number; to: number }, stride: number) => string

export interface Stages {
  /** Number of blocks per stage. */
  readonly blocks: readonly number[]
  /** Channels inside the blocks of a stage; a bottleneck gives out four times as many. */
  readonly widths: readonly number[]
  readonly bottleneck: boolean
  /** Stride of each stage's first block. */
  readonly strides: readonly number[]
  /** Dilation of each stage's 3x3 convolutions (bottlenecks only); the first block has half of it. Default all 1. */
  readonly dilations?: readonly number[]
  readonly shortcut: Shortcut
  /** In front of every id, and so of every tensor name. */
  readonly prefix?: string
  /** Name the ReLUs in relu-spec files `layer<stage>_<block>_<index>`, as secure_inference does. */
  readonly specNames?: boolean
}

interface Block {
  readonly id: string
  readonly cin: number
  readonly width: number
  readonly cout: number
  readonly stride: number
  readonly dilation: number
  readonly relu: (index: number, input: string) => string
  readonly shortcut: Shortcut
}

/** The id of the last layer, and its channels. */
export function residualStages(
  list: LayerList,
  input: string,
  cin: number,
  stages: Stages,
): { id: string; channels: number } {
  const { blocks, widths, bottleneck, strides, dilations, shortcut, prefix = '', specNames = false } = stages
  let id = input
  let channels = cin
  widths.forEach((width, s) => {
    const cout = bottleneck ? width * 4 : width
    for (let b = 0; b < blocks[s]; b++) {
      const name = `${prefix}layer${s + 1}.${b}`
      const relu = (index: number, from: string) =>
        list.add('relu', `${name}.relu_${index}`, from, specNames ? { specName: `layer${s + 1}_${b}_${index}` } : {})
      const full = dilations?.[s] ?? 1
      const dilation = b === 0 ? Math.max(1, full / 2) : full
      const block = { id: name, cin: channels, width, cout, stride: b === 0 ? strides[s] : 1, dilation, relu, shortcut }
      id = (bottleneck ? bottleneckBlock : basicBlock)(list, id, block)
      channels = cout
    }
  })
  return { id, channels }
}

function basicBlock(list: LayerList, input: string, block: Block): string {
  const { id, width, stride, relu } = block
  const conv1 = list.conv2d(`${id}.conv1`, input, { cout: width, kernel: 3, stride, pad: 1 })
  const first = relu(1, list.batchNorm(`${id}.bn1`, conv1))
  const conv2 = list.conv2d(`${id}.conv2`, first, { cout: width, kernel: 3, pad: 1 })
  return relu(2, sum(list, input, list.batchNorm(`${id}.bn2`, conv2), block))
}

/** The stride is on the 3x3 convolution, as in torchvision (ResNet "v1.5"). */
function bottleneckBlock(list: LayerList, input: string, block: Block): string {
  const { id, width, cout, stride, dilation, relu } = block
  const first = relu(1, list.batchNorm(`${id}.bn1`, list.conv2d(`${id}.conv1`, input, { cout: width, kernel: 1 })))
  const conv2 = list.conv2d(`${id}.conv2`, first, { cout: width, kernel: 3, stride, pad: dilation, dilation })
  const second = relu(2, list.batchNorm(`${id}.bn2`, conv2))
  const conv3 = list.conv2d(`${id}.conv3`, second, { cout, kernel: 1 })
  return relu(3, sum(list, input, list.batchNorm(`${id}.bn3`, conv3), block))
}

function sum(list: LayerList, input: string, body: string, { id, cin, cout, stride, shortcut }: Block): string {
  const changes = stride !== 1 || cin !== cout
  return list.add('add', `${id}.add`, [body, changes ? shortcut(id, input, { from: cin, to: cout }, stride) : input])
}

/** 1x1 convolution and batch norm, `<block>.<name>.0` and `.1` (option B of He et al.). */
export function projection(list: LayerList, name: 'downsample' | 'shortcut'): Shortcut {
  return (id, input, { to }, stride) =>
    list.batchNorm(`${id}.${name}.1`, list.conv2d(`${id}.${name}.0`, input, { cout: to, kernel: 1, stride }))
}

/** Every stride-th row and column and zero channels, half before and half after (option A). */
export function zeroPadding(list: LayerList): Shortcut {
  return (id, input, { from, to }, stride) => {
    const before = Math.floor((to - from) / 2)
    const fields = { stride: [stride, stride], padChannels: [before, to - from - before] }
    return list.add('shortcutA', `${id}.shortcut`, input, fields)
  }
}

/**
 * `imagenet`: one 7x7 convolution of stride 2; `cifar`: one 3x3; `deep`: three 3x3, the first of stride 2, the first two
 * half as wide (ResNet-C of He et al., "Bag of tricks", 2019).
 */
export type StemKind = 'imagenet' | 'cifar' | 'deep'

export interface Stem {
  readonly kind: StemKind
  readonly width: number
  /** Of the `cifar` stem's convolution. */
  readonly stride?: number
  readonly relu?: boolean
  readonly pool: 'max' | 'avg' | 'none'
  readonly prefix?: string
  readonly specNames?: boolean
}

export function residualStem(list: LayerList, stem: Stem): string {
  const prefix = stem.prefix ?? ''
  let id = stem.kind === 'deep' ? deepStem(list, stem, prefix) : plainStem(list, stem, prefix)
  const window = { kernel: 3, stride: 2, pad: 1 }
  if (stem.pool === 'max') id = list.maxPool(`${prefix}maxpool`, id, window)
  if (stem.pool === 'avg') id = list.avgPool(`${prefix}avgpool`, id, { ...window, countPad: true })
  return id
}

function plainStem(list: LayerList, { kind, width, stride = 1, relu = true, specNames }: Stem, prefix: string): string {
  const window = kind === 'cifar' ? { kernel: 3, stride, pad: 1 } : { kernel: 7, stride: 2, pad: 3 }
  const norm = list.batchNorm(`${prefix}bn1`, list.conv2d(`${prefix}conv1`, 'x', { cout: width, ...window }))
  return relu ? list.add('relu', `${prefix}relu`, norm, specNames ? { specName: 'stem' } : {}) : norm
}

function deepStem(list: LayerList, { width, relu = true, specNames }: Stem, prefix: string): string {
  let id = 'x'
  for (const [i, cout] of [width >> 1, width >> 1, width].entries()) {
    const at = (offset: number) => `${prefix}stem.${3 * i + offset}`
    id = list.batchNorm(at(1), list.conv2d(at(0), id, { cout, kernel: 3, stride: i === 0 ? 2 : 1, pad: 1 }))
    if (relu || i < 2) id = list.add('relu', at(2), id, specNames ? { specName: `stem_${3 * i + 2}` } : {})
  }
  return id
}
