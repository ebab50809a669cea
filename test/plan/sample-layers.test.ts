// Sample layers of Seesaw: parallel branches become one convolution beside what cannot, and take one step together.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../src/float/network.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { LayerList } from '../../src/model/families/family.js'
import { addBranch, sampleOps27 } from '../../src/model/families/seesaw/ops.js'
import { parametersOf } from '../../src/model/parameters.js'
import { elementCount } from '../../src/model/shape.js'
import type { Weights } from '../../src/model/weights.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { decodeFixed, encodeFixed } from '../../src/ring/codec.js'
import { drawFrom } from '../protocol/mcc/gadget-plan.js'

const CHANNELS = 8
const INPUT = [2, 9, 8]

/** A ReLU, one sample layer of these branches, a ReLU, and a linear layer. */
function sampleLayer(names: readonly string[]) {
  const layers = new LayerList()
  const stem = layers.relu('r0', layers.conv2d('stem', 'x', { cout: CHANNELS, kernel: 3, pad: 1 }))
  const branches = names.map((name, k) => addBranch(layers, `paths.${k}.0`, stem, CHANNELS, name, true))
  const sum = layers.add('weightedSum', 'sum', branches, { coef: 'alpha', norm: 'softmax' })
  layers.linear('out', layers.add('flatten', 'flat', layers.relu('r1', sum)), 4)
  const inputs = [{ name: 'x', shape: INPUT }]
  return parseArchitecture({ format: 'arch/1', name: 'sample', inputs, outputs: ['out'], layers: layers.layers })
}

function compiled(names: readonly string[], seed = 1) {
  const arch = sampleLayer(names)
  const draw = drawFrom(seed)
  const weights: Weights = new Map(
    arch.layers.map((layer) => {
      const tensors = parametersOf(layer).map(({ tensor, shape }) => {
        const size = shape.length > 1 ? Math.sqrt((3 * shape[0]) / elementCount(shape)) : 0.5
        const value = tensor === 'running_var' ? () => 0.5 + draw() : () => size * (2 * draw() - 1)
        return [tensor, Float32Array.from({ length: elementCount(shape) }, value)]
      })
      return [layer.id, Object.fromEntries(tensors)]
    }),
  )
  const inputs = [0, 1, 2].map(() => Float32Array.from({ length: elementCount(INPUT) }, () => 4 * draw() - 2))
  const plan = compile(arch, weights, calibrate(arch, weights, undefined, inputs))
  return { ...plan, inputs, wanted: FloatNetwork.prepare(arch, weights).run(inputs) }
}

/** The kinds of the operations of the step that ends with the sample layer's ReLU. */
function operations({ plan }: Compiled): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { op } of plan.steps.find(({ id }) => id === 'r1')!.linear) counts[op] = (counts[op] ?? 0) + 1
  return counts
}

/** Rounding of values of 16 bits and of weights. */
function expectClose({ plan, model, inputs, wanted }: ReturnType<typeof compiled>): void {
  inputs.forEach((input, i) => {
    const { output, overflows } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits))
    expect(overflows).toBe(0)
    const found = decodeFixed(output, plan.steps[plan.steps.length - 1].scale)
    wanted[i].forEach((x, j) => {
      expect(Math.abs(x - found[j]), `output ${j}: ${found[j]} instead of ${x}`).toBeLessThan(0.02)
    })
  })
}

const isPool = (name: string) => name.startsWith('avg_pool')
/** Two layers of padded windows with a batch norm between them. */
const isTwice = (name: string) => ['sep_conv', 'dil_sep', 'van_conv'].some((start) => name.startsWith(start))
const foldable = sampleOps27.filter((name) => name !== 'none' && !isPool(name) && !isTwice(name))

describe('a sample layer', () => {
  it('of everything that folds is one convolution and one step', () => {
    expect(foldable).toHaveLength(14)
    const layer = compiled(foldable)
    expect(layer.plan.steps.map(({ id }) => id)).toEqual(['r0', 'r1', 'out'])
    expect(operations(layer)).toEqual({ tensor: 1, conv: 1 })
    expectClose(layer)
  })

  it.each(foldable)('of %s is one operation', (name) => {
    const layer = compiled([name])
    expect(layer.plan.steps.map(({ id }) => id)).toEqual(['r0', 'r1', 'out'])
    expect(operations(layer)).toEqual({ tensor: 1, conv: 1 })
    expectClose(layer)
  })

  it('keeps averages beside the convolution, in the same step', () => {
    const layer = compiled([...foldable, 'avg_pool_3x3', 'none', 'avg_pool_7x7'])
    expect(layer.plan.steps).toHaveLength(3)
    // A factor per position: 3 by 3 regions of windows alike for 3×3, 7 by 7 for 7×7 (8 columns leave 2 in the middle).
    expect(operations(layer)).toEqual({ tensor: 1, conv: 1 + 9 + 49, poolSum: 2, embed: 2 * (9 + 49), add: 1 })
    expectClose(layer)
  })

  it.each(sampleOps27.filter(isTwice))('of %s takes one step more: a bias must not reach over the border', (name) => {
    const layer = compiled([name, 'skip_connect'])
    const kinds = layer.plan.steps.map(({ activation }) => activation?.relu.kind)
    expect(kinds).toEqual(['relu', 'identity', 'relu', undefined])
    expectClose(layer)
  })

  it('of all 27 ops: one step for the sum, one for each branch of two layers', () => {
    const layer = compiled(sampleOps27)
    expect(layer.plan.steps).toHaveLength(3 + sampleOps27.filter(isTwice).length)
    expectClose(layer)
  })
})
