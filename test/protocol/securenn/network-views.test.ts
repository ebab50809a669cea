// Views of whole inferences on `securenn`: every byte a party receives, and every sum it can make of what it has, is
// uniform, from one inference to the next as well, whatever the other party's secret is. Seeds are fixed, so a result is
// the same every time. Variants with a mask left out or used twice are told apart.
import { describe, expect, it } from 'vitest'
import { Draw } from '../../../src/protocol/securenn/draws.js'
import { Purpose } from '../../../src/random/streams.js'
import type { Which } from '../../fixtures/faulty-streams.js'
import { type Party, type Secret, type Sitting, sitting } from './network-views.js'

const RUNS = 32
const quiet: Secret = { input: 0, weight: 1, bias: 16 * 40 }
const loud: Secret = { input: -900, weight: 155, bias: 16 * 120 + 900 * 155 }

async function distances(bits: number, broken: Partial<Sitting> = {}, runs = RUNS) {
  const one = await sitting({ secret: quiet, bits, runs, from: 0, ...broken })
  const other = await sitting({ secret: loud, bits, runs, from: 1000, ...broken })
  return [...one.distances(other), ...other.distances(one)]
}

const worst = (found: Awaited<ReturnType<typeof distances>>, party?: Party) =>
  found
    .filter((each) => party === undefined || each.party === party)
    .reduce((most, each) => (each.distance > most.distance ? each : most))

describe('nothing in a view depends on the other party’s secret', () => {
  it.each([16, 64])('with %i compared bits', async (bits) => {
    const found = await distances(bits)
    for (const party of ['client', 'server', 'helper'] as const) {
      const { name, distance } = worst(found, party)
      expect(distance, name).toBeLessThan(1)
      expect(distance).toBeGreaterThan(0.5)
    }
    expect(found.length).toBeGreaterThan(100)
  })
})

const draw =
  (...tensors: number[]): Which =>
  ({ purpose, tensor }) =>
    purpose === Purpose.securenn && tensors.includes(tensor!)

describe('broken variants are told apart', () => {
  const both = (view: string) => [`client: ${view}`, `server: ${view}`]
  const mask =
    (at: number): Which =>
    ({ purpose, layer }) =>
      purpose === Purpose.inputMask && layer === at
  const broken: [string, Partial<Sitting>, string[]][] = [
    [
      'an inference number used twice',
      { repeated: true },
      [...both('openings of z 0, change'), 'helper: a + r, change'],
    ],
    ['an input masked as another one', { repeated: true }, ['server: x - r, change', 'server: z - r, change']],
    ['s left out of u', { missing: ({ purpose }) => purpose === Purpose.blind }, ['server: u + F∗(x - r)']],
    ['r left out of the input', { missing: mask(0) }, ['server: x - r']],
    ['r left out of a tensor', { missing: mask(1) }, ['server: z - r']],
    ['products opened without A', { missing: draw(Draw.productA) }, both('openings of z 0')],
    ['products opened without B', { missing: draw(Draw.productB) }, both('openings of z 1')],
    ['γ opened without A', { missing: draw(Draw.xorA) }, both('openings of γ·δ 0')],
    ['δ opened without B', { missing: draw(Draw.xorB) }, both('openings of γ·δ 1')],
    ['2y opened without x', { missing: draw(Draw.x) }, both('2y + x 0')],
    ['a sent without r', { missing: draw(Draw.r0, Draw.r1) }, ['helper: a + r']],
    ['first answers without flips', { missing: draw(Draw.flip1) }, ['helper: first answer']],
    ['second answers without flips', { missing: draw(Draw.flip2) }, ['helper: second answer']],
  ]
  it.each(broken)('%s', async (_, variant, names) => {
    const found = await distances(16, variant, 8)
    for (const name of names) {
      expect(worst(found.filter((each) => each.name === name)).distance, name).toBeGreaterThan(2)
    }
  })

  it('and the sound protocol is not, at the same size', async () => {
    const { name, distance } = worst(await distances(16, {}, 8))
    expect(distance, name).toBeLessThan(1)
  })
})
