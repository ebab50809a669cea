// Gradients of every op against central differences of the definitions in double precision.
import { describe, expect, it } from 'vitest'
import type { Norm } from '../../src/gradient/differentiable.js'
import { Tape } from '../../src/gradient/tape.js'
import { loadFloatKernels } from '../../src/kernels/float/instance.js'
import type { Architecture } from '../../src/model/architecture.js'
import { parametersOf } from '../../src/model/parameters.js'
import { parseReluSpec, type ReluSpec } from '../../src/model/relu/spec.js'
import { elementCount } from '../../src/model/shape.js'
import type { Weights } from '../../src/model/weights.js'
import { maskBits, network, numbers, weightsOf } from './numbers.js'
import { type SlowWeights, slowForward } from './twin.js'

const kernels = loadFloatKernels()

const PICTURES = 3
const STEP = 1e-5
/** Differences per tensor. */
const SAMPLES = 6

/** Every trained tensor and the inputs; where a difference crosses a corner the two sides disagree and it is left out. */
function check(arch: Architecture, spec?: ReluSpec, norm: Norm = 'batch'): void {
  const weights = weightsOf(arch)
  const inputs = Array.from({ length: PICTURES }, (_, p) => numbers(elementCount(arch.inputs[0].shape), 100 + p))
  const before = kernels.memory.inUse
  const tape = Tape.prepare(arch, weights, { spec, norm, inputs: true, kernels })
  const outputs = tape.forward(inputs)
  const seeds = outputs.map((output, p) => numbers(output.length, 200 + p))
  const slow = slowForward(arch, weights as SlowWeights, spec, norm, inputs)
  slow.forEach((wanted, p) => {
    expect(outputs[p].length).toBe(wanted.length)
    for (let i = 0; i < wanted.length; i++) expect(Math.abs(outputs[p][i] - wanted[i])).toBeLessThan(1e-4)
  })
  const got = tape.backward(seeds)
  tape.release()
  expect(kernels.memory.inUse).toBe(before)
  const loss = (own: SlowWeights, pictures: readonly ArrayLike<number>[]) => {
    const out = slowForward(arch, own, spec, norm, pictures)
    return out.reduce((sum, v, p) => sum + Array.from(v).reduce((s, z, i) => s + z * seeds[p][i], 0), 0)
  }
  let checked = 0
  const compare = (what: string, at: (change: number) => number, gradient: number) => {
    const [left, right] = [(at(0) - at(-STEP)) / STEP, (at(STEP) - at(0)) / STEP]
    if (Math.abs(left - right) > 1e-2) return
    checked++
    const wanted = (left + right) / 2
    if (!(Math.abs(gradient - wanted) < 1e-3 * Math.max(1, Math.abs(wanted)))) {
      expect.fail(`${what}: got ${gradient}, central differences ${wanted}`)
    }
  }
  const total = arch.layers.flatMap((layer) =>
    parametersOf(layer)
      .filter(({ trained }) => trained)
      .map(({ tensor }) => [layer.id, tensor] as const),
  )
  let all = 0
  for (const [id, tensor] of total) {
    const values = weights.get(id)![tensor]!
    const step = Math.max(1, Math.floor(values.length / SAMPLES))
    for (let i = 0; i < values.length; i += step, all++) {
      const at = (change: number) => {
        const moved = Float64Array.from(values)
        moved[i] += change
        return loss(
          new Map([...(weights as SlowWeights), [id, { ...weights.get(id)!, [tensor]: moved }]]) as SlowWeights,
          inputs,
        )
      }
      compare(`${id}.${tensor}[${i}]`, at, got.weights.get(id)![tensor]![i])
    }
  }
  const step = Math.max(1, Math.floor(inputs[0].length / SAMPLES))
  for (let i = 0; i < inputs[0].length; i += step, all++) {
    const at = (change: number) => {
      const moved = inputs.map((input) => Float64Array.from(input))
      moved[1][i] += change
      return loss(weights as SlowWeights, moved)
    }
    compare(`input[${i}]`, at, got.inputs[1][i])
  }
  expect(checked).toBeGreaterThan(0.8 * all)
}

const spec = (arch: Architecture, layers: object) => parseReluSpec({ format: 'relu-spec/1', layers }, arch)

