// The search: its objective against differences and published figures, its gradient against all paths, and what it finds on
// a small problem where one ReLU is needed and another is not.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { networkProfiles } from '../../../src/net/index.js'
import { drawn } from '../../../src/train/pictures.js'
import {
  chosenPaths,
  costPenalty,
  countedCosts,
  dearest,
  expectedCost,
  firstSearchState,
  formatSearchState,
  freshWeights,
  inherited,
  parseSearchState,
  pathGradient,
  predictedCosts,
  type SearchCosts,
  type SearchState,
  searchNetwork,
  Tape,
} from '../../../src/train.js'
import { type StartPool, startHere } from '../../../src/tune/workers/pool.js'

const costs: SearchCosts = {
  ...{ linear: 3, nonlinear: 1 },
  choices: [
    { layer: 'a', kind: 'relu', costs: [0, 4] },
    { layer: 'b', kind: 'path', costs: [1, 2, 5] },
  ],
}
const terms = { portion: 0.4, total: 0.05, balance: 0.01 }

describe('the objective', () => {
  it('is what Seesaw writes', () => {
    const chances = [
      [0.25, 0.75],
      [0.5, 0.3, 0.2],
    ]
    expect(expectedCost(costs, chances)).toEqual({ linear: 3 + 2.1, nonlinear: 4, total: 9.1 })
    expect(dearest(costs)).toBe(13)
    const { value, slopes } = costPenalty(costs, chances, terms)
    expect(value).toBeCloseTo((0.05 * Math.abs(9.1 - 5.2)) / 5.2 + (0.01 * Math.abs(5.1 - 4)) / 4)
    for (const [c, list] of slopes.entries()) {
      for (const [k, slope] of list.entries()) {
        const at = (by: number) =>
          costPenalty(
            costs,
            chances.map((row, i) => row.map((p, j) => (i === c && j === k ? p + by : p))),
            terms,
          ).value
        expect(slope).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6)
      }
    }
  })

  it('counts a published supernet’s T_max', () => {
    // supermodel8: 777,728 ReLUs; by its code 272,912,384 "flops", T_max 178877.749 and T_ref a fifth of it.
    const ones = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`default_${i + 1}`, 1]))
    const file = { format: 'arch/1', name: 's8', family: 'seesaw', params: { model: 'supermodel8' } }
    const arch = parseArchitecture(file, 's8.json', ones)
    const own = countedCosts(arch)
    expect(own.choices.map(({ costs }) => Math.round(costs[1] / 0.228753397836538))).toEqual([
      ...[200704, 200704, 100352, 100352, 50176, 50176],
    ])
    const relus = (dearest(own) - own.linear) / 0.228753397836538
    expect(Math.round(relus)).toBe(777_728)
    expect(3.55361855670103e-6 * 272_912_384 + 0.228753397836538 * relus).toBeCloseTo(178877.74910475095, 4)
  })

  it('has the gradient of a softmax', () => {
    const gates = [1, -2, 0.5]
    const logits = [0.3, -0.1, 0.7]
    const softmax = (list: readonly number[]) => {
      const powers = list.map(Math.exp)
      return powers.map((p) => p / powers.reduce((a, b) => a + b))
    }
    const value = (list: readonly number[]) => softmax(list).reduce((sum, p, k) => sum + p * gates[k], 0)
    pathGradient(gates, softmax(logits)).forEach((slope, i) => {
      const at = (by: number) => value(logits.map((v, j) => (i === j ? v + by : v)))
      expect(slope).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6)
    })
  })
})

/** Which half of the line an odd number of bright ends is in: needs one ReLU. A second, larger one stands where none is needed. */
const arch = parseArchitecture({
  format: 'arch/1',
  name: 'xor',
  inputs: [{ name: 'x', shape: [2, 1, 1] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 12, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], bias: true },
    { id: 'r1', op: 'choice', in: ['c1'], key: 'a', of: [{ op: 'identity' }, { op: 'relu' }] },
    { id: 'c2', op: 'conv2d', in: ['r1'], cout: 24, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], bias: true },
    { id: 'r2', op: 'choice', in: ['c2'], key: 'b', of: [{ op: 'identity' }, { op: 'relu' }] },
    { id: 'flat', op: 'flatten', in: ['r2'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 2 },
  ],
  choices: { a: 1, b: 1 },
})
const inputs = Array.from({ length: 256 }, (_, i) => Float32Array.of(2 * drawn(1, i) - 1, 2 * drawn(2, i) - 1))
const labels = inputs.map(([x, y]) => Number(x * y > 0))
const recipe = { epochs: 30, batch: 32, shard: 16, rate: 0.05, shift: 0, flip: false }

