// The machine model: linear fits find what made them, measured machines are plausible, unknown chunk shapes lie between
// known ones.
import { describe, expect, test } from 'vitest'
import { leastSquares } from '../../../src/tune/cost/least-squares.js'
import { comparisonNs, convNs } from '../../../src/tune/cost/machine.js'
import { measureMachine } from '../../../src/tune/cost/measure.js'
import { DEFAULT_MACHINE } from '../../../src/tune/cost/predict.js'

describe('leastSquares', () => {
  const rows = [
    [1e6, 10, 1],
    [2e3, 500, 1],
    [5e5, 9e3, 1],
    [3e4, 3e4, 1],
    [7, 7, 1],
  ]

  test('finds the coefficients of times that are linear', () => {
    const found = leastSquares(
      rows,
      rows.map(([a, b, c]) => 0.05 * a + 0.3 * b + 700 * c),
    )
    expect(found[0]).toBeCloseTo(0.05, 9)
    expect(found[1]).toBeCloseTo(0.3, 7)
    expect(found[2]).toBeCloseTo(700, 4)
  })

  test('weighs errors relative to the time: a long sample does not drown the short ones', () => {
    const times = [1000, 1, 1]
    expect(leastSquares([[1000], [1], [1]], times)[0]).toBeCloseTo(1, 9)
    expect(leastSquares([[500], [1], [1]], times)[0]).toBeCloseTo((0.5 + 1 + 1) / (0.25 + 1 + 1), 9)
  })

  test('gives nothing negative', () => {
    const found = leastSquares(
      rows,
      rows.map(([a, b]) => 0.05 * a - 1e-4 * b + 20),
    )
    expect(Math.min(...found)).toBeGreaterThanOrEqual(0)
    expect(found[1]).toBe(0)
  })
})

describe('comparisons of other chunk shapes', () => {
  test('cost what was measured, where it was', () => {
    for (const known of DEFAULT_MACHINE.comparisons) expect(comparisonNs(DEFAULT_MACHINE, known.chunks)).toEqual(known)
  })

  test('grow with the tables and the stages', () => {
    const [small, large] = [[7], [7, 7]].map((chunks) => comparisonNs(DEFAULT_MACHINE, chunks))
    for (const work of ['deal', 'read', 'walk'] as const) expect(large[work]).toBeGreaterThan(small[work])
    const { deal } = comparisonNs(DEFAULT_MACHINE, [4, 4, 4, 4, 4, 4])
    expect(deal).toBeGreaterThan(comparisonNs(DEFAULT_MACHINE, [4, 4, 4, 4, 4]).deal)
  })
})

describe('measureMachine', () => {
  const machine = measureMachine('here')
  const leaves = (value: unknown): number[] =>
    typeof value === 'number' ? [value] : value && typeof value === 'object' ? Object.values(value).flatMap(leaves) : []

  test('gives times that are times', () => {
    expect(machine.name).toBe('here')
    expect(leaves(machine).every((ns) => Number.isFinite(ns) && ns >= 0)).toBe(true)
    for (const ring of [machine.ring32, machine.ring64]) {
      expect(ring.mac).toBeGreaterThan(0)
      expect(ring.mac).toBeLessThan(20)
      expect(ring.word).toBeGreaterThan(0)
    }
    expect(machine.ring64.mac).toBeGreaterThan(machine.ring32.mac)
    expect(machine.chacha[20]).toBeGreaterThan(machine.chacha[12])
  })

  test('knows that twice the channels are about four times the work', () => {
    const g = (c: number) => ({
      ...{ cin: c, cout: c, h: 16, w: 16, groups: 1 },
      ...{ kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], dilation: [1, 1] },
    })
    const ratio = convNs(machine.ring32, g(128) as never) / convNs(machine.ring32, g(64) as never)
    expect(ratio).toBeGreaterThan(2)
    expect(ratio).toBeLessThanOrEqual(4)
  })
})
