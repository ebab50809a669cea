// Prepared networks: merged layers, batches, memory, passes and their variations.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../src/float/network.js'
import { runFloat } from '../../src/float/run.js'
import { loadFloatKernels } from '../../src/kernels/float/instance.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { type LayerRelu, parseReluSpec } from '../../src/model/relu/spec.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'

const conv = (id: string, from: string, cout: number, more: object = {}) => [
  { id: `${id}.c`, op: 'conv2d', in: [from], cout, kernel: [3, 3], pad: [1, 1, 1, 1], bias: false, ...more },
  { id, op: 'batchNorm', in: [`${id}.c`] },
]

/** A residual block, a depthwise one with ReLU6, parallel branches, a pooled classifier. */
const ARCH = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [3, 10, 10] }],
  outputs: ['fc'],
  layers: [
    ...conv('c1', 'x', 16),
    { id: 'r1', op: 'relu', in: ['c1'] },
    ...conv('c2', 'r1', 16),
    { id: 'r2', op: 'relu', in: ['c2'] },
    ...conv('c3', 'r2', 16),
    { id: 'sum', op: 'add', in: ['c3', 'r1'] },
    { id: 'r3', op: 'relu', in: ['sum'] },
    ...conv('c4', 'r3', 16, { groups: 16, stride: [2, 2] }),
    { id: 'r4', op: 'clip', in: ['c4'], min: 0, max: 6 },
    { id: 'up', op: 'resize', in: ['r4'], size: [10, 10], mode: 'bilinear' },
    { id: 'cat', op: 'concat', in: ['up', 'r3'] },
    { id: 'max', op: 'maxPool', in: ['cat'], kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] },
    { id: 'gap', op: 'globalAvgPool', in: ['max'] },
    { id: 'flat', op: 'flatten', in: ['gap'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 7 },
  ],
})
const WEIGHTS = randomWeights(ARCH, 3)
const INPUTS = [1, 2, 3, 4].map((seed) => sampleInput(ARCH, seed))
const bits = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)]
const far = (a: Float32Array, b: Float32Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i])))

/** A spec with the given kinds, as a file would give it. */
function specOf(arch: Architecture, kinds: Record<string, LayerRelu>) {
  const spec = parseReluSpec({ format: 'relu-spec/1', layers: {} }, arch)
  return { ...spec, layers: new Map([...spec.layers, ...Object.entries(kinds)]) }
}

