// Whole networks on `securenn`: given its masks, a private run equals the integer reference bit for bit; without windows
// it lies as close to the real network as its truncations allow, and as close to `mcc`.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { runFloat } from '../../../src/float/run.js'
import { pictureToInput } from '../../../src/model/pictures/input.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { cifarPictures } from '../../fixtures/pictures.js'
import { modelFolder, sharedFile } from '../../fixtures/reference-files.js'
import { drawFrom } from '../mcc/gadget-plan.js'
import { growNetwork, securennOptions } from '../networks/zoo.js'
import { outputErrors, VARIANCE, WORST } from './error-bound.js'

/** Batch norms are folded and the float network runs with 24 bits. */
const FLOAT = 1e-4
/** Beyond six, chance is one in 10^9. */
const DEVIATIONS = 6

type Options = CompileOptions<'securenn'>

async function compileModel(name: string, variant: string | undefined, options: Options) {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name), variant)
  const compiled = compile(arch, weights, calibration!, spec, { ...options, backend: 'securenn' })
  return { arch, weights, spec, compiled, onMcc: () => compile(arch, weights, calibration!, spec) }
}

/** @param checked how many of the inputs are held against the reference, which takes its time */
async function runPrivately(compiled: Compiled, inputs: readonly Float32Array[], checked = inputs.length) {
  const { plan, model } = compiled
  const parties = await localParties(compiled, { party: { deadlineMs: 60_000 } })
  try {
    const logits: Float32Array[] = []
    for (const [i, input] of inputs.entries()) {
      const result = await parties.client.run(input)
      logits.push(result.logits)
      if (i >= checked) continue
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      const { output } = runReference(plan, model, words, parties.masks(result.inference))
      expect([...result.raw]).toEqual([...output])
    }
    return logits
  } finally {
    await parties.release()
  }
}

const noise = (length: number, seed: number) => {
  const draw = drawFrom(seed)
  return Float32Array.from({ length }, () => 2 * draw() - 1)
}
const wordsOf = ({ plan }: Compiled, input: Float32Array) => encodeFixed(input, plan.input.scale, plan.input.bits)

describe('trained networks equal the integer reference bit for bit', () => {
  const cases: [string, string | undefined, Options][] = [
    ['mnist-cnn3', undefined, {}],
    ['mnist-cnn3', undefined, { fraction: 8, ignoredMsb: 44, ignoredLsb: 5, rounds: 20 }],
    ['mnist-cnn3', undefined, { fraction: 16, ignoredMsb: 40 }],
    ['resnet20-cifar10', '25', { ignoredMsb: 48, ignoredLsb: 4 }],
  ]
  for (const [name, variant, options] of cases) {
    it(`${name}${variant ? ` ${variant}` : ''} with ${JSON.stringify(options)}`, async () => {
      const { compiled } = await compileModel(name, variant, options)
      const length = compiled.plan.input.shape.reduce((a, b) => a * b)
      const inputs = [noise(length, 1), new Float32Array(length)]
      await runPrivately(compiled, name === 'mnist-cnn3' ? inputs : inputs.slice(0, 1))
    })
  }
})

describe('random networks', () => {
  const seen = new Set<string>()
  let close = 0
  let windows = 0
  let largest = 0
  it('equal the integer reference bit for bit; exact ones lie within the bound of their truncations', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 14 }), async (seed, size) => {
        const { arch, weights, spec, blocks, input } = growNetwork(seed, size, { maxPools: true })
        const options = securennOptions(arch, seed)
        const inputs = [input(), input()]
        const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, options)
        for (const { op } of arch.layers) seen.add(op)
        const windowed = compiled.plan.steps.some(({ activation }) => activation && activation.ignoredMsb > 0)
        const logits = await runPrivately(compiled, inputs)
        if (windowed) windows++
        if (blocks || windowed) return
        close++
        logits.forEach((found, i) => {
          const wanted = runFloat(arch, weights, spec, inputs[i])
          const { errors: bound } = outputErrors(compiled, wordsOf(compiled, inputs[i]), WORST)
          wanted.forEach((x, j) => {
            const allowed = bound[j] + FLOAT * (1 + Math.abs(x))
            const error = Math.abs(x - found[j])
            largest = Math.max(largest, error / allowed)
            expect(error, `output ${j}: ${found[j]} instead of ${x}`).toBeLessThan(allowed)
          })
        })
      }),
      { numRuns: 80, seed: 20 },
    )
  })
  afterAll(() => {
    console.log(`random networks: ${close} near float, at most ${largest.toFixed(2)} of the bound; ${windows} windowed`)
    expect(close).toBeGreaterThan(15)
    expect(windows).toBeGreaterThan(10)
    // A bound that is never approached would say little.
    expect(largest).toBeGreaterThan(0.2)
    expect([...seen].sort()).toEqual(
      'add avgPool batchNorm channelScale conv2d flatten globalAvgPool identity linear maxPool pad relu shortcutA subsample zero'.split(
        ' ',
      ),
    )
  })
})