describe('gradients equal central differences', () => {
  it.each<[string, object]>([
    ['a convolution', { op: 'conv2d', cout: 5, kernel: [3, 3], pad: [1, 1, 1, 1] }],
    ['a strided one', { op: 'conv2d', cout: 4, kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1], bias: false }],
    ['a dilated one, unevenly padded', { op: 'conv2d', cout: 2, kernel: [2, 3], dilation: [2, 1], pad: [2, 0, 1, 3] }],
    ['a grouped one', { op: 'conv2d', cout: 8, kernel: [3, 3], groups: 2, pad: [1, 1, 1, 1] }],
    ['a depthwise one', { op: 'conv2d', cout: 4, kernel: [3, 3], groups: 4, pad: [1, 1, 1, 1], stride: [2, 1] }],
    ['a depthwise one with a multiplier', { op: 'conv2d', cout: 8, kernel: [1, 3], groups: 4, pad: [0, 1, 0, 1] }],
    ['a 1×1 one', { op: 'conv2d', cout: 3, kernel: [1, 1] }],
    ['one that pads more than it reaches', { op: 'conv2d', cout: 3, kernel: [1, 1], pad: [1, 2, 1, 2] }],
    ['a channel scale', { op: 'channelScale' }],
    ['an average pool', { op: 'avgPool', kernel: [3, 2], stride: [2, 2], pad: [1, 0, 1, 0] }],
    [
      'one that does not count its padding',
      { op: 'avgPool', kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1], countPad: false },
    ],
    ['a global average', { op: 'globalAvgPool' }],
    ['a maximum pool', { op: 'maxPool', kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] }],
    ['a resize', { op: 'resize', size: [9, 10], mode: 'bilinear' }],
    ['a nearest one', { op: 'resize', size: [12, 4], mode: 'nearest' }],
    ['padding', { op: 'pad', pad: [1, -1, 2, 3], fill: 0.5 }],
    ['a subsample', { op: 'subsample', stride: [2, 3], offset: [1, 0] }],
    ['a shortcut with channels of zeros', { op: 'shortcutA', stride: [2, 2], padChannels: [1, 3] }],
    ['one that crops channels', { op: 'shortcutA', stride: [1, 2], padChannels: [-1, -2] }],
    ['a ReLU', { op: 'relu' }],
    ['a clip', { op: 'clip', min: -0.3, max: 0.4 }],
    ['a leaky ReLU', { op: 'leakyRelu', slope: 0.2 }],
    ['a PReLU', { op: 'prelu' }],
    ['zero', { op: 'zero' }],
    ['identity', { op: 'identity' }],
  ])('of %s', (_, layer) => {
    check(network([4, 5, 7], [{ op: 'conv2d', cout: 4, kernel: [1, 1] }, layer]))
  })

  it('of a matrix', () => {
    check(network([7], [{ op: 'linear', cout: 5 }]))
    check(network([2, 3, 3], [{ op: 'flatten' }, { op: 'linear', cout: 4, bias: false }, { op: 'linear', cout: 3 }]))
  })

  it.each<Norm>(['batch', 'running'])('of a batch norm with statistics of the %s kind', (norm) => {
    check(network([4, 3, 5], [{ op: 'batchNorm' }]), undefined, norm)
    check(
      network(
        [2, 4, 4],
        [
          { op: 'conv2d', cout: 3, kernel: [3, 3] },
          { op: 'batchNorm', eps: 0.1 },
        ],
      ),
      undefined,
      norm,
    )
    check(network([5], [{ op: 'linear', cout: 4 }, { op: 'batchNorm' }]), undefined, norm)
  })

  it('of sums, weighted sums and concatenations, of values that are read more than once', () => {
    const conv = { op: 'conv2d', cout: 3, kernel: [1, 1] }
    const twice = (layer: object) => [conv, { ...conv, in: ['l0'] }, { in: ['l0', 'l1', 'l0'], ...layer }]
    check(network([3, 4, 4], twice({ op: 'add' })))
    check(network([3, 4, 4], twice({ op: 'concat' })))
    check(network([3, 4, 4], twice({ op: 'weightedSum', coef: 'c' })))
    check(network([3, 4, 4], twice({ op: 'weightedSum', coef: 'c', norm: 'softmax' })))
    check(
      network(
        [3, 4, 4],
        [
          { op: 'add', in: ['x', 'x'] },
          { op: 'add', in: ['l0', 'x', 'l0'] },
        ],
      ),
    )
  })

  it('of a layer whose choice was made', () => {
    const of = [{ op: 'zero' }, { op: 'channelScale' }, { op: 'relu' }]
    check(network([2, 4, 4], [{ op: 'choice', key: 'k', of }], { k: 2 }))
  })

  it.each(['relu', 'clip', 'leakyRelu', 'prelu'])('of a %s as specs have it: blocks, masks, identity, zero', (op) => {
    const bounds = op === 'clip' ? { min: -0.2, max: 0.3 } : {}
    const arch = network(
      [6, 5, 6],
      [
        { op: 'conv2d', cout: 6, kernel: [1, 1] },
        { op, ...bounds },
      ],
    )
    const blocks = [
      [1, 1],
      [2, 2],
      [0, 1],
      [1, 0],
      [4, 4],
      [1, 3],
    ]
    const mask = { kind: 'mask', encoding: 'base64-bits-lsb-first', bits: maskBits(180) }
    check(arch, spec(arch, { l1: { kind: 'block', blocks } }))
    check(arch, spec(arch, { l1: { ...mask, off: 'identity' } }))
    check(arch, spec(arch, { l1: { ...mask, off: 'zero' } }))
    check(arch, spec(arch, { l1: { kind: 'identity' } }))
    check(arch, spec(arch, { l1: { kind: 'zero' } }))
  })

  it('of a residual network as a whole', () => {
    const conv = (cout: number, stride = 1) => {
      return { op: 'conv2d', cout, kernel: [3, 3], stride: [stride, stride], pad: [1, 1, 1, 1], bias: false }
    }
    const arch = network(
      [2, 6, 6],
      [
        ...[conv(4), { op: 'batchNorm' }, { op: 'relu' }, conv(6, 2), { op: 'batchNorm' }, { op: 'relu' }, conv(6)],
        { op: 'batchNorm' },
        { op: 'conv2d', cout: 6, kernel: [1, 1], stride: [2, 2], in: ['l2'], bias: false },
        ...[{ op: 'batchNorm' }, { op: 'add', in: ['l7', 'l9'] }, { op: 'relu' }, { op: 'globalAvgPool' }],
        ...[{ op: 'flatten' }, { op: 'linear', cout: 3 }],
      ],
    )
    check(
      arch,
      spec(arch, {
        l5: { kind: 'block', blocks: Array(6).fill([2, 2]) },
        l2: { kind: 'block', blocks: Array(4).fill([3, 2]) },
      }),
    )
  })
})

