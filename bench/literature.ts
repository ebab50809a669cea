// Every network of `test/vectors` as files that ringfence reads: family and params, or the configuration its authors published.
import type { Choices } from '../src/model/choices.js'
import type { Json } from '../src/model/fields.js'
import { vectors } from './vectors.js'

const CIFAR = { depth: 18, stem: 'cifar' }
const hrn = (...multipliers: number[]) => ['hybrenet', { width: 16, multipliers }] as const

/** Family and params of every network of the table; `numClasses` is the table's. */
export const NETWORKS: Readonly<Record<string, readonly [string, Json]>> = {
  'resnet18-cifar': ['resnet', CIFAR],
  'resnet18-cifar-nostemrelu': ['resnet', { ...CIFAR, stemRelu: false }],
  'resnet18-64px': ['resnet', CIFAR],
  'resnet34-cifar': ['resnet', { ...CIFAR, depth: 34 }],
  'resnet9-cifar-snl': ['resnet', { block: 'basic', blocks: [1, 1, 1, 1], stem: 'cifar', stemRelu: false }],
  'wrn-22-8-cifar': ['wrn', { depth: 22, widen: 8 }],
  'wrn-22-8-cifar-nofinalrelu': ['wrn', { depth: 22, widen: 8, finalRelu: false }],
  'wrn-22-8-64px': ['wrn', { depth: 22, widen: 8 }],
  'wrn-16-8-cifar': ['wrn', { depth: 16, widen: 8 }],
  'resnet20-cifar10': ['resnet-cifar', { depth: 20 }],
  'resnet32-cifar10': ['resnet-cifar', { depth: 32 }],
  'resnet44-cifar10': ['resnet-cifar', { depth: 44 }],
  'resnet56-cifar10': ['resnet-cifar', { depth: 56, option: 'A' }],
  'resnet32-64px': ['resnet-cifar', { depth: 32 }],
  'vgg16-cifar': ['vgg', { depth: 16 }],
  'vgg16-cifar-1fc': ['vgg', { depth: 16, hidden: [] }],
  'vgg16-64px': ['vgg', { depth: 16 }],
  'resnet18-imagenet': ['resnet', { depth: 18 }],
  'resnet34-imagenet': ['resnet', { depth: 34 }],
  'resnet50-imagenet-maxpool': ['resnet', { depth: 50 }],
  'resnet50-imagenet-avgpool': ['resnet', { depth: 50, stemPool: 'avg' }],
  'mobilenetv2-imagenet': ['mobilenetv2', {}],
  deeplabv3_mobilenetv2_ade20k: ['deeplabv3', { backbone: 'mobilenetv2' }],
  deeplabv3_resnet50_voc: ['deeplabv3', { backbone: 'resnet50' }],
  'hrn-5x5x3x-m16': hrn(5, 5, 3),
  'hrn-5x7x2x-m16': hrn(5, 7, 2),
  'hrn-6x6x2x-m16': hrn(6, 6, 2),
  'hrn-7x5x2x-m16': hrn(7, 5, 2),
  'hrn-2x5x3x-m16': hrn(2, 5, 3),
}

/** Those of secure_inference; classes and all. */
export const SECURE_INFERENCE: Readonly<Record<string, readonly [string, Json]>> = {
  resnet50_imagenet: ['resnet', { depth: 50, stemPool: 'avg', numClasses: 1000 }],
  resnet18_cifar100: ['resnet', { depth: 18, stem: 'cifar', numClasses: 100 }],
  // The table has only its layers; this is a network that has them.
  resnet18_cifar100_lightweight: [
    'resnet',
    { depth: 18, stem: 'cifar', stemStride: 2, widths: [32, 64, 128, 256], numClasses: 100 },
  ],
  deeplabv3_mobilenetv2_ade20k: ['deeplabv3', { backbone: 'mobilenetv2', numClasses: 150 }],
  deeplabv3_resnet50_voc: ['deeplabv3', { backbone: 'resnet50', numClasses: 21 }],
}

/** A row of `proxylessnas.json`. */
export interface ProxylessRow {
  name: string
  input: number[]
  firstConv: number
  featureMix: number
  bnEps: number
  blocks: { block: string; cin: number; cout: number; stride: number; skip: boolean; out: number[] }[]
  relu6: number
  params: number
  macs: number
  reluPerLayer: number[]
}

