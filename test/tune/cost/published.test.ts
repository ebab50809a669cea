// The papers' formulas, against numbers the papers and their code give.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { countNetwork } from '../../../src/model/count.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { publishedCosts } from '../../../src/tune/cost/published.js'
import { resnet18Cifar100 } from '../../fixtures/networks.js'

const vector = (name: string) => JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8'))

const reluOnly = (shape: number[]) =>
  parseArchitecture({
    format: 'arch/1',
    name: 'relu',
    inputs: [{ name: 'x', shape }],
    outputs: ['relu'],
    layers: [{ id: 'relu', op: 'relu', in: ['x'] }],
  })

describe('one ReLU', () => {
  const costs = publishedCosts(reluOnly([1, 1, 1]))

  test('SecureNN: (8·8 + 24)·64 bits in 10 rounds', () => {
    expect(costs.secureNN).toMatchObject({ bytes: 704, bytesPerRelu: 704, rounds: 10 })
  })

  test("the knapsack paper's: (6·8 + 19)·64 bits, no rounds", () => {
    expect(costs.knapsack).toMatchObject({ bytes: 536, bytesPerRelu: 536, rounds: null })
  })

  test("Seesaw's: off line and on line make its search's 0.2288", () => {
    expect(costs.seesaw.offline + costs.seesaw.online).toBeCloseTo(0.228753398, 9)
    expect(costs.seesaw.unit).toBe('not stated')
  })
})

test('a 2×2 block: one comparison of 62 words, five multiplications of 3 + 2/4 words each', () => {
  const arch = reluOnly([1, 4, 4])
  const spec = parseReluSpec({ format: 'relu-spec/1', layers: { relu: { kind: 'block', blocks: [[2, 2]] } } }, arch)
  expect(publishedCosts(arch, spec).knapsack.bytes).toBe(8 * (4 * 62 + 16 * (3 + 2 / 4)))
  expect(publishedCosts(arch, spec).secureNN.bytes).toBe(16 * 704)
})

test('convolution, linear layer and max pool', () => {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'products',
    inputs: [{ name: 'x', shape: [3, 8, 8] }],
    outputs: ['fc'],
    layers: [
      { id: 'conv', op: 'conv2d', in: ['x'], cout: 4, kernel: [3, 3], pad: [1, 1, 1, 1] },
      { id: 'pool', op: 'maxPool', in: ['conv'], kernel: [2, 2], stride: [2, 2] },
      { id: 'flat', op: 'flatten', in: ['pool'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 5 },
    ],
  })
  const { secureNN, knapsack } = publishedCosts(arch)
  const [conv, pool, fc] = [2 * 64 * 9 * 3 + 2 * 9 * 3 * 4 + 64 * 4, 64 * 3 * (64 + 29), 2 * 64 + 2 * 64 * 5 + 5]
  expect(secureNN).toMatchObject({ bytes: 8 * (conv + pool + fc), rounds: 2 + 27 + 2 })
  expect(knapsack.bytes).toBe(8 * (2 * 64 * 3 + 2 * 9 * 3 * 4 + 64 * 4 + 64 * 3 * (48 + 24) + fc))
})

test('ResNet18-CIFAR100 as published: 494 MB in the paper, its model within 5 %', () => {
  // figures/Figure_6_bandwidth_and_runtime.py of yg320/secure_inference: 1357235088 · 4/11 bytes.
  const published = (1357235088 * 4) / 11
  const { knapsack } = publishedCosts(parseArchitecture(resnet18Cifar100()))
  expect(knapsack.bytes / published).toBeGreaterThan(0.95)
  expect(knapsack.bytes / published).toBeLessThan(1.05)
})

test("Seesaw's published network: its ReLUs times its factor off line; on line its multiplications too", () => {
  const arch = parseArchitecture(vector('examples/seesaw-cifar50-36864.arch.json'))
  const { offline, online } = publishedCosts(arch).seesaw
  expect(offline).toBeCloseTo(36864 * 0.053842398, 6)
  expect(online).toBeCloseTo(36864 * 0.174911 + 3.55361855670103e-6 * countNetwork(arch).macs, 6)
})
