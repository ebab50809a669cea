// What the families make of their parameters: published sizes, tensor names that published checkpoints bind to, and
// what wrong parameters get to hear.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { families } from '../../src/model/families/index.js'
import type { Json } from '../../src/model/json/fields.js'
import { parametersOf } from '../../src/model/parameters.js'
import { committedJson } from '../fixtures/reference-files.js'

function short(family: string, params: Json, shape?: readonly number[]): Architecture {
  const inputs = shape ? { inputs: [{ shape }] } : {}
  return parseArchitecture({ format: 'arch/1', name: 'network', family, params, ...inputs })
}

function tensorNames(arch: Architecture): string[] {
  return arch.layers.flatMap((layer) => parametersOf(layer).map(({ tensor }) => `${layer.id}.${tensor}`))
}

function problemsOf(family: string, params: unknown, shape?: unknown): readonly string[] {
  try {
    short(family, params as Json, shape as number[])
  } catch (error) {
    if (error instanceof RingfenceError && error.code === 'BAD_FILE') return error.problems
    throw error
  }
  return []
}

const IMAGENET = [3, 224, 224]

// Parameters and tensors (running statistics among them, batch counters not) as torchvision 0.15 has them; the wide and
// small ResNets as their repositories print them.
describe('published sizes', () => {
  test.each<[string, Json, number[] | undefined, number, number | undefined]>([
    ['resnet', { depth: 18, numClasses: 1000 }, undefined, 11689512, 102],
    ['resnet', { depth: 50, numClasses: 1000 }, undefined, 25557032, 267],
    ['resnet', { depth: 101, numClasses: 1000 }, undefined, 44549160, undefined],
    ['resnet', { depth: 152, numClasses: 1000 }, undefined, 60192808, undefined],
    ['vgg', { depth: 11, batchNorm: false, numClasses: 1000 }, IMAGENET, 132863336, 22],
    ['vgg', { depth: 11, numClasses: 1000 }, IMAGENET, 132868840, 54],
    ['vgg', { depth: 13, numClasses: 1000 }, IMAGENET, 133053736, undefined],
    ['vgg', { depth: 16, batchNorm: false, numClasses: 1000 }, IMAGENET, 138357544, 32],
    ['vgg', { depth: 16, numClasses: 1000 }, IMAGENET, 138365992, 84],
    ['vgg', { depth: 19, numClasses: 1000 }, IMAGENET, 143678248, undefined],
    ['mobilenetv2', { numClasses: 1000 }, undefined, 3504872, 262],
    ['mobilenetv2', { widthMultiplier: 0.5, numClasses: 1000 }, undefined, 1968680, 262],
    ['mobilenetv2', { widthMultiplier: 1.4, numClasses: 1000 }, undefined, 6108776, 262],
    ['resnet-cifar', { depth: 20, option: 'B', numClasses: 10 }, undefined, 272474, undefined],
    ['resnet-cifar', { depth: 110, numClasses: 10 }, undefined, 1727962, undefined],
    ['wrn', { depth: 28, widen: 10, numClasses: 10 }, undefined, 36479194, undefined],
    ['wrn', { depth: 16, widen: 4, numClasses: 10 }, undefined, 2748890, undefined],
  ])('%s %j', (family, params, shape, count, tensors) => {
    const arch = short(family, params, shape)
    expect(countNetwork(arch).params).toBe(count)
    const names = tensorNames(arch)
    expect(new Set(names).size).toBe(names.length)
    if (tensors !== undefined) expect(names).toHaveLength(tensors)
  })
})

