// What training is made of: losses, rates, optimisers, and which pictures a step sees.
import { describe, expect, it } from 'vitest'
import { slotsOf, toVector, withVector } from '../../src/gradient/parameters.js'
import { optimizerOf } from '../../src/train/optimizer.js'
import { batchesOf, drawn, moved, splitOf } from '../../src/train/pictures.js'
import { lossOf, rateAt, recipeOf } from '../../src/train.js'
import { arch, weights } from './fixture.js'

describe('a loss', () => {
  const logits = Float32Array.of(1.5, -0.3, 0.2, 2.1)
  const teacher = Float32Array.of(0.1, 2, -1, 0.4)

  it.each([
    { smoothing: 0, distill: 0, temperature: 4 },
    { smoothing: 0.1, distill: 0, temperature: 4 },
    { smoothing: 0.05, distill: 1, temperature: 4 },
    { smoothing: 0, distill: 0.5, temperature: 1 },
  ])('has the gradient that central differences give: %j', (options) => {
    const { seed } = lossOf(logits, 2, options, teacher)
    for (let i = 0; i < logits.length; i++) {
      const at = (change: number) => {
        const moved = Float64Array.from(logits) as unknown as Float32Array
        moved[i] += change
        return lossOf(moved, 2, options, teacher).loss
      }
      expect(seed[i]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 5)
    }
  })

  it('is what it is defined as', () => {
    const plain = { smoothing: 0, distill: 0, temperature: 1 }
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0)
    expect(lossOf(logits, 2, plain).loss).toBeCloseTo(Math.log(total) - logits[2], 12)
    expect(lossOf(teacher, 1, { ...plain, distill: 1 }, teacher).loss).toBeCloseTo(lossOf(teacher, 1, plain).loss, 12)
    expect(lossOf(Float32Array.of(1000, -1000), 1, plain).loss).toBe(2000)
    expect([0, 1, 2, 3].map((label) => lossOf(logits, label, plain).hit)).toEqual([false, false, false, true])
    expect([0, 1].map((label) => lossOf(Float32Array.of(1, 1), label, plain).hit)).toEqual([true, false])
    expect(lossOf(Float32Array.of(Number.NaN, 1), 1, plain).loss).toBeNaN()
  })
})

describe('a rate', () => {
  it('rises, then falls as a cosine or by steps', () => {
    const cosine = recipeOf({ rate: 1, warmup: 0.2 })
    expect([0, 0.1, 0.2, 0.6, 1].map((share) => rateAt(cosine, share))).toEqual([0, 0.5, 1, expect.closeTo(0.5), 0])
    const steps = recipeOf({ rate: 1, warmup: 0, schedule: 'steps', steps: [0.5, 0.75], factor: 0.1 })
    expect([0, 0.49, 0.5, 0.8].map((share) => rateAt(steps, share))).toEqual([1, 1, 0.1, expect.closeTo(0.01)])
  })
})

