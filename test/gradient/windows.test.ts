// Comparisons that read a window err as those of a private run do: with a probability that falls linearly from zero.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { Tape } from '../../src/train.js'

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'one',
  inputs: [{ name: 'x', shape: [1, 60, 60] }],
  outputs: ['relu'],
  layers: [{ id: 'relu', op: 'relu', in: ['x'] }],
})
const constant = (value: number) => new Float32Array(3600).fill(value)
const shareOpen = (values: Float32Array) => values.filter((v) => v !== 0).length / values.length
const windows = new Map([['relu', 2]])

describe('a windowed comparison', () => {
  const tape = Tape.prepare(arch, new Map(), { windows, inputs: true })

  it.each([
    [-1.1, 0],
    [-0.5, 0.25],
    [0.25, 0.625],
    [1.1, 1],
  ])('lets %s pass in %s of all cases, whatever its sign', (value, share) => {
    const [out] = tape.forward([constant(value)], 7)
    expect(Math.abs(shareOpen(out) - share)).toBeLessThan(0.03)
    expect(out.every((v) => v === 0 || v === Math.fround(value))).toBe(true)
    const [dx] = tape.backward([constant(3)]).inputs
    expect(dx).toEqual(out.map((v) => (v === 0 ? 0 : 3)))
  })

  it('errs as its seed says', () => {
    const run = (seed: number) => tape.forward([constant(0.1)], seed)[0].slice()
    expect(run(3)).toEqual(run(3))
    expect(run(4)).not.toEqual(run(3))
  })

  it('is one for a block, and wider for its mean where the area is no power of two', () => {
    const spec = parseReluSpec({ format: 'relu-spec/1', layers: { relu: { kind: 'block', blocks: [[3, 4]] } } }, arch)
    // 2^⌈log2 12⌉ / 12 of the window: 2.67 for 2, so that -0.5 passes in 1/2 - 0.5/2.67 of the blocks.
    const blocks = Tape.prepare(arch, new Map(), { windows, spec })
    const shares = Array.from({ length: 12 }, (_, seed) => blocks.forward([constant(-0.5)], seed)[0].slice())
    for (const out of shares) {
      const at = (y: number, x: number) => out[60 * y + x] !== 0
      for (const [y, x] of [
        [0, 0],
        [33, 20],
        [57, 56],
      ]) {
        expect(new Set([at(y, x), at(y + 2, x + 3), at(y + 1, x)]).size).toBe(1)
      }
    }
    const mean = shares.reduce((sum, out) => sum + shareOpen(out), 0) / shares.length
    expect(Math.abs(mean - (0.5 - 0.5 / (32 / 12)))).toBeLessThan(0.03)
  })
})