describe('a tape', () => {
  const arch = network([1, 4, 4], [{ op: 'conv2d', cout: 2, kernel: [3, 3] }, { op: 'batchNorm' }, { op: 'relu' }])
  const inputs = [numbers(16, 1), numbers(16, 2)]

  it('gives the bits of the other build, and of a second run', () => {
    const runs = [kernels, kernels, loadFloatKernels('scalar')].map((own) => {
      const tape = Tape.prepare(arch, weightsOf(arch), { kernels: own, inputs: true })
      const outputs = tape.forward(inputs)
      const { weights, inputs: dx } = tape.backward(outputs)
      tape.release()
      return JSON.stringify([outputs, [...weights], dx].map((all) => (all as unknown[]).map((v) => JSON.stringify(v))))
    })
    expect(new Set(runs).size).toBe(1)
  })

  it('takes other weights, and gives what a fresh one gives', () => {
    const other: Weights = new Map(
      [...weightsOf(arch)].map(([id, tensors]) => [
        id,
        Object.fromEntries(Object.entries(tensors).map(([name, v]) => [name, v.map((x) => x + 0.25)])),
      ]),
    )
    const fresh = Tape.prepare(arch, other, { kernels })
    const loaded = Tape.prepare(arch, weightsOf(arch), { kernels })
    loaded.load(other)
    for (const tape of [fresh, loaded]) tape.forward(inputs)
    const seeds = inputs.map(() => numbers(8, 3))
    expect(loaded.backward(seeds)).toEqual(fresh.backward(seeds))
    for (const tape of [fresh, loaded]) tape.release()
  })

  it('names the first layer with a value that is not finite', () => {
    const weights = weightsOf(arch)
    weights.get('l1')!.weight!.fill(Number.POSITIVE_INFINITY)
    const tape = Tape.prepare(arch, weights, { kernels })
    expect(tape.firstNonFinite(inputs)).toBe('l1')
    tape.load(weightsOf(arch))
    expect(tape.firstNonFinite(inputs)).toBeUndefined()
    tape.release()
  })

  it('refuses pictures and specs that do not fit', () => {
    const tape = Tape.prepare(arch, weightsOf(arch), { kernels })
    expect(() => tape.forward([])).toThrow('at least one picture')
    expect(() => tape.forward([new Float32Array(15)])).toThrow('16 finite values')
    tape.release()
    const wrong = { layers: new Map([['l2', { kind: 'block', blocks: [[1, 1]] }]]) } as unknown as ReluSpec
    expect(() => Tape.prepare(arch, weightsOf(arch), { kernels, spec: wrong })).toThrow('expected 2 blocks, got 1')
  })
})
