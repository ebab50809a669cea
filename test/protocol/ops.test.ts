// Random networks over every op there is, on both back ends: a private run equals the integer reference bit for bit and
// lies close to float; and with `output: 'label'` it gives out the largest output and nothing else.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { effectiveOp } from '../../src/model/layers.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { checkPlan } from '../../src/plan/check.js'
import { type Compiled, compile } from '../../src/plan/compile.js'
import { asMap, type Plan } from '../../src/plan/plan.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { localParties, runReference } from '../../src/testing.js'
import { outputErrors, WORST } from '../securenn/error-bound.js'
import { growNetwork, securennOptions, type ZooNetwork } from './zoo.js'

const EVERY_OP =
  'add avgPool batchNorm channelScale clip concat conv2d flatten globalAvgPool identity leakyRelu linear maxPool pad prelu relu resize shortcutA subsample weightedSum zero'

interface Run {
  logits: Float32Array
  prediction: number
}

/** Private results, each compared with the reference under the masks of its run. */
async function runPrivately({ plan, model }: Compiled, inputs: readonly Float32Array[]): Promise<Run[]> {
  checkPlan(JSON.parse(JSON.stringify(plan)))
  const parties = await localParties({ plan, model } as Compiled<Plan>, { party: { deadlineMs: 60_000 } })
  try {
    const runs: Run[] = []
    for (const input of inputs) {
      const result = await parties.client.run(input)
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      const { output } = runReference(plan, model, words, parties.masks(result.inference))
      expect([...result.raw]).toEqual([...output])
      runs.push(result)
    }
    return runs
  } finally {
    await parties.release()
  }
}

/** Every comparison looks at every bit, of its own value. */
const exact = ({ plan }: Compiled, { blocks }: ZooNetwork) =>
  !blocks &&
  plan.steps.every(({ activation: a }) => !a || ('lo' in a ? a.lo === 0 : a.ignoredMsb === 0 && a.ignoredLsb === 0))

const words = ({ plan }: Compiled, input: Float32Array) => encodeFixed(input, plan.input.scale, plan.input.bits)
const seen = new Set<string>()
const see = ({ arch }: ZooNetwork) => {
  for (const layer of arch.layers) seen.add(effectiveOp(layer).op)
}

describe.each(['mcc', 'securenn'] as const)('random networks of every op on %s', (backend) => {
  it('equal the integer reference bit for bit and lie within the bound of their roundings', async () => {
    let [close, largest] = [0, 0]
    const runs = { numRuns: backend === 'mcc' ? 120 : 60, seed: 3 }
    const property = fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 12 }), async (seed, size) => {
      const network = growNetwork(seed, size, { all: true })
      const { arch, weights, spec, input } = network
      const options = backend === 'mcc' ? network.options : securennOptions(arch, seed)
      see(network)
      const inputs = [input(), input()]
      const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, options) as Compiled
      const logits = (await runPrivately(compiled, inputs)).map((run) => run.logits)
      if (!exact(compiled, network)) return
      close++
      logits.forEach((found, i) => {
        const { errors: bound } = outputErrors(compiled, words(compiled, inputs[i]), WORST)
        runFloat(arch, weights, spec, inputs[i]).forEach((x, j) => {
          const allowed = bound[j] + 1e-4 * (1 + Math.abs(x))
          largest = Math.max(largest, Math.abs(x - found[j]) / allowed)
          expect(Math.abs(x - found[j]), `output ${j}: ${found[j]} instead of ${x}`).toBeLessThan(allowed)
        })
      })
    })
    await fc.assert(property, runs)
    console.log(`${backend}: ${close} near float, at most ${largest.toFixed(2)} of the bound`)
    expect(close).toBeGreaterThan(15)
    // A bound that is never approached would say little.
    expect(largest).toBeGreaterThan(0.2)
  })

  it('tell only which output is largest, when that is asked for', async () => {
    let sure = 0
    const runs = { numRuns: backend === 'mcc' ? 60 : 30, seed: 4 }
    const property = fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 8 }), async (seed, size) => {
      const network = growNetwork(seed, size, { all: true })
      const { arch, weights, spec, input } = network
      const [classes, h, w] = asMap(arch.byId.get(arch.outputs[0])!.out)
      if (classes < 2 || classes > 24) return
      const { ring, bits, rounds } = network.options
      const options = {
        output: 'label' as const,
        ...(backend === 'mcc' ? { ring, bits, rounds } : { backend, rounds }),
      }
      const inputs = [input(), input()]
      const calibration = calibrate(arch, weights, spec, inputs)
      const compiled = compile(arch, weights, calibration, spec, options as never) as Compiled
      const open = compile(arch, weights, calibration, spec, { ...options, output: 'logits' } as never) as Compiled
      const results = await runPrivately(compiled, inputs)
      results.forEach(({ logits: found }, i) => {
        const wanted = runFloat(arch, weights, spec, inputs[i])
        const { errors } = outputErrors(open, words(open, inputs[i]), WORST)
        for (let at = 0; at < h * w; at++) {
          const column = (x: ArrayLike<number>) => Array.from({ length: classes }, (_, c) => x[c * h * w + at])
          const hot = column(found)
          expect([...hot].sort()).toEqual([...new Array(classes - 1).fill(0), 1])
          if (network.blocks) continue
          const [values, bounds] = [column(wanted), column(errors)]
          const order = [...values.keys()].sort((a, b) => values[b] - values[a])
          const margin = classes > 1 ? values[order[0]] - values[order[1]] : 1
          // One more rounding per value: the bits that the comparison does not get.
          if (margin < 2 * Math.max(...bounds) + 4 * 2 ** -compiled.plan.steps[compiled.plan.steps.length - 2].scale)
            continue
          sure++
          expect(hot.indexOf(1)).toBe(order[0])
        }
      })
    })
    await fc.assert(property, runs)
    console.log(`${backend}: ${sure} labels of a sure margin`)
    expect(sure).toBeGreaterThan(100)
  })
})

afterAll(() => {
  expect([...seen].sort().join(' ')).toBe(EVERY_OP)
})
