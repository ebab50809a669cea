// ResNet for pictures of ImageNet's and of CIFAR's size, in torchvision's or in the usual CIFAR repositories' names.
import type { Fields } from '../json/fields.js'
import { BLOCKS, pictureInput, pooledClassifier, readClasses, readPicture, WIDTH } from './blocks.js'
import { type Family, type FamilyNetwork, LayerList } from './family.js'
import { projection, residualStages, residualStem, type Stem, type StemKind } from './residual.js'

type Four = readonly [number, number, number, number]

interface Body {
  readonly bottleneck: boolean
  readonly blocks: Four
}

const WIDTHS: Four = [64, 128, 256, 512]

/** He et al. 2016, table 1. */
const DEPTHS: Readonly<Record<number, Body>> = {
  18: { bottleneck: false, blocks: [2, 2, 2, 2] },
  34: { bottleneck: false, blocks: [3, 4, 6, 3] },
  50: { bottleneck: true, blocks: [3, 4, 6, 3] },
  101: { bottleneck: true, blocks: [3, 4, 23, 3] },
  152: { bottleneck: true, blocks: [3, 8, 36, 3] },
}

export const resnet: Family = (request): FamilyNetwork => {
  const { params } = request
  const body = readBody(params)
  const widths = params.integers<Four>('widths', 4, WIDTH, WIDTHS)
  const stem = readStem(params, widths[0])
  const small = stem.kind === 'cifar'
  const naming = params.oneOf('naming', ['torchvision', 'cifar'], small ? 'cifar' : 'torchvision')
  const shape = readPicture(request, small ? [3, 32, 32] : [3, 224, 224])
  const classes = readClasses(request)
  const list = new LayerList()
  const { id } = residualStages(list, residualStem(list, stem), stem.width, {
    ...body,
    widths,
    strides: [1, 2, 2, 2],
    shortcut: projection(list, naming === 'cifar' ? 'shortcut' : 'downsample'),
    specNames: true,
  })
  const output = pooledClassifier(list, id, naming === 'cifar' ? 'linear' : 'fc', classes)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}

/** `depth`, or `block` and `blocks`. */
function readBody(params: Fields): Body {
  if (!params.has('depth')) {
    if (!params.has('blocks')) params.problem('expected depth, or block and blocks')
    const bottleneck = params.oneOf('block', ['basic', 'bottleneck'], 'basic') === 'bottleneck'
    return { bottleneck, blocks: params.integers<Four>('blocks', 4, BLOCKS, [1, 1, 1, 1]) }
  }
  for (const name of ['block', 'blocks']) if (params.has(name)) params.problem(`${name}: depth already says it`)
  const depth = params.value('depth')
  if (typeof depth === 'number' && Object.hasOwn(DEPTHS, depth)) return DEPTHS[depth]
  params.fault('depth', `one of ${Object.keys(DEPTHS).join(', ')}`)
  return DEPTHS[18]
}

function readStem(params: Fields, width: number): Stem {
  const kind = params.oneOf<StemKind>('stem', ['imagenet', 'cifar', 'deep'], 'imagenet')
  const pool = params.oneOf('stemPool', ['max', 'avg', 'none'], kind === 'cifar' ? 'none' : 'max')
  const stride = params.integer('stemStride', { min: 1, max: 2 }, kind === 'cifar' ? 1 : 2)
  if (kind !== 'cifar' && stride !== 2) params.fault('stemStride', `2 for stem "${kind}"`)
  if (kind === 'deep' && width < 2) params.fault('widths', 'a first width >= 2, the deep stem halves it')
  return { kind, width, stride, relu: params.boolean('stemRelu', true), pool, specNames: true }
}
