// What the end-to-end benches run: a network with deterministic random weights, compiled the same way in every process.
import { type Architecture, parseArchitecture } from '../src/model/architecture.js'
import { isActivation, type Layer } from '../src/model/layers.js'
import { parseReluSpec, type ReluSpec } from '../src/model/relu-spec.js'
import type { Weights } from '../src/model/weights.js'
import { calibrate } from '../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../src/plan/compile.js'
import { randomWeights, resnet18Cifar100 } from './networks.js'

export type WorkloadName = 'resnet18-cifar100' | 'relu-65536' | keyof typeof PUBLISHED

/** Short forms of published families, sized so that an inference takes a second at most. */
const PUBLISHED = {
  'vgg11-cifar10': { family: 'vgg', params: { depth: 11, pool: 'avg', hidden: [], numClasses: 10 } },
  'wrn16-2-cifar10': { family: 'wrn', params: { depth: 16, widen: 2, numClasses: 10 } },
  'resnet20-cifar10': { family: 'resnet-cifar', params: { depth: 20, numClasses: 10 } },
  'mobilenetv2-cifar10': {
    family: 'mobilenetv2',
    params: { widthMultiplier: 0.5, stemStride: 1, strides: [1, 1, 2, 2, 1, 2, 1], numClasses: 10 },
    inputs: [{ name: 'x', shape: [3, 32, 32] }],
  },
  /** Nineteen ReLU layers of next to nothing: what a round trip takes besides. */
  'round-trips': {
    family: 'resnet-cifar',
    params: { depth: 20, numClasses: 10 },
    inputs: [{ name: 'x', shape: [3, 8, 8] }],
  },
} as const

export interface Workload {
  name: WorkloadName
  options: CompileOptions
  /** One comparison per block of this size, everywhere; without it one per ReLU. */
  block?: readonly [number, number]
}

const VALUES = [64, 32, 32] as const

/** 2^16 values, one multiplication each, one ReLU each: as little beside the ReLU as a network can have. */
function reluLayer(): { arch: Architecture; weights: Weights } {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'relu-65536',
    inputs: [{ name: 'x', shape: VALUES }],
    outputs: ['relu'],
    layers: [
      { id: 'scale', op: 'channelScale', in: ['x'] },
      { id: 'relu', op: 'relu', in: ['scale'] },
    ],
  })
  return { arch, weights: new Map([['scale', { weight: new Float32Array(VALUES[0]).fill(0.5) }]]) }
}

function network(name: WorkloadName): { arch: Architecture; weights: Weights } {
  if (name === 'relu-65536') return reluLayer()
  const published = name === 'resnet18-cifar100' ? resnet18Cifar100() : { format: 'arch/1', name, ...PUBLISHED[name] }
  const arch = parseArchitecture(published)
  return { arch, weights: randomWeights(arch, 1) }
}

/** A deterministic input whose values look normalised: uniform in ±2. */
export function sampleInput(arch: Architecture, seed: number): Float32Array {
  const size = arch.inputs[0].shape.reduce((a, b) => a * b)
  let state = seed >>> 0
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 32) * 4 - 2
  })
}

/** Architecture and compiled plan; every process that calls it gets the same. */
export function prepareWorkload({ name, options, block }: Workload): { arch: Architecture; compiled: Compiled } {
  const { arch, weights } = network(name)
  const spec = block && everywhere(arch, block)
  const calibration = calibrate(arch, weights, spec, [sampleInput(arch, 1)], 'one random input')
  return { arch, compiled: compile(arch, weights, calibration, spec, options) }
}

/** The spec that shares every ReLU among blocks of one size. */
function everywhere(arch: Architecture, block: readonly [number, number]): ReluSpec {
  const relus = arch.layers.filter(isActivation)
  const entry = ({ out }: Layer) => ({ kind: 'block', blocks: Array.from({ length: out[0] }, () => block) })
  const layers = Object.fromEntries(relus.map((layer) => [layer.specName ?? layer.id, entry(layer)]))
  return parseReluSpec({ format: 'relu-spec/1', layers }, arch)
}
