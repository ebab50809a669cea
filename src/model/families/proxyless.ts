// ProxylessNAS (Cai et al., 2019): the JSON configuration that its authors publish beside the weights, read as it is.
// Ids are the names of the published state dict.
import { Fields, isObject, type Json, objects, quote } from '../json/fields.js'
import { type Activation, activation, invertedResidual, pictureInput, readPicture, WIDTH } from './blocks.js'
import { type Family, LayerList } from './family.js'

const KERNEL = { min: 1, max: 31 }
const STRIDE = { min: 1, max: 2 }
const NETWORK = 'ProxylessNASNets'

/** The short `arch/1` file that a published configuration stands for; undefined when `root` is no configuration. */
export function proxylessArchitecture(root: Json): Json | undefined {
  if (root.name !== NETWORK || !Array.isArray(root.blocks) || Object.hasOwn(root, 'format')) return undefined
  const side = root.resolution
  const name = Number.isSafeInteger(side) ? `proxyless-r${side}` : 'proxyless'
  return { format: 'arch/1', name, family: 'proxyless', params: root }
}

/** What is known between two blocks. */
interface Place {
  readonly id: string
  /** Undefined where they could not be read, so that one mistake is not reported of the next layer too. */
  readonly channels: number | undefined
}

export const proxyless: Family = (request) => {
  const { params } = request
  params.oneOf('name', [NETWORK])
  const side = params.integer('resolution', { min: 8, max: 2 ** 12 }, 224)
  const shape = readPicture(request, [3, side, side])
  const bn = nested(params, 'bn')
  bn.number('momentum', 0.1)
  const eps = bn.number('eps')
  if (eps < 0) bn.fault('eps', 'a number >= 0')
  only(bn, 'ws_eps', null)
  bn.noOthers()
  const list = new LayerList()
  let at = convLayer(list, params, 'first_conv', { id: 'x', channels: shape[0] }, eps)
  for (const [i, entry] of objects(params, 'blocks').entries()) {
    const block = new Fields(entry, `${params.where}: blocks[${i}]`, params.problems)
    at = readBlock(list, block, `blocks.${i}`, at, eps)
    if (block.failed) params.failed = true
  }
  at = convLayer(list, params, 'feature_mix_layer', at, eps)
  const output = classifier(list, params, at)
  const weights = { layout: 'torch', unwrap: 'state_dict' }
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers, weights }
}

/** The object `name` of `parent`; call `close` when its fields are read. Where there is none, that is the one fault. */
function nested(parent: Fields, name: string): Fields {
  const value = parent.value(name)
  if (isObject(value)) return new Fields(value, `${parent.where}: ${name}`, parent.problems)
  parent.fault(name, 'an object')
  return new Fields({}, parent.where, [])
}

function close(fields: Fields, parent: Fields): void {
  fields.noOthers()
  if (fields.failed) parent.failed = true
}

/** Says that a published field must have the one value that the layers here stand for. */
function only(fields: Fields, name: string, expected: unknown): void {
  const value = fields.value(name)
  if (value !== undefined && value !== expected) fields.fault(name, quote(expected))
}

/** Fields that later versions of the authors' code write into every layer, at values that change nothing. */
function neutralFields(fields: Fields): void {
  only(fields, 'use_se', false)
  only(fields, 'ws_eps', null)
  only(fields, 'mid_channels', null)
}

/** The fields of every published layer that say how it was trained or ordered. */
function commonFields(fields: Fields, kind: string): void {
  fields.oneOf('name', [kind])
  fields.number('dropout_rate', 0)
  only(fields, 'ops_order', 'weight_bn_act')
  only(fields, 'has_shuffle', false)
  neutralFields(fields)
}

/** The channels that a layer says it reads, which must be those of the layer before. */
function channelsIn(fields: Fields, name: string, channels: number | undefined): number {
  const stated = fields.integer(name, WIDTH)
  if (!fields.failed && channels !== undefined && stated !== channels) {
    fields.fault(name, `${channels}, which the layer before gives`)
  }
  return stated
}

