// What a client can know of values that left their range: its own input and output. Outputs have headroom of their own.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { type LocalParties, localParties } from '../../../src/party/local/parties.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { randomWeights } from '../../fixtures/networks.js'

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [2, 8, 8] }],
  outputs: ['fc'],
  layers: [
    { id: 'conv', op: 'conv2d', in: ['x'], cout: 16, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'relu', op: 'relu', in: ['conv'] },
    { id: 'flat', op: 'flatten', in: ['relu'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
})
const weights = randomWeights(arch, 2)
const picture = (size: number) => Float32Array.from({ length: 128 }, (_, i) => size * Math.sin(3 * i + 1))
const [logits] = FloatNetwork.prepare(arch, weights).run([picture(1)])
const calibration = calibrate(arch, weights, undefined, [picture(1)])

/** Parties whose calibration saw outputs `times` times smaller than they are. */
const withOutputs = (times: number): Promise<LocalParties> => {
  const maxAbs = { ...calibration.maxAbs, fc: calibration.maxAbs.fc / times }
  return localParties(compile(arch, weights, { ...calibration, maxAbs }), {})
}

describe('values beyond the calibrated range', () => {
  let parties: LocalParties
  beforeAll(async () => {
    parties = await withOutputs(1)
  })
  afterAll(() => parties.release())

  it('are none for a picture like those calibrated on', async () => {
    const result = await parties.client.run(picture(1))
    expect(result.beyondRange).toEqual({ input: 0, output: 0 })
  })

  it('are counted in the input, where they still fit its words', async () => {
    const { beyondRange } = await parties.client.run(picture(3.5))
    expect(beyondRange.input).toBeGreaterThan(0)
    await expect(parties.client.run(picture(9))).rejects.toThrow('outside ±')
  })

  it('are counted in the output before it wraps: outputs up to 7 times the largest seen are right', async () => {
    for (const [times, beyond] of [
      [1.5, false],
      [7, true],
    ] as const) {
      const others = await withOutputs(times)
      try {
        const { logits: found, beyondRange } = await others.client.run(picture(1))
        found.forEach((value, i) => {
          expect(Math.abs(value - logits[i])).toBeLessThan(0.02)
        })
        expect(beyondRange.output > 0).toBe(beyond)
        expect(beyondRange.input).toBe(0)
      } finally {
        await others.release()
      }
    }
  })
})
