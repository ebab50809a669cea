// Learned masks on the tape: gradients of factors and inputs against central differences in double precision, and what a
// factor of 0 or 1 is.
import { expect, it } from 'vitest'
import { Tape } from '../../src/gradient/tape.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { maskSpec } from '../../src/train/masks.js'
import { drawn } from '../../src/train/pictures.js'

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'mixed',
  inputs: [{ name: 'x', shape: [2, 3, 5] }],
  outputs: ['clip'],
  layers: [
    { id: 'relu', op: 'relu', in: ['x'] },
    { id: 'scale', op: 'channelScale', in: ['relu'] },
    { id: 'clip', op: 'clip', min: -0.2, max: 0.4, in: ['scale'] },
  ],
})
const N = 30
const weights = new Map([['scale', { weight: Float32Array.of(1.5, -0.75) }]])
const numbers = (seed: number, low = -1, high = 1) =>
  Float32Array.from({ length: N }, (_, i) => low + (high - low) * drawn(seed, i))
const inputs = [numbers(1), numbers(2), numbers(3)]
const seeds = [numbers(4), numbers(5), numbers(6)]

/** Σ ⟨seeds, outputs⟩ as the definition reads. */
function loss(factors: ReadonlyMap<string, ArrayLike<number>>, pictures: readonly ArrayLike<number>[]): number {
  const mixed = (id: string, i: number, x: number, low: number, high: number) => {
    const a = factors.get(id)![i]
    return a * Math.min(Math.max(x, low), high) + (1 - a) * x
  }
  let sum = 0
  pictures.forEach((picture, p) => {
    for (let i = 0; i < N; i++) {
      const c = Math.floor(i / 15)
      const { weight } = weights.get('scale')!
      const scaled = weight[c] * mixed('relu', i, picture[i], 0, Number.POSITIVE_INFINITY)
      sum += seeds[p][i] * mixed('clip', i, scaled, Math.fround(-0.2), Math.fround(0.4))
    }
  })
  return sum
}

it('gradients of factors, and through them, equal central differences', () => {
  const factors = new Map([
    ['relu', numbers(7, 0, 1)],
    ['clip', numbers(8, 0, 1.2)],
  ])
  const tape = Tape.prepare(arch, weights, {
    factors: new Map([...factors.keys()].map((id) => [id, numbers(9)])),
    inputs: true,
  })
  tape.load(weights, factors)
  const outputs = tape.forward(inputs)
  const got = outputs.reduce((sum, v, p) => sum + v.reduce((s, z, i) => s + z * seeds[p][i], 0), 0)
  expect(got).toBeCloseTo(loss(factors, inputs), 4)
  const gradients = tape.backward(seeds)
  tape.release()
  const step = 1e-5
  const compare = (what: string, gradient: number, at: (change: number) => number) => {
    const wanted = (at(step) - at(-step)) / (2 * step)
    if (Math.abs(at(step) + at(-step) - 2 * at(0)) > 1e-8) return // A corner.
    if (!(Math.abs(gradient - wanted) < 1e-4)) expect.fail(`${what}: got ${gradient}, central differences ${wanted}`)
  }
  for (const [id, values] of factors) {
    expect(gradients.factors.get(id)!.some((g) => g !== 0)).toBe(true)
    for (let i = 0; i < N; i++) {
      const at = (change: number) => {
        const moved = Float64Array.from(values)
        moved[i] += change
        return loss(new Map<string, ArrayLike<number>>([...factors, [id, moved]]), inputs)
      }
      compare(`${id}[${i}]`, gradients.factors.get(id)![i], at)
    }
  }
  for (let i = 0; i < N; i++) {
    const at = (change: number) => {
      const moved = Float64Array.from(inputs[1])
      moved[i] += change
      return loss(factors, [inputs[0], moved, inputs[2]])
    }
    compare(`input[${i}]`, gradients.inputs[1][i], at)
  }
})

it('a factor of 1 is the activation and one of 0 its input, as a mask has them', () => {
  const bits = (seed: number) => numbers(seed, 0, 1).map(Math.round)
  const factors = new Map([
    ['relu', bits(10)],
    ['clip', bits(11)],
  ])
  const mixed = Tape.prepare(arch, weights, { factors, inputs: true })
  const masked = Tape.prepare(arch, weights, { spec: maskSpec(arch, undefined, factors), inputs: true })
  expect(mixed.forward(inputs)).toEqual(masked.forward(inputs))
  // But for the sign of zeros.
  const back = (tape: Tape) => tape.backward(seeds).inputs.map((dx) => dx.map((d) => d + 0))
  expect(back(mixed)).toEqual(back(masked))
  for (const tape of [mixed, masked]) tape.release()
})

it('factors that do not fit are refused', () => {
  const factors = new Map([['relu', new Float32Array(3)]])
  expect(() => Tape.prepare(arch, weights, { factors })).toThrow('expected 30 factors, got 3')
})
