// A layer in a few words, for tables and diagrams.

import type { Shape } from '../shape.js'
import { effectiveOp, type Layer, type LayerOp, type Pad, type Pair } from './layers.js'

const by = ([a, b]: Pair): string => `${a}×${b}`
const stridden = ([a, b]: Pair): string => (a * b === 1 ? '' : ` /${a === b ? a : `${a}×${b}`}`)

/** `conv 3×3 /2`, `dw conv 5×5`, `avg pool 7×7`. */
export function layerWords(layer: Layer): string {
  return opWords(effectiveOp(layer), layer)
}

function opWords(op: LayerOp, layer: Layer): string {
  switch (op.op) {
    case 'conv2d': {
      const [cin] = layer.inShapes[0]
      const kind = op.groups === 1 ? 'conv' : op.groups === cin ? 'dw conv' : `conv in ${op.groups} groups`
      const dilation = op.dilation[0] * op.dilation[1] === 1 ? '' : `, dilated ${Math.max(...op.dilation)}`
      return `${kind} ${by(op.kernel)}${stridden(op.stride)}${dilation}`
    }
    case 'convTranspose2d':
      return `transposed conv ${by(op.kernel)}${stridden(op.stride)}`
    case 'depthToSpace':
      return `depth to space ${op.block}×${op.block}`
    case 'affine':
      return `${op.factor} x + ${op.offset}`
    case 'softmax':
    case 'logSoftmax':
    case 'argMax':
    case 'sum':
      return `${WORDS[op.op]}${op.axis === 0 ? '' : ` along axis ${op.axis}`}`
    case 'slice':
      return `slice ${op.from} … ${op.to - 1} of axis ${op.axis}`
    case 'transpose':
      return `transpose ${op.order.join(' ')}`
    case 'reshape':
      return `reshape ${shapeWords(op.shape)}`
    case 'avgPool':
      return `avg pool ${by(op.kernel)}${op.stride[0] === op.kernel[0] ? '' : stridden(op.stride)}`
    case 'maxPool':
      return `max pool ${by(op.kernel)}${op.stride[0] === op.kernel[0] ? '' : stridden(op.stride)}`
    case 'clip':
      return op.min === 0 ? `ReLU${op.max}` : `clip ${op.min} … ${op.max}`
    case 'leakyRelu':
      return `leaky ReLU ${op.slope}`
    case 'weightedSum':
      return `weighted sum of ${layer.in.length}`
    case 'resize':
      return `resize ${by(op.size)} ${op.mode}`
    case 'subsample':
      return `every${stridden(op.stride).replace(' /', ' ')}`
    case 'shortcutA':
      return `shortcut A${stridden(op.stride)}`
    case 'pad':
      return `pad ${padWords(op.pad)}`
    case 'choice':
      return `choice of ${op.of.map((option) => option.op).join(', ')}`
    default:
      return WORDS[op.op]
  }
}

const padWords = (pad: Pad): string => (pad.every((n) => n === pad[0]) ? `${pad[0]}` : pad.join(' '))

const WORDS = {
  linear: 'linear',
  batchNorm: 'batch norm',
  channelScale: 'channel scale',
  relu: 'ReLU',
  prelu: 'PReLU',
  identity: 'identity',
  zero: 'zero',
  add: 'add',
  concat: 'concat',
  flatten: 'flatten',
  globalAvgPool: 'global avg pool',
  softmax: 'softmax',
  logSoftmax: 'log softmax',
  argMax: 'arg max',
  sum: 'sum',
  sigmoid: 'sigmoid',
  tanh: 'tanh',
  exp: 'exp',
  log: 'log',
  sqrt: 'square root',
  square: 'square',
  reciprocal: 'reciprocal',
  softplus: 'softplus',
  erf: 'erf',
  multiply: 'product',
} as const

/** `16×32×32` */
export const shapeWords = (shape: Shape): string => shape.join('×')