describe('a prepared network', () => {
  it('gives the same bits in every batch and call, and in both builds of the kernels', () => {
    const network = FloatNetwork.prepare(ARCH, WEIGHTS)
    const together = network.run(INPUTS)
    INPUTS.forEach((input, i) => {
      expect(bits(network.run([input])[0])).toEqual(bits(together[i]))
      expect(bits(runFloat(ARCH, WEIGHTS, undefined, input))).toEqual(bits(together[i]))
    })
    const scalar = FloatNetwork.prepare(ARCH, WEIGHTS, { kernels: loadFloatKernels('scalar') })
    expect(scalar.run(INPUTS).map(bits)).toEqual(together.map(bits))
    expect(network.run([])).toEqual([])
  })

  it('agrees with the network whose layers are all kept apart', () => {
    const merged = FloatNetwork.prepare(ARCH, WEIGHTS).run(INPUTS)
    const apart = FloatNetwork.prepare(ARCH, WEIGHTS, { keep: 'all' }).run(INPUTS)
    merged.forEach((logits, i) => {
      expect(far(logits, apart[i])).toBeLessThan(1e-5)
    })
  })

  it('gives all memory back', () => {
    const kernels = loadFloatKernels()
    const before = kernels.memory.inUse
    for (const options of [{}, { variable: true }, { keep: 'all' as const }]) {
      const network = FloatNetwork.prepare(ARCH, WEIGHTS, { ...options, kernels })
      const prepared = kernels.memory.inUse
      network.run(INPUTS)
      expect(kernels.memory.inUse).toBe(prepared)
      const pass = network.start(INPUTS[0])
      const started = kernels.memory.inUse
      if (options.variable) pass.vary(new Map([['r1', { kind: 'identity' }]]))
      expect(kernels.memory.inUse).toBe(started)
      pass.release()
      network.release()
      network.release()
      expect(kernels.memory.inUse).toBe(before)
      expect(() => network.run(INPUTS)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
      expect(() => pass.output()).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
    }
  })

  it('gives memory back after weights that do not belong to it', () => {
    const kernels = loadFloatKernels()
    const before = kernels.memory.inUse
    const weights = new Map([...WEIGHTS].filter(([id]) => id !== 'fc'))
    expect(() => FloatNetwork.prepare(ARCH, weights, { kernels })).toThrow(/"fc"/)
    expect(kernels.memory.inUse).toBe(before)
  })

  it('refuses variances that make no sense', () => {
    const norm = WEIGHTS.get('c1')!
    const weights = new Map([...WEIGHTS, ['c1', { ...norm, running_var: new Float32Array(16).fill(-1) }]])
    expect(() => FloatNetwork.prepare(ARCH, weights)).toThrow(
      expect.objectContaining({ code: 'BAD_INPUT', problems: [expect.stringContaining('"c1"')] }),
    )
  })
})

describe('a pass', () => {
  it('holds the values it was asked to keep, and says which were merged', () => {
    const pass = FloatNetwork.prepare(ARCH, WEIGHTS, { keep: ['c2'] }).start(INPUTS[0])
    const values = new Map<string, Float32Array>()
    const logits = runFloat(ARCH, WEIGHTS, undefined, INPUTS[0], undefined, (id, v) => values.set(id, v.slice()))
    expect(far(pass.output(), logits)).toBeLessThan(1e-5)
    for (const id of ['c2', 'r1', 'flat', 'cat']) expect(far(pass.value(id), values.get(id)!)).toBeLessThan(1e-5)
    expect(bits(pass.value('x'))).toEqual(bits(INPUTS[0]))
    for (const id of ['c2.c', 'c1', 'nowhere']) expect(() => pass.value(id)).toThrow(/keep it/)
    pass.release()
  })

  const channels = (n: number, changed: Record<number, readonly [number, number]>) =>
    Array.from({ length: n }, (_, c) => changed[c] ?? ([1, 1] as const))
  const mask = Uint8Array.from({ length: 1600 }, (_, i) => (i % 3 === 0 ? 0 : 1))
  const changes: Record<string, Record<string, LayerRelu>> = {
    'one channel': { r2: { kind: 'block', blocks: channels(16, { 5: [2, 2] }) } },
    'one channel read twice': { r1: { kind: 'block', blocks: channels(16, { 0: [3, 4] }) } },
    'one channel before a depthwise convolution': { r3: { kind: 'block', blocks: channels(16, { 15: [0, 1] }) } },
    'a clip': { r4: { kind: 'block', blocks: channels(16, { 3: [1, 0] }) } },
    'four channels': { r2: { kind: 'block', blocks: channels(16, { 0: [2, 2], 1: [0, 1], 7: [1, 0], 9: [5, 5] }) } },
    'many channels': { r2: { kind: 'block', blocks: Array.from({ length: 16 }, () => [2, 1] as const) } },
    'a whole layer': { r1: { kind: 'identity' } },
    'a mask': { r3: { kind: 'mask', bits: mask, off: 'identity' } },
    'two layers': { r1: { kind: 'block', blocks: channels(16, { 2: [10, 10] }) }, r3: { kind: 'zero' } },
    nothing: { r2: { kind: 'relu' } },
  }

  it.each(Object.entries(changes))('varies %s as a network with that spec', (_, kinds) => {
    const network = FloatNetwork.prepare(ARCH, WEIGHTS, { variable: true })
    const varied = FloatNetwork.prepare(ARCH, WEIGHTS, { spec: specOf(ARCH, kinds) })
    const plain = network.run(INPUTS)
    INPUTS.forEach((input, i) => {
      const pass = network.start(input)
      const logits = pass.vary(new Map(Object.entries(kinds)))
      expect(far(logits, varied.run([input])[0])).toBeLessThan(1e-5)
      if (kinds.r2?.kind !== 'relu') expect(far(logits, plain[i])).toBeGreaterThan(1e-4)
      expect(bits(pass.output())).toEqual(bits(plain[i]))
      pass.release()
    })
  })

  it('varies from a spec of its own', () => {
    const base: LayerRelu = { kind: 'block', blocks: channels(16, { 1: [2, 2], 4: [0, 1] }) }
    const next: LayerRelu = { kind: 'block', blocks: channels(16, { 1: [2, 2], 6: [3, 3] }) }
    const network = FloatNetwork.prepare(ARCH, WEIGHTS, { spec: specOf(ARCH, { r2: base }), variable: true })
    const pass = network.start(INPUTS[0])
    const wanted = FloatNetwork.prepare(ARCH, WEIGHTS, { spec: specOf(ARCH, { r2: next }) }).run([INPUTS[0]])[0]
    expect(far(pass.vary(new Map([['r2', next]])), wanted)).toBeLessThan(1e-5)
    pass.release()
  })

  it('refuses changes of layers that are no activations, that were merged, or that do not fit', () => {
    const zero = { kind: 'zero' } as const
    const pass = FloatNetwork.prepare(ARCH, WEIGHTS, { variable: true }).start(INPUTS[0])
    const wrong = new Map<string, LayerRelu>([
      ['c1', zero],
      ['nowhere', zero],
    ])
    expect(() => pass.vary(wrong)).toThrow(
      expect.objectContaining({
        code: 'BAD_INPUT',
        problems: [/"c1"/, /"nowhere"/].map((text) => expect.stringMatching(text)),
      }),
    )
    for (const kind of [
      { kind: 'block', blocks: [[1, 1]] },
      { kind: 'mask', bits: new Uint8Array(3), off: 'zero' },
    ] as const) {
      expect(() => pass.vary(new Map([['r1', kind]]))).toThrow(/"r1": expected (16 blocks|1600 mask bits), got/)
    }
    const merged = FloatNetwork.prepare(ARCH, WEIGHTS).start(INPUTS[0])
    expect(() => merged.vary(new Map([['r1', zero]]))).toThrow(/cannot be changed/)
  })
})