describe('tensor names', () => {
  test.each<[string, Json, string[]]>([
    [
      'resnet',
      { depth: 50, numClasses: 10 },
      ['conv1.weight', 'bn1.running_mean', 'layer1.0.conv3.weight', 'layer1.0.downsample.0.weight', 'fc.bias'],
    ],
    [
      'resnet',
      { depth: 18, stem: 'cifar', numClasses: 10 },
      ['conv1.weight', 'layer2.0.shortcut.1.bias', 'layer4.1.bn2.weight', 'linear.weight'],
    ],
    ['resnet', { depth: 50, stem: 'deep', numClasses: 10 }, ['stem.0.weight', 'stem.4.running_var', 'stem.7.bias']],
    ['vgg', { depth: 16, numClasses: 10 }, ['features.0.bias', 'features.41.weight', 'classifier.6.weight']],
    ['vgg', { depth: 16, batchNorm: false, numClasses: 10 }, ['features.28.weight', 'classifier.3.bias']],
    [
      'mobilenetv2',
      { numClasses: 10 },
      [
        ...['features.0.0.weight', 'features.1.conv.0.0.weight', 'features.1.conv.1.weight', 'features.1.conv.2.bias'],
        ...['features.2.conv.1.0.weight', 'features.2.conv.2.weight', 'features.2.conv.3.running_mean'],
        ...['features.18.1.weight', 'classifier.1.bias'],
      ],
    ],
    [
      'wrn',
      { depth: 16, widen: 2, numClasses: 10 },
      ['block1.layer.0.convShortcut.weight', 'block3.layer.1.bn2.bias', 'bn1.weight', 'fc.weight'],
    ],
    ['resnet-cifar', { depth: 20, option: 'B', numClasses: 10 }, ['layer2.0.shortcut.0.weight', 'linear.bias']],
    [
      'deeplabv3',
      { backbone: 'mobilenetv2', numClasses: 21 },
      [
        ...['backbone.conv1.conv.weight', 'backbone.layer1.0.conv.0.conv.weight', 'backbone.layer2.0.conv.2.bn.bias'],
        ...['decode_head.image_pool.1.conv.weight', 'decode_head.aspp_modules.3.bn.weight'],
        ...['decode_head.bottleneck.conv.weight', 'decode_head.conv_seg.bias'],
      ],
    ],
    [
      'deeplabv3',
      { backbone: 'resnet50', numClasses: 21 },
      ['backbone.stem.6.weight', 'backbone.layer3.0.downsample.0.weight', 'backbone.layer4.2.bn3.running_var'],
    ],
  ])('%s %j', (family, params, names) => {
    expect(tensorNames(short(family, params))).toEqual(expect.arrayContaining(names))
  })

  test('resnet-cifar 20 is the explicit file of the published checkpoint', () => {
    const explicit = parseArchitecture(committedJson('test/vectors/examples/resnet20-cifar10.arch.json'))
    const arch = short('resnet-cifar', { depth: 20, numClasses: 10 })
    expect([arch.layers, arch.weights, arch.inputs]).toEqual([explicit.layers, explicit.weights, explicit.inputs])
  })
})

describe('shapes', () => {
  test.each([
    ['mobilenetv2', [3, 128, 128]],
    ['mobilenetv2', [3, 97, 65]],
    ['resnet50', [3, 97, 65]],
    ['resnet101', [3, 33, 40]],
  ])('deeplabv3 with %s on %j gives a map of the picture, one channel per class', (backbone, shape) => {
    const arch = short('deeplabv3', { backbone, numClasses: 7 }, shape)
    expect(arch.byId.get(arch.outputs[0])).toMatchObject({
      op: 'resize',
      mode: 'bilinear',
      out: [7, shape[1], shape[2]],
    })
    const logits = short('deeplabv3', { backbone, numClasses: 7, upsample: false }, shape)
    const [h, w] = [Math.ceil(Number(shape[1]) / 8), Math.ceil(Number(shape[2]) / 8)]
    expect(logits.byId.get(logits.outputs[0])?.out).toEqual([7, h, w])
  })

  test('deeplabv3 dilates only the first block of a mobile stage, and a residual stage after its first at half', () => {
    const dilations = (backbone: string, part: RegExp) =>
      short('deeplabv3', { backbone, numClasses: 7 }).layers.flatMap((layer) =>
        layer.op === 'conv2d' && part.test(layer.id) ? [layer.dilation[0]] : [],
      )
    expect(dilations('mobilenetv2', /layer[4-7]\.\d\.conv\.1\.conv$/)).toEqual([2, 1, 1, 1, 2, 1, 1, 4, 1, 1, 4])
    expect(dilations('resnet50', /layer[34]\.\d\.conv2$/)).toEqual([1, 2, 2, 2, 2, 2, 2, 4, 4])
    expect(dilations('resnet50', /aspp_modules/)).toEqual([1, 12, 24, 36])
  })

  test('cryptonas reduces odd maps too: the grid one further on ends in zeros', () => {
    const params = { width: 2, kernels: [3, 5, 3], skips: [[], [1], [0, 1]], numClasses: 4 }
    const arch = short('cryptonas', params, [1, 9, 9])
    expect(arch.byId.get('pool0.from0.path2')?.out).toEqual([4, 5, 5])
    expect(arch.byId.get('pool0.from0.concat')?.out).toEqual([8, 5, 5])
  })

  test('labels stand for numClasses; with neither, numClasses is asked for', () => {
    const file = { format: 'arch/1', name: 'network', family: 'wrn', params: { depth: 10, widen: 1 } }
    expect(parseArchitecture({ ...file, labels: ['a', 'b', 'c'] }).byId.get('fc')?.out).toEqual([3])
    expect(problemsOf('wrn', { depth: 10, widen: 1 })).toEqual([expect.stringMatching(/numClasses/)])
  })
})

