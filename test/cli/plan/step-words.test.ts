// What tables call the steps of a plan: every activation by its name.
import { describe, expect, it } from 'vitest'
import { describeSteps } from '../../../src/cli/report/step-words.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { toBase64 } from '../../../src/model/relu/mask-bits.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { randomWeights } from '../../fixtures/networks.js'

const shape = [2, 6, 6]

/** The words of a convolution, `layers`, and a linear layer. */
function words(layers: readonly object[], { relu, output }: { relu?: object; output?: 'label' } = {}): string[] {
  const chain = [{ op: 'conv2d', cout: 2, kernel: [3, 3], pad: [1, 1, 1, 1] }, ...layers, { op: 'linear', cout: 3 }]
  const named = chain.map((layer, i) => ({ id: `l${i}`, in: [i === 0 ? 'x' : `l${i - 1}`], ...layer }))
  const inputs = [{ name: 'x', shape }]
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'words',
    inputs,
    outputs: [named.at(-1)!.id],
    layers: named,
  })
  const weights = randomWeights(arch, 3)
  const spec = relu && parseReluSpec({ format: 'relu-spec/1', layers: { l1: relu } }, arch)
  const input = Float32Array.from({ length: 72 }, (_, i) => Math.sin(i))
  const { plan } = compile(arch, weights, calibrate(arch, weights, spec, [input]), spec, { output })
  return describeSteps(plan).map(({ op }) => op)
}

const flat = { op: 'flatten' }
const blocks = (...of: number[][]) => ({ kind: 'block', blocks: of })
const bits = toBase64(new Uint8Array(9).fill(0xa5))
const mask = (off: string) => ({ kind: 'mask', off, encoding: 'base64-bits-lsb-first', bits })

describe('a step is called what its activation is', () => {
  it.each([
    ['ReLU', { op: 'relu' }, undefined],
    ['block ReLU', { op: 'relu' }, blocks([2, 2], [1, 1])],
    ['masked ReLU', { op: 'relu' }, mask('zero')],
    ['ReLU6', { op: 'clip', min: 0, max: 6 }, undefined],
    ['clip -0.5 … 1.25', { op: 'clip', min: -0.5, max: 1.25 }, undefined],
    ['block ReLU6', { op: 'clip', min: 0, max: 6 }, blocks([2, 2], [3, 3])],
    ['masked ReLU6', { op: 'clip', min: 0, max: 6 }, mask('identity')],
    ['leaky ReLU', { op: 'leakyRelu', slope: 0.1 }, undefined],
    ['leaky ReLU', { op: 'prelu' }, undefined],
    ['block leaky ReLU', { op: 'leakyRelu', slope: 0.1 }, blocks([2, 2], [3, 3])],
    ['masked leaky ReLU', { op: 'prelu' }, mask('identity')],
  ])('%s', (name, layer, relu) => {
    // The slopes' products are cut before the linear layer's weights meet them.
    const cut = name.includes('leaky') ? ['channel scale, truncate'] : []
    expect(words([layer, flat], { relu })).toEqual([`conv 3×3, ${name}`, ...cut, 'linear'])
  })

  it('truncate, where nothing but a cut stands between two layers', () => {
    expect(words([{ op: 'relu' }, flat], { relu: { kind: 'identity' } })).toEqual(['conv 3×3, truncate', 'linear'])
  })

  it('max pool, every level of its tree; the ReLU it commutes with comes after', () => {
    const pool = { op: 'maxPool', kernel: [2, 2] }
    expect(words([{ op: 'relu' }, pool, flat])).toEqual(['conv 3×3, max pool', 'max pool', 'sum, ReLU', 'linear'])
  })

  it('max pool, an axis a step where windows are three long', () => {
    const pool = { op: 'maxPool', kernel: [3, 3] }
    expect(words([{ op: 'relu' }, pool, flat])).toEqual(['conv 3×3, max pool', 'max pool', 'sum, ReLU', 'linear'])
  })

  it('label', () => {
    const found = words([{ op: 'relu' }, flat], { output: 'label' })
    expect(found).toEqual(['conv 3×3, ReLU', 'linear, wins', 'label', 'sum'])
  })
})
