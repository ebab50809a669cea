// What waves must not be: with a step that reads a tensor of its own wave no inference gets through.
import { expect, it, vi } from 'vitest'
import { growNetwork } from '../networks/zoo.js'

/** Whether the wave of a plan's first step takes in the second, whatever that reads. */
let merged = false

vi.mock('../../../src/plan/waves.js', async (original) => {
  const real = await original<typeof import('../../../src/plan/waves.js')>()
  const waves: typeof real.waves = (steps) => {
    const found = real.waves(steps)
    return merged ? [{ from: 0, to: found[1].to }, ...found.slice(2)] : found
  }
  return { ...real, waves }
})

const { calibrate } = await import('../../../src/plan/calibrate.js')
const { compile } = await import('../../../src/plan/compile/compile.js')
const { localParties } = await import('../../../src/testing.js')

it.each([8, 21])('a step that reads a tensor of its own wave fails the inference, network %i', async (seed) => {
  const { arch, weights, spec, options, input } = growNetwork(seed, 9)
  const compiled = compile(arch, weights, calibrate(arch, weights, spec, [input()]), spec, options)
  expect(compiled.plan.steps.length).toBeGreaterThan(2)
  for (const broken of [false, true]) {
    merged = broken
    const parties = await localParties(compiled)
    try {
      const run = parties.client.run(input())
      if (broken) await expect(run).rejects.toMatchObject({ code: 'PEER_FAILED' })
      else await expect(run).resolves.toBeTruthy()
    } finally {
      await parties.release()
    }
  }
})
