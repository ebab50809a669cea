// Where there are many comparisons, their second sets leave in segments, each whole with the last opening that it covers:
// they end where an order is long enough, cost what is declared, and a wrong sign is caught in whichever it lies.
import { describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../../src/files/model-directory.js'
import { compile } from '../../../../src/plan/compile/compile.js'
import {
  guardEpsilon,
  guardOf,
  guardProblems,
  MAX_ALL_PLACES,
  MAX_PLACES,
  segmentsOf,
} from '../../../../src/plan/guard.js'
import type { MccPlan, Step } from '../../../../src/plan/plan.js'
import { Kind } from '../../../../src/protocol/kinds.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { guardSizes, guardTerms, PROOF_WORD, segmentSizes } from '../../../../src/protocol/mcc/guard/terms.js'
import { localParties } from '../../../../src/testing.js'
import { altered } from '../../../fixtures/deviating.js'
import { modelFolder } from '../../../fixtures/reference-files.js'
import { drawFrom, whole } from '../gadget-plan.js'
import { run } from '../metered-gadget.js'

/** Steps of so many ReLUs; a step of none goes out. */
const stepsOf = (counts: readonly number[]): Pick<MccPlan, 'steps'> => ({
  steps: counts.map((count, i) => {
    const activation = { truncate: 0, bits: 16, lo: 0, chunks: [4, 4, 4, 4], relu: { kind: 'relu' } } as const
    return {
      id: `s${i}`,
      linear: [{ op: 'tensor', tensor: 0, out: [1, 1, count] }],
      out: [1, 1, count],
      scale: 0,
      activation: count ? activation : null,
    } as Step
  }) as MccPlan['steps'],
})

describe('a segment', () => {
  it('ends as soon as its order is long enough; the rest joins the last', () => {
    const of = (counts: readonly number[]) => segmentsOf(counts, 8).map(({ last, comparisons }) => [last, comparisons])
    expect(of([])).toEqual([])
    expect(of([0, 0])).toEqual([])
    expect(of([10, 20, 0])).toEqual([[1, 30]])
    expect(of([256, 300, 0])).toEqual([
      [0, 256],
      [1, 300],
    ])
    expect(of([255, 1, 200, 56, 100, 0, 99, 0])).toEqual([
      [1, 256],
      [6, 455],
    ])
  })

  it('is guessed with 2^-sigma at most, whatever the steps', () => {
    const draw = drawFrom(1)
    for (let i = 0; i < 200; i++) {
      const sigma = whole(draw, 8, 16)
      const plan = stepsOf(Array.from({ length: whole(draw, 1, 12) }, () => whole(draw, 0, 2 ** whole(draw, 1, 17))))
      expect(guardEpsilon(plan, guardOf(plan, sigma))).toBeLessThanOrEqual(-sigma)
    }
  })

  it('of more comparisons than an order can hold is refused by the name of its step; many segments are not', () => {
    const problems = (counts: readonly number[], traps?: number) => {
      const plan = { ...stepsOf(counts), ring: 32, input: { bits: 16, shape: [1, 1, 1] } } as unknown as MccPlan
      const guard = guardOf(plan, 16)
      const own = traps === undefined ? guard : { ...guard, signs: { ...guard.signs!, traps } }
      return guardProblems(plan, own).filter((problem) => !problem.includes('MiB'))
    }
    expect(problems(new Array<number>(40).fill(2 ** 17))).toEqual([])
    expect(problems([MAX_PLACES, 5])).toEqual([
      `s1: ${MAX_PLACES + 5} comparisons would share an order, at most ${MAX_PLACES - 1} can`,
    ])
    // Nor do a stranger's traps grow with the number of segments.
    const segments = 40
    const all = segments * (2 ** 17 + 2 ** 20)
    expect(problems(new Array<number>(segments).fill(2 ** 17), 2 ** 20)).toEqual([
      `${all} comparisons would be made once more, at most ${MAX_ALL_PLACES} can: take a smaller input`,
    ])
  })
})

async function network() {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder('mnist-cnn3'))
  const compiled = compile(arch, weights, calibration!, spec, { guard: { sigma: 8 } })
  const draw = drawFrom(5)
  const largest = 2 ** compiled.plan.input.scale
  return { compiled, input: Int32Array.from({ length: 784 }, () => whole(draw, -largest, largest)) }
}

describe('mnist-cnn3 in several segments', () => {
  it('gives the reference bit for bit, at the declared bytes and flights', async () => {
    const { compiled, input } = await network()
    expect(guardTerms(planLayout(compiled.plan))!.segments.length).toBeGreaterThan(1)
    await run(compiled, input)
  })

  it('a wrong sign in any of them is caught', async () => {
    const { compiled, input } = await network()
    const terms = guardTerms(planLayout(compiled.plan))!
    const length = guardSizes(terms).proof
    let at = PROOF_WORD
    for (const segment of terms.segments) {
      let changed = 0
      const parties = await localParties(compiled, {
        wrap: (channel) =>
          altered(channel, (kind, _, payload) => {
            if (kind !== Kind.proof || payload.length !== length) return
            payload[at] ^= 1
            changed++
          }),
      })
      const x = Float32Array.from(input, (word) => word / 2 ** compiled.plan.input.scale)
      await expect(parties.client.run(x)).rejects.toMatchObject({ code: 'CHEATED' })
      expect(changed).toBe(1)
      await parties.release()
      at += segmentSizes(segment).beta
    }
    expect(at).toBe(length)
  })
})
