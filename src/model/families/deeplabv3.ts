// DeepLabV3 (Chen et al., 2017) as secure_inference and mmsegmentation build it: a dilated backbone, a head of parallel
// dilated convolutions (ASPP), logits resized to the picture. Ids are mmsegmentation's tensor names; its auxiliary head
// is a matter of training and has no place here.
import type { Fields } from '../json/fields.js'
import {
  type Activation,
  activation,
  invertedResidual,
  type MapShape,
  pictureInput,
  readClasses,
  readPicture,
  readSizes,
  WIDTH,
} from './blocks.js'
import { type Family, LayerList } from './family.js'
import { MOBILE_STAGES, readMultiplier, roundWidth } from './mobilenetv2.js'
import { projection, residualStages, residualStem } from './residual.js'

interface Head {
  readonly channels: number
  readonly dilations: readonly number[]
}

type Backbone = (list: LayerList, params: Fields) => string

/** Both backbones halve the picture three times. */
const REDUCTION = 8
const MOBILE_STRIDES = [1, 2, 2, 1, 1, 1, 1]
/** Of the first block of a stage only. */
const MOBILE_DILATIONS = [1, 1, 1, 2, 2, 4, 4]

const BACKBONES: Readonly<Record<string, Backbone>> = {
  mobilenetv2: mobileBackbone,
  resnet50: (list, params) => residualBackbone(list, params, [3, 4, 6, 3]),
  resnet101: (list, params) => residualBackbone(list, params, [3, 4, 23, 3]),
}

export const deeplabv3: Family = (request) => {
  const { params } = request
  const backbone = params.oneOf('backbone', Object.keys(BACKBONES))
  const dilations = readSizes(params, 'headDilations', { min: 1, max: 256 }, 16, [1, 12, 24, 36])
  if (dilations.length === 0 && !params.failed) params.fault('headDilations', 'at least one dilation')
  const head = { channels: params.integer('headChannels', WIDTH, 512), dilations }
  const upsample = params.boolean('upsample', true)
  const shape = readPicture(request, [3, 512, 512])
  const classes = readClasses(request)
  const list = new LayerList()
  const logits = asppHead(list, BACKBONES[backbone](list, params), head, shape, classes)
  const size = [shape[1], shape[2]]
  const output = upsample ? list.add('resize', 'resize', logits, { size, mode: 'bilinear' }) : logits
  const weights = { layout: 'torch', unwrap: 'state_dict' }
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers, weights }
}

function mobileBackbone(list: LayerList, params: Fields): string {
  const multiplier = readMultiplier(params)
  const act = params.oneOf<Activation>('activation', ['relu', 'relu6'], 'relu')
  let channels = roundWidth(32 * multiplier)
  const stem = list.conv2d('backbone.conv1.conv', 'x', { cout: channels, kernel: 3, stride: 2, pad: 1 })
  const norm = list.batchNorm('backbone.conv1.bn', stem)
  let id = activation(list, act, 'backbone.conv1.activate', norm, { specName: 'conv1' })
  MOBILE_STAGES.forEach(({ expansion, channels: base, blocks }, s) => {
    const cout = roundWidth(base * multiplier)
    const expands = expansion > 1
    for (let b = 0; b < blocks; b++) {
      const front = `backbone.layer${s + 1}.${b}`
      const place = b === 0 ? { stride: MOBILE_STRIDES[s], dilation: MOBILE_DILATIONS[s] } : { stride: 1 }
      const sizes = { cin: channels, cout, hidden: channels * expansion, expands, kernel: 3, ...place }
      const sum = place.stride === 1 && channels === cout ? { add: `${front}.add` } : {}
      id = invertedResidual(list, id, { ...sizes, activation: act, ...sum }, (part) => {
        const index = ['expand', 'depth', 'project'].indexOf(part) - (expands ? 0 : 1)
        const conv = `${front}.conv.${index}`
        const specName = `layer${s + 1}_${b}_${index}`
        return { conv: `${conv}.conv`, norm: `${conv}.bn`, act: `${conv}.activate`, specName }
      })
      channels = cout
    }
  })
  return id
}

function residualBackbone(list: LayerList, params: Fields, blocks: readonly number[]): string {
  const stem = params.oneOf('stem', ['deep', 'imagenet'], 'deep')
  const pool = params.oneOf('stemPool', ['avg', 'max'], 'avg')
  const naming = { prefix: 'backbone.', specNames: true }
  return residualStages(list, residualStem(list, { kind: stem, width: 64, pool, ...naming }), 64, {
    blocks,
    widths: [64, 128, 256, 512],
    bottleneck: true,
    strides: [1, 2, 1, 1],
    dilations: [1, 1, 2, 4],
    shortcut: projection(list, 'downsample'),
    ...naming,
  }).id
}

/** Image pooling and one convolution per dilation, side by side; a 3x3 convolution over all; one score per class. */
function asppHead(list: LayerList, input: string, head: Head, [, h, w]: MapShape, classes: number): string {
  const cout = head.channels
  const block = (id: string, index: number, from: string, kernel: number, dilation = 1) => {
    const pad = (dilation * (kernel - 1)) / 2
    const norm = list.batchNorm(`${id}.bn`, list.conv2d(`${id}.conv`, from, { cout, kernel, pad, dilation }))
    return list.add('relu', `${id}.activate`, norm, { specName: `decode_${index}` })
  }
  const mean = list.add('globalAvgPool', 'decode_head.image_pool.0', input)
  const pooled = block('decode_head.image_pool.1', 0, mean, 1)
  const size = [Math.ceil(h / REDUCTION), Math.ceil(w / REDUCTION)]
  const parts = [list.add('resize', 'decode_head.image_pool.resize', pooled, { size, mode: 'broadcast' })]
  for (const [i, dilation] of head.dilations.entries()) {
    parts.push(block(`decode_head.aspp_modules.${i}`, i + 1, input, dilation === 1 ? 1 : 3, dilation))
  }
  const all = list.add('concat', 'decode_head.concat', parts)
  const fused = block('decode_head.bottleneck', parts.length, all, 3)
  return list.conv2d('decode_head.conv_seg', fused, { cout: classes, kernel: 1, bias: true })
}
