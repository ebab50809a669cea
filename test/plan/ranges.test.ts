// Every range a compilation asks for is one that calibration measures, whatever the network.
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { runFloat } from '../../src/float/run.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import type { Weights } from '../../src/model/weights.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { growNetwork, securennOptions } from '../protocol/networks/zoo.js'

const NETWORKS = 500

/** What keeps a random network from running; a missing range is never right. */
function missingRange(compileOne: () => unknown): string | null {
  try {
    compileOne()
    return null
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    return error.message.includes('no range') ? error.message : null
  }
}

const BEND = parseArchitecture({
  format: 'arch/1',
  name: 'bend',
  inputs: [{ name: 'x', shape: [1, 4, 4] }],
  outputs: ['p'],
  layers: [
    { id: 'l', op: 'leakyRelu', in: ['x'], slope: 20 },
    { id: 'p', op: 'maxPool', in: ['l'], kernel: [2, 2] },
  ],
})

const kindsOf = ({ layers }: Architecture) => layers.map(({ op }) => op)

describe('the ranges of a calibration', () => {
  for (const kinds of [{ maxPools: true }, { all: true }]) {
    it(`are all that ${NETWORKS} random networks need on either back end, ${Object.keys(kinds)[0]}`, () => {
      const missing: string[] = []
      const seen = new Set<string>()
      for (let seed = 1; seed <= NETWORKS; seed++) {
        const { arch, weights, spec, options, input } = growNetwork(seed, 2 + (seed % 11), kinds)
        for (const op of kindsOf(arch)) seen.add(op)
        const calibration = calibrate(arch, weights, spec, [input()])
        for (const chosen of [options, securennOptions(arch, seed)]) {
          const found = missingRange(() => compile(arch, weights, calibration, spec, chosen as typeof options))
          if (found) missing.push(`seed ${seed}: ${found}`)
        }
      }
      expect(missing).toEqual([])
      expect([...seen]).toContain('maxPool')
    })
  }

  it('hold what comes out of a steep slope, too', () => {
    const none: Weights = new Map()
    const input = Float32Array.from({ length: 16 }, (_, i) => -i - 1)
    const calibration = calibrate(BEND, none, undefined, [input])
    expect(calibration.maxAbs.l).toBe(320)
    const { plan, model } = compile(BEND, none, calibration)
    const { output } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits))
    const { scale } = plan.steps[plan.steps.length - 1]
    const wanted = runFloat(BEND, none, undefined, input)
    expect([...output].map((y) => Number(y) / 2 ** scale)).toEqual([...wanted])
  })
})