const layerFields = { dropout_rate: 0, ops_order: 'weight_bn_act' }
/** Its shortcut. */
export const identity = (c: number) => ({
  ...{ name: 'IdentityLayer', in_channels: c, out_channels: c, use_bn: false, act_func: null },
  ...layerFields,
})

function convLayer(cin: number, cout: number, kernel: number, stride: number) {
  const flags = { dilation: 1, groups: 1, bias: false, has_shuffle: false, use_bn: true, act_func: 'relu6' }
  const sizes = { kernel_size: kernel, stride, in_channels: cin, out_channels: cout }
  return { name: 'ConvLayer', ...sizes, ...flags, ...layerFields }
}

/** A row's network as its authors write it. */
export function configOf({ input, firstConv, featureMix, bnEps, blocks }: ProxylessRow) {
  const last = blocks[blocks.length - 1].cout
  return {
    name: 'ProxylessNASNets',
    bn: { momentum: 0.1, eps: bnEps },
    first_conv: convLayer(3, firstConv, 3, 2),
    feature_mix_layer: convLayer(last, featureMix, 1, 1),
    classifier: {
      ...{ name: 'LinearLayer', in_features: featureMix, out_features: 1000, bias: true, use_bn: false },
      ...{ act_func: null, ...layerFields },
    },
    blocks: blocks.map(({ block, cin, cout, stride, skip }) => {
      const [, ratio, kernel] = /^MB(\d) (\d)x\d$/.exec(block)!.map(Number)
      const sizes = { in_channels: cin, out_channels: cout, kernel_size: kernel, stride, expand_ratio: ratio }
      return {
        name: 'MobileInvertedResidualBlock',
        mobile_inverted_conv: { name: 'MBInvertedConvLayer', ...sizes },
        shortcut: skip ? identity(cin) : null,
      }
    }),
    ...(input[1] === 224 ? {} : { resolution: input[1] }),
  }
}

export interface LiteratureFile {
  readonly name: string
  /** What an architecture file holds. */
  readonly file: Json
  readonly choices?: Choices
}

/** All of them: 29 networks, 6 CNets, 6 ProxylessNAS, 5 of secure_inference, 13 Seesaw. */
export function literature(): LiteratureFile[] {
  const cryptonas = vectors<typeof import('../test/vectors/cryptonas.json')>('cryptonas.json')
  const networks = vectors<typeof import('../test/vectors/networks.json')>('networks.json')
  const proxylessnas = vectors<typeof import('../test/vectors/proxylessnas.json')>('proxylessnas.json')
  const secureInference = vectors<typeof import('../test/vectors/secure-inference.json')>('secure-inference.json')
  const seesaw = vectors<typeof import('../test/vectors/seesaw.json')>('seesaw.json')
  const short = (name: string, family: string, params: Json, shape?: readonly number[]): LiteratureFile => ({
    name,
    file: { format: 'arch/1', name, family, params, ...(shape && { inputs: [{ shape }] }) },
  })
  return [
    ...networks.map(({ name, input, classes }) => {
      const [family, params] = NETWORKS[name]
      return short(name, family, { ...params, numClasses: classes }, input)
    }),
    ...cryptonas.map(({ name, width, kernel: kernels, skips }) =>
      short(name, 'cryptonas', { width, kernels, skips, numClasses: cnetClasses(name) }),
    ),
    ...proxylessnas.map((row) => ({ name: row.name, file: configOf(row) })),
    ...secureInference.map(({ name, input }) => short(`${name} of secure_inference`, ...SECURE_INFERENCE[name], input)),
    ...seesaw.architectures.map(({ model, choices, publishedRelus }) => ({
      ...short(`${model} ${publishedRelus}`, 'seesaw', { model }),
      choices: Object.fromEntries([...choices].map((bit, i) => [`default_${i + 1}`, Number(bit)])),
    })),
  ]
}

/** `cifar100_cnet1` has 100. */
export const cnetClasses = (name: string): number => Number(/^cifar(\d+)_/.exec(name)?.[1])