describe('an optimiser', () => {
  const slots = [
    { layer: 'a', tensor: 'weight', start: 0, length: 2, decays: true },
    { layer: 'b', tensor: 'bias', start: 2, length: 1, decays: false },
  ] as const
  const gradients = [Float32Array.of(1, -2, 0.5), Float32Array.of(0.5, 1, -1)]

  it('is Nesterov’s momentum, weights alone decaying', () => {
    const sgd = optimizerOf(slots, 3, recipeOf({ momentum: 0.9, decay: 0.1 }))
    const w = Float32Array.of(1, 2, 3)
    const twin = [1, 2, 3]
    const v = [0, 0, 0]
    for (const g of gradients) {
      sgd.step(w, g, 0.1)
      twin.forEach((value, i) => {
        const pull = g[i] + (i < 2 ? 0.1 * value : 0)
        v[i] = 0.9 * v[i] + pull
        twin[i] = value - 0.1 * (pull + 0.9 * v[i])
      })
    }
    twin.forEach((value, i) => void expect(w[i]).toBeCloseTo(value, 6))
  })

  it('is Adam with decay apart', () => {
    const adam = optimizerOf(slots, 3, recipeOf({ optimizer: 'adam', momentum: 0.9, decay: 0.1 }))
    const w = Float32Array.of(1, 2, 3)
    const twin = [1, 2, 3]
    const [m, s] = [
      [0, 0, 0],
      [0, 0, 0],
    ]
    gradients.forEach((g, t) => {
      adam.step(w, g, 0.01)
      twin.forEach((value, i) => {
        m[i] = 0.9 * m[i] + 0.1 * g[i]
        s[i] = 0.999 * s[i] + 0.001 * g[i] ** 2
        const move = m[i] / (1 - 0.9 ** (t + 1)) / (Math.sqrt(s[i] / (1 - 0.999 ** (t + 1))) + 1e-8)
        twin[i] = value - 0.01 * (move + (i < 2 ? 0.1 * value : 0))
      })
    })
    twin.forEach((value, i) => void expect(w[i]).toBeCloseTo(value, 6))
    expect(adam.steps).toBe(2)
  })

  it('moves a vector of all trained tensors, and of nothing else', () => {
    const slots = slotsOf(arch)
    expect(slots.map(({ layer, tensor, decays }) => `${layer}.${tensor}${decays ? '' : ' stays'}`)).toEqual([
      'conv.weight',
      'bn.weight stays',
      'bn.bias stays',
      'fc.weight',
      'fc.bias stays',
    ])
    const vector = toVector(slots, weights())
    const doubled = withVector(
      weights(),
      slots,
      vector.map((v) => 2 * v),
    )
    expect(doubled.get('fc')!.weight).toEqual(
      weights()
        .get('fc')!
        .weight!.map((v) => 2 * v),
    )
    expect(doubled.get('bn')!.running_var).toEqual(weights().get('bn')!.running_var)
  })
})

describe('pictures', () => {
  const recipe = recipeOf({ batch: 8, shift: 1, holdout: 0.25 })

  it('are held out in equal shares of every class', () => {
    const labels = Array.from({ length: 40 }, (_, i) => (i < 24 ? 0 : 1))
    const { train, held } = splitOf(labels, recipe)
    expect([...train, ...held].sort((a, b) => a - b)).toEqual(labels.map((_, i) => i))
    expect([0, 1].map((label) => held.filter((i) => labels[i] === label).length)).toEqual([6, 4])
    expect(splitOf(labels, { ...recipe, seed: 2 }).held).not.toEqual(held)
  })

  it('come in another order in every epoch, each once at most', () => {
    const train = Array.from({ length: 35 }, (_, i) => i)
    const [first, second] = [0, 1].map((epoch) => batchesOf(train, epoch, recipe))
    expect(first.map(({ length }) => length)).toEqual([8, 8, 8, 8])
    expect(new Set(first.flat()).size).toBe(32)
    expect(first).not.toEqual(second)
    expect(batchesOf(train, 0, recipe)).toEqual(first)
    expect(batchesOf([5, 6], 0, recipe).map((batch) => [...batch].sort())).toEqual([[5, 6]])
  })

  it('are moved and mirrored, zeros coming in, as the seed says and nothing else', () => {
    const input = Float32Array.from({ length: 18 }, (_, i) => i + 1)
    const all = Array.from({ length: 200 }, (_, epoch) => [...moved(input, [2, 3, 3], 4, epoch, recipe)].join())
    const row = (y: number, x: number, c: number, mirror: boolean) =>
      y < 0 || y > 2 || x < 0 || x > 2 ? 0 : input[9 * c + 3 * y + (mirror ? 2 - x : x)]
    const expected = [-1, 0, 1].flatMap((down) =>
      [-1, 0, 1].flatMap((right) =>
        [false, true].map((mirror) =>
          Array.from({ length: 18 }, (_, i) =>
            row((Math.floor(i / 3) % 3) - down, (i % 3) - right, Math.floor(i / 9), mirror),
          ).join(),
        ),
      ),
    )
    expect(new Set(all)).toEqual(new Set(expected))
    expect([...moved(input, [2, 3, 3], 4, 17, recipe)].join()).toBe(all[17])
    expect(moved(input, [2, 3, 3], 4, 17, { ...recipe, shift: 0, flip: false })).toBe(input)
  })

  it('are drawn evenly', () => {
    const counts = new Array(10).fill(0)
    for (let i = 0; i < 10_000; i++) counts[Math.floor(10 * drawn(1, 2, i))]++
    expect(Math.min(...counts)).toBeGreaterThan(880)
    expect(Math.max(...counts)).toBeLessThan(1120)
  })
})