describe('wrong parameters get one error with every fault', () => {
  const n = { numClasses: 10 }
  const deep = { kernels: Array<number>(97).fill(3), skips: [] }
  test.each<[string, Json, RegExp[]]>([
    ['resnet', { depth: 19, ...n, colour: 1 }, [/depth: expected one of 18, 34, 50, 101, 152, got 19/, /"colour"/]],
    ['resnet', { ...n }, [/expected depth, or block and blocks/]],
    ['resnet', { depth: 18, blocks: [1, 1, 1, 1], ...n }, [/blocks: depth already says it/]],
    ['resnet', { blocks: [1, 1, 1e6, 1], widths: [1, 2, 3, 1e9], ...n }, [/blocks/, /widths/]],
    [
      'resnet',
      { depth: '18', stem: 'big', stemRelu: 1, numClasses: 1.5 },
      [/depth/, /stem:/, /stemRelu/, /numClasses/],
    ],
    ['resnet', { depth: 18, stemStride: 1, ...n }, [/stemStride: expected 2 for stem "imagenet"/]],
    ['resnet-cifar', { depth: 21, option: 'C', ...n }, [/depth: expected 6n \+ 2/, /option/]],
    ['resnet-cifar', { depth: 1e9, widths: [16, 8, 4], ...n }, [/depth/, /widths/]],
    ['wrn', { depth: 23, widen: 0, ...n }, [/depth: expected 6n \+ 4/, /widen/]],
    ['vgg', { depth: 12, hidden: [1e9], pool: 'min', ...n }, [/depth/, /hidden/, /pool/]],
    [
      'mobilenetv2',
      { widthMultiplier: 1e9, activation: 'swish', strides: [1], ...n },
      [/widthM/, /activation/, /strides/],
    ],
    ['hybrenet', { multipliers: [64, 64, 64], ...n }, [/expected a last width <= 65536, got 4194304/]],
    ['hybrenet', { width: 0.5, ...n }, [/width/, /multipliers/]],
    ['cryptonas', { width: 15, arc: '0 0', ...n }, [/even width/, /n\(n\+1\)\/2 numbers .* got 2/]],
    [
      'cryptonas',
      { width: 4, arc: '7 0 1 2 1 x', kernels: [3], ...n },
      [/kernels: arc/, /layer 0: expected a code/, /layer 2/],
    ],
    [
      'cryptonas',
      { width: 4, kernels: [3, 4, 5], skips: [[], [2], [1]], ...n },
      [/kernels/, /skips\[1\]/, /skips\[2\]/],
    ],
    ['cryptonas', { width: 4, ...deep, ...n }, [/kernels: expected 3 to 96/]],
    ['deeplabv3', { backbone: 'vgg', headDilations: [0], headChannels: -1, ...n }, [/backbone/, /headDil/, /headCh/]],
    ['deeplabv3', { backbone: 'mobilenetv2', headDilations: [], stem: 'deep', ...n }, [/at least one/, /"stem"/]],
    ['proxyless', {}, [/name/, /bn/, /first_conv/, /blocks/, /feature_mix_layer/, /classifier/]],
  ])('%s %j', (family, params, expected) => {
    const problems = problemsOf(family, params)
    for (const pattern of expected) expect(problems).toContainEqual(expect.stringMatching(pattern))
    expect(problems).toHaveLength(expected.length)
  })

  test('a picture that the network cannot take', () => {
    expect(problemsOf('wrn', { depth: 10, widen: 1, ...n }, [48])).toEqual([
      expect.stringMatching(/inputs\[0\].shape: expected \[channels,height,width\]/),
    ])
    expect(problemsOf('vgg', { depth: 16, ...n }, [3, 8, 8]).length).toBeGreaterThan(0)
  })

  const awkward = fc.oneof(
    fc.constantFrom(null, -1, 0, 0.5, 1e9, 2 ** 53, '', 'x', true, [], {}, [[]], [null], [1e9, 1e9, 1e9, 1e9]),
    fc.jsonValue({ maxDepth: 3 }),
  )
  const NAMES = [
    ...['depth', 'block', 'blocks', 'widths', 'stem', 'stemPool', 'stemStride', 'stemRelu', 'naming', 'numClasses'],
    ...['option', 'widen', 'finalRelu', 'batchNorm', 'convBias', 'pool', 'hidden', 'widthMultiplier', 'activation'],
    ...['strides', 'width', 'multipliers', 'arc', 'kernels', 'skips', 'bias', 'backbone', 'headDilations', 'upsample'],
    ...['headChannels', 'name', 'bn', 'first_conv', 'feature_mix_layer', 'classifier', 'resolution'],
  ]
  test.each(Object.keys(families).filter((family) => family !== 'seesaw'))('%s: any value anywhere', (family) => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...NAMES), awkward, { maxKeys: 8 }), (params) => {
        problemsOf(family, params) // throws for anything but the one typed error
      }),
      { numRuns: 300 },
    )
  })
})