describe('a search', () => {
  it('keeps a ReLU that is needed and leaves out the dearer one', async () => {
    const network = { arch, weights: freshWeights(arch, 3) }
    const chances = { portion: 0.4, total: 1, balance: 0, rate: 0.05 }
    const found = await searchNetwork(network, countedCosts(arch), { inputs, labels }, { recipe, chances })
    expect(found.options.get('r2')).toBe(0)
    expect(found.options.get('r1')).toBe(1)
    expect(found.spec.layers.get('r2')).toEqual({ kind: 'identity' })
    expect(found.history.at(-1)!.expected.total).toBeLessThan(found.history[0].expected.total)
    const again = await searchNetwork(network, countedCosts(arch), { inputs, labels }, { recipe, chances })
    expect([...again.chances]).toEqual([...found.chances])
  })

  it('prices ReLUs by what a private inference takes', () => {
    const { linear, choices } = predictedCosts(arch, { profile: networkProfiles.wan60 })
    expect(linear).toBeGreaterThan(0.05)
    expect(choices.map(({ layer }) => layer)).toEqual(['r1', 'r2'])
    expect(choices[1].costs[1]).toBeGreaterThanOrEqual(0)
  })

  it('chooses one of several paths, and what the others needed is gone', async () => {
    const path = (k: number, cout = 12) => ({
      ...{ id: `p${k}`, op: 'conv2d', in: ['x'], cout, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], bias: true },
    })
    const paths = parseArchitecture({
      format: 'arch/1',
      name: 'paths',
      inputs: [{ name: 'x', shape: [2, 1, 1] }],
      outputs: ['fc'],
      layers: [
        path(0),
        { id: 'r0', op: 'relu', in: ['p0'] },
        path(1),
        path(2),
        { id: 'sum', op: 'weightedSum', in: ['r0', 'p1', 'p2'], coef: 'sum.coef', norm: 'none' },
        { id: 'flat', op: 'flatten', in: ['sum'] },
        { id: 'fc', op: 'linear', in: ['flat'], cout: 2 },
      ],
    })
    const one = { linear: 0, nonlinear: 0, choices: [{ layer: 'sum', kind: 'path', costs: [1, 1, 1] }] } as const
    const chances = { total: 0, balance: 0, rate: 0.05 }
    const weights = freshWeights(paths, 5)
    const found = await searchNetwork({ arch: paths, weights }, one, { inputs, labels }, { recipe, chances })
    expect(found.options.get('sum')).toBe(0)
    const left = chosenPaths(paths, found.options)
    expect(left.layers.map(({ id }) => id)).toEqual(['p0', 'r0', 'sum', 'flat', 'fc'])
    const small = Tape.prepare(left, inherited(left, found.weights))
    const whole = Tape.prepare(paths, found.weights)
    expect(small.forward(inputs.slice(0, 4))).toEqual(whole.forward(inputs.slice(0, 4)))
  })
})

describe('a search that cannot go on', () => {
  const network = { arch, weights: freshWeights(arch, 3) }
  const small = { ...recipe, epochs: 2 }
  const costs = countedCosts(arch)
  const data = { inputs: inputs.slice(0, 96), labels: labels.slice(0, 96) }

  it('goes on from wherever it was called off, between the two moves of a step too', async () => {
    const whole = await searchNetwork(network, costs, data, { recipe: small })
    // A step of 32 pictures is two shards for the chances and two for the weights.
    for (const shards of [1, 2, 3, 5]) {
      const stop = new AbortController()
      let left = shards
      const startPool: StartPool = async (kind, setup) => {
        const pool = await startHere(kind, setup)
        const run: typeof pool.run = (task, ...more) => {
          if (left-- === 0) stop.abort()
          return pool.run(task, ...more)
        }
        return { ...pool, run }
      }
      let state: SearchState | undefined
      const onState = (now: SearchState) => {
        state = now
      }
      const cut = searchNetwork(network, costs, data, { recipe: small, startPool, signal: stop.signal, onState })
      await expect(cut).rejects.toMatchObject({ code: 'ABORTED' })
      const like = firstSearchState(network, costs, small)
      const resume = parseSearchState(formatSearchState(state!, 'key'), like, 'key', 'search.part')
      const found = await searchNetwork(network, costs, data, { recipe: small, resume })
      expect([...found.chances], `${shards} shards`).toEqual([...whole.chances])
      expect(found.history).toEqual(whole.history)
    }
  })

  it('says where the loss is not finite, and leaves the state before', async () => {
    let state: SearchState | undefined
    const onState = (now: SearchState) => {
      state = now
    }
    const wild = { ...small, epochs: 40, rate: 1000, warmup: 0 }
    const came = searchNetwork(network, costs, data, { recipe: wild, onState })
    await expect(came).rejects.toThrow(
      /the search came apart in epoch \d+, step \d: (layer "\w+" first, which|the gradient of layer "\w+") is not finite any more; try a lower rate/,
    )
    const [parameters, statistics] = state!.vectors
    expect([parameters, statistics].every((vector) => vector.every(Number.isFinite))).toBe(true)
  })

  it('refuses classes that the network does not have, and says how much memory a shard takes', async () => {
    const wrong = searchNetwork(network, costs, { inputs: data.inputs, labels: data.labels.map((label) => label + 1) })
    await expect(wrong).rejects.toMatchObject({ problems: [expect.stringContaining('expected classes from 0 to 1')] })
    const wide = parseArchitecture({
      ...{ format: 'arch/1', name: 'wide', inputs: [{ name: 'x', shape: [3, 512, 512] }], outputs: ['f'] },
      layers: [
        { id: 'c', op: 'conv2d', in: ['x'], cout: 32, kernel: [1, 1], bias: false },
        ...[
          { id: 'r', op: 'relu', in: ['c'] },
          { id: 'p', op: 'globalAvgPool', in: ['r'] },
        ],
        { id: 'v', op: 'flatten', in: ['p'] },
        { id: 'f', op: 'linear', in: ['v'], cout: 2, bias: false },
      ],
    })
    const one = { inputs: [new Float32Array(3 * 512 * 512)], labels: [0] }
    const asked = searchNetwork({ arch: wide, weights: freshWeights(wide, 1) }, countedCosts(wide), one, {
      recipe: { batch: 512, shard: 512 },
    })
    await expect(asked).rejects.toThrow(/a shard of 512 pictures keeps \d+\.\d GiB per thread, more than 3\.0 GiB/)
  })
})
