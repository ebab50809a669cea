// Random networks over every op there is, on both back ends: a private run equals the integer reference bit for bit and
// lies close to float; and with `output: 'label'` it gives out the largest output and nothing else.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { runFloat } from '../../../src/float/run.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { effectiveOp } from '../../../src/model/layers/layers.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { checkPlan } from '../../../src/plan/check.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import { asMap, hasWins, outputFraction, type Plan } from '../../../src/plan/plan.js'
import { decodeFixed, encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { drawFrom } from '../mcc/gadget-plan.js'
import { outputErrors, WORST } from '../securenn/error-bound.js'
import { growNetwork, securennOptions, type ZooNetwork } from './zoo.js'

const EVERY_OP =
  'add avgPool batchNorm channelScale clip concat conv2d flatten globalAvgPool identity leakyRelu linear maxPool pad prelu relu resize shortcutA subsample weightedSum zero'

/** Fraction bits that a label is found with, at least: what wins are opened with, or those of the step before the answer. */
function comparedScale({ plan }: Compiled, maxAbs: number): number {
  const wins = plan.backend === 'mcc' && plan.steps.find(hasWins)
  if (!wins) return plan.steps[plan.steps.length - 2].scale
  return Math.floor(wins.activation!.bits - 3 - Math.log2(maxAbs))
}

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

/** Every comparison looks at every bit, of its own value, and nothing is blended by rounded weights. */
const exact = ({ plan }: Compiled, { blocks }: ZooNetwork) =>
  !blocks &&
  plan.steps.every(({ linear }) => linear.every((op) => op.op !== 'resize' || op.bits === 0)) &&
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
          if (!exact(open, network)) continue
          const [values, bounds] = [column(wanted), column(errors)]
          const order = [...values.keys()].sort((a, b) => values[b] - values[a])
          const margin = classes > 1 ? values[order[0]] - values[order[1]] : 1
          // One more rounding per value: the bits that the comparison does not get.
          if (margin < 2 * Math.max(...bounds) + 4 * 2 ** -comparedScale(compiled, calibration.maxAbs[arch.outputs[0]]))
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

describe('a resize', () => {
  const sizes = [[2, 2], [4, 6], [3, 5], [5, 3], [7, 16], [9, 1], [32, 32]] as const // biome-ignore format: a list
  // How much of the range a result may be off: blends have as many bits as the ring leaves.
  const options: [string, CompileOptions, number][] = [
    ['mcc', {}, 0.03],
    ['mcc', { ring: 28, bits: 16 }, 0.03],
    ['mcc', { ring: 24, bits: 14 }, 0.08],
    ['securenn', { backend: 'securenn' }, 0.03],
    ['securenn', { backend: 'securenn', fraction: 8 }, 0.1],
  ]
  /** What reads it: weights, an average, a larger summand, a maximum, another resize; or nobody. */
  const readers: Record<string, Record<string, unknown>[]> = {
    nobody: [],
    relu: [{ op: 'relu', in: ['u'] }],
    conv: [{ op: 'conv2d', in: ['u'], cout: 2, kernel: [1, 1] }],
    average: [{ op: 'globalAvgPool', in: ['u'] }],
    maximum: [{ op: 'maxPool', in: ['u'], kernel: [2, 1] }],
    resize: [{ op: 'resize', in: ['u'], mode: 'bilinear', size: [5, 7] }],
    'larger summand': [
      { id: 'scaled', op: 'channelScale', in: ['u'] },
      { op: 'add', in: ['u', 'scaled'] },
    ],
  }
  it.each(options)('blends on %s with %o, whatever reads it', (_, given, share) => {
    for (const size of sizes as readonly (readonly number[])[]) {
      for (const [name, tail] of Object.entries(readers)) {
        if (name === 'maximum' && size[0] === 1) continue
        const draw = drawFrom(7)
        const layers = [
          { id: 'u', op: 'resize', in: ['x'], mode: 'bilinear', size },
          ...tail.map((l) => ({ id: 'o', ...l })),
        ]
        const outputs = [tail.length > 0 ? 'o' : 'u']
        const inputs = [{ name: 'x', shape: [2, 4, 6] }]
        const arch = parseArchitecture({ format: 'arch/1', name: 'resize', inputs, outputs, layers })
        const weights = new Map([
          ['o', { weight: Float32Array.of(0.9, -0.7, 0.4, 0.8), bias: Float32Array.of(0.1, 0.2) }],
          ['scaled', { weight: Float32Array.of(-40, 30) }],
        ])
        const input = Float32Array.from({ length: 48 }, () => 2 * draw() - 1)
        const { plan, model } = compile(arch, weights, calibrate(arch, weights, undefined, [input]), undefined, given)
        checkPlan(JSON.parse(JSON.stringify(plan)))
        const result = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits))
        const wanted = runFloat(arch, weights, undefined, input)
        const range = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
        const scale = plan.backend === 'securenn' ? outputFraction(plan) : plan.steps[plan.steps.length - 1].scale
        const found = decodeFixed(result.output, scale)
        wanted.forEach((x, j) => {
          const what = `${name} of ${size}: output ${j} is ${found[j]} instead of ${x}`
          expect(Math.abs(x - found[j]), what).toBeLessThan(share * range)
        })
      }
    }
  })
})