function convLayer(list: LayerList, params: Fields, name: string, { id, channels }: Place, eps: number): Place {
  const fields = nested(params, name)
  commonFields(fields, 'ConvLayer')
  channelsIn(fields, 'in_channels', channels)
  const cout = fields.integer('out_channels', WIDTH)
  const kernel = fields.integer('kernel_size', KERNEL)
  if (kernel % 2 === 0) fields.fault('kernel_size', 'an odd kernel')
  const stride = fields.integer('stride', STRIDE, 1)
  const dilation = fields.integer('dilation', KERNEL, 1)
  const groups = fields.integer('groups', WIDTH, 1)
  const bias = fields.boolean('bias', false)
  const pad = (dilation * (kernel - 1)) / 2
  let next = list.conv2d(`${name}.conv`, id, { cout, kernel, stride, pad, dilation, groups, bias })
  if (fields.boolean('use_bn', true)) next = list.batchNorm(`${name}.bn`, next, eps)
  const act = readActivation(fields)
  if (act) next = activation(list, act, `${name}.act`, next)
  close(fields, params)
  return { id: next, channels: fields.value('out_channels') === cout ? cout : undefined }
}

function readActivation(fields: Fields): Activation | undefined {
  const value = fields.value('act_func')
  if (value === null || value === undefined) return undefined
  if (value === 'relu' || value === 'relu6') return value
  fields.fault('act_func', '"relu6", "relu" or null')
  return undefined
}

/** A block of `ZeroLayer` is its shortcut alone. */
function readBlock(list: LayerList, block: Fields, id: string, at: Place, eps: number): Place {
  block.oneOf('name', ['MobileInvertedResidualBlock'])
  const skip = readShortcut(block, at.channels)
  const conv = nested(block, 'mobile_inverted_conv')
  let next = at
  if (conv.value('name') === 'ZeroLayer') {
    only(conv, 'stride', 1)
    neutralFields(conv)
    if (!skip) {
      block.fault('shortcut', 'an IdentityLayer beside a ZeroLayer')
      next = { id: at.id, channels: undefined }
    }
  } else {
    next = invertedConv(list, conv, id, at, skip, eps)
  }
  close(conv, block)
  block.noOthers()
  return next
}

function readShortcut(block: Fields, channels: number | undefined): boolean {
  if (block.value('shortcut') === null || block.value('shortcut') === undefined) return false
  const fields = nested(block, 'shortcut')
  commonFields(fields, 'IdentityLayer')
  channelsIn(fields, 'in_channels', channels)
  channelsIn(fields, 'out_channels', channels)
  only(fields, 'use_bn', false)
  only(fields, 'act_func', null)
  close(fields, block)
  return true
}

function invertedConv(list: LayerList, conv: Fields, id: string, at: Place, skip: boolean, eps: number): Place {
  conv.oneOf('name', ['MBInvertedConvLayer'])
  only(conv, 'act_func', 'relu6')
  neutralFields(conv)
  const cin = channelsIn(conv, 'in_channels', at.channels)
  const cout = conv.integer('out_channels', WIDTH)
  const kernel = conv.integer('kernel_size', KERNEL)
  if (kernel % 2 === 0) conv.fault('kernel_size', 'an odd kernel')
  const stride = conv.integer('stride', STRIDE)
  const ratio = conv.number('expand_ratio')
  const hidden = Math.round(cin * ratio)
  if (!conv.failed && (hidden < 1 || hidden > WIDTH.max)) {
    conv.fault('expand_ratio', `a factor that gives 1 to ${WIDTH.max} channels`)
  }
  if (!conv.failed && skip && (stride !== 1 || cout !== cin)) {
    conv.problem(`expected stride 1 and ${cin} channels beside an IdentityLayer, got ${stride} and ${cout}`)
  }
  const part = { expand: 'inverted_bottleneck', depth: 'depth_conv', project: 'point_linear' }
  const sizes = { cin, cout, hidden, expands: ratio !== 1, kernel, stride }
  const sum = skip ? { add: `${id}.add` } : {}
  const next = invertedResidual(list, at.id, { ...sizes, eps, activation: 'relu6', ...sum }, (name) => {
    const front = `${id}.mobile_inverted_conv.${part[name]}`
    return { conv: `${front}.conv`, norm: `${front}.bn`, act: `${front}.act` }
  })
  return { id: next, channels: conv.value('out_channels') === cout ? cout : undefined }
}

function classifier(list: LayerList, params: Fields, { id, channels }: Place): string {
  const fields = nested(params, 'classifier')
  commonFields(fields, 'LinearLayer')
  channelsIn(fields, 'in_features', channels)
  const classes = fields.integer('out_features', { min: 1, max: 2 ** 20 })
  const bias = fields.boolean('bias', true)
  only(fields, 'use_bn', false)
  only(fields, 'act_func', null)
  close(fields, params)
  const pooled = list.add('flatten', 'flatten', list.add('globalAvgPool', 'gap', id))
  return list.linear('classifier.linear', pooled, classes, bias)
}