describe('the two back ends agree', () => {
  it('on random networks, within the sum of both bounds', async () => {
    let compared = 0
    for (let seed = 1; compared < 12; seed++) {
      const { arch, weights, spec, blocks, input } = growNetwork(seed, 8, { maxPools: true })
      if (blocks) continue
      compared++
      const inputs = [input()]
      const calibration = calibrate(arch, weights, spec, inputs)
      const both = [
        compile(arch, weights, calibration, spec, { backend: 'securenn' }),
        compile(arch, weights, calibration, spec, { bits: 16 }),
      ]
      const [mine, theirs] = await Promise.all(both.map((compiled) => runPrivately(compiled, inputs)))
      const bounds = both.map((compiled) => outputErrors(compiled, wordsOf(compiled, inputs[0]), WORST).errors)
      mine[0].forEach((x, j) => {
        expect(Math.abs(x - theirs[0][j])).toBeLessThan(bounds[0][j] + bounds[1][j] + FLOAT * (1 + Math.abs(x)))
      })
    }
  })

  const file = sharedFile('images/cifar10-test-first20.bin')
  const name = 'on ResNet-20 with pictures: logits as close as truncations allow, top-1 wherever the margin is wider'
  it.skipIf(!file)(
    file ? name : `${name} (skipped: cifar10-test-first20.bin is not beside this checkout)`,
    async () => {
      const { compiled, arch, weights, spec, onMcc } = await compileModel('resnet20-cifar10', 'plain', {})
      const inputs = cifarPictures(file!)
        .slice(0, 2)
        .map(({ picture }) => pictureToInput(picture, arch.inputs[0]))
      const other = onMcc()
      const mine = await runPrivately(compiled, inputs, 0)
      const theirs = await runPrivately(other, inputs, 0)
      // The worst case of twenty layers says nothing, but truncations are independent coins: their variances add. What
      // is left is what the back ends' unlike integer weights make of the picture, and that is computed.
      let widest = 0
      let largest = 0
      let sure = 0
      inputs.forEach((input, i) => {
        const [a, b] = [compiled, other].map((each) => outputErrors(each, wordsOf(each, input), VARIANCE))
        const truncated = a.errors.map((v, j) => DEVIATIONS * Math.sqrt(v + b.errors[j]))
        const allowed = truncated.map((t, j) => t + Math.abs(a.values[j] - b.values[j]))
        mine[i].forEach((x, j) => {
          const apart = x - theirs[i][j]
          widest = Math.max(widest, Math.abs(apart - a.values[j] + b.values[j]) / truncated[j])
          largest = Math.max(largest, Math.abs(apart))
          expect(Math.abs(apart), `logit ${j} of picture ${i}`).toBeLessThan(allowed[j])
        })
        const float = runFloat(arch, weights, spec, input)
        const [first, second] = [...float].sort((x, y) => y - x)
        if (first - second < 4 * Math.max(...allowed)) return
        sure++
        for (const logits of [mine[i], theirs[i]]) {
          expect(logits.indexOf(Math.max(...logits)), `picture ${i}`).toBe(float.indexOf(first))
        }
      })
      console.log(
        `ResNet-20: logits differ by ${largest.toFixed(4)}; ${widest.toFixed(2)} of what truncations may; ${sure} sure`,
      )
      expect(widest).toBeGreaterThan(0.05)
      expect(widest).toBeLessThan(1)
      expect(sure).toBeGreaterThan(0)
    },
  )
})
