// Networks of the literature on `mcc`, from their own files: private logits equal the integer reference bit for bit, and
// top-1 is the float network's wherever that is sure.

import { describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { FloatNetwork } from '../../../src/float/network.js'
import { elementCount } from '../../../src/model/shape.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { drawFrom } from '../mcc/gadget-plan.js'
import { best, expectTopOne, type Published, published, runPrivately, title } from './real-networks.js'

/** Pictures held against the reference, the largest error of a logit there may be, and the flights of an inference. */
const cases: [Published, { checked: number; error: number; sure: number; flights: number }][] = [
  // The headroom of the output costs one bit of its logits: of 40 runs the median was 0.064, the largest 0.073.
  ['ResNet-20', { checked: 2, error: 0.08, sure: 20, flights: 40 }],
  ['ResNet-8', { checked: 3, error: 0.06, sure: 19, flights: 16 }],
  ['ProxylessNAS', { checked: 2, error: 0.7, sure: 8, flights: 84 }],
]

describe('published networks on mcc', () => {
  for (const [name, { checked, error, sure, flights }] of cases) {
    const load = published(name)
    it.skipIf(!load)(
      title(name, 'private logits equal the reference, top-1 is that of float where it is sure'),
      async () => {
        const network = load!()
        const compiled = compile(network.arch, network.weights, network.calibration)
        const run = await runPrivately(compiled, network.inputs, checked)
        const found = expectTopOne(run.logits, network)
        const count = network.inputs.length
        console.log(
          `${name}: largest error ${found.error.toFixed(4)}, ${found.sure} of ${count} pictures sure, ${flights} flights`,
        )
        expect(run.flights).toBe(flights)
        expect(found.error).toBeLessThan(error)
        expect(found.sure).toBeGreaterThanOrEqual(sure)
      },
    )
  }

  const load = published('ProxylessNAS')
  it.skipIf(!load)(title('ProxylessNAS', 'two more opened bits err less'), async () => {
    const network = load!()
    const compiled = compile(network.arch, network.weights, network.calibration, undefined, { bits: 18 })
    const { error, sure } = expectTopOne((await runPrivately(compiled, network.inputs, 0)).logits, network)
    console.log(`ProxylessNAS with 18 bits: largest error ${error.toFixed(4)}, ${sure} of 20 pictures sure`)
    expect(error).toBeLessThan(0.2)
    expect(sure).toBeGreaterThanOrEqual(15)
  })

  it.skipIf(!load)(title('ProxylessNAS', 'its label among 1,000 classes alone'), async () => {
    const network = load!()
    const { arch, weights, calibration, inputs, logits } = network
    const compiled = compile(arch, weights, calibration, undefined, { output: 'label' })
    const run = await runPrivately(compiled, inputs.slice(0, 3), 1)
    // One step to cut the logits, ten to halve them, two to find which equals the maximum first.
    expect(run.flights).toBe(84 + 2 * (1 + 10 + 2))
    run.logits.forEach((found, i) => {
      const { top, margin } = best(logits[i])
      expect(found.reduce((sum, x) => sum + x)).toBe(1)
      if (margin > 1) expect(found[top], `picture ${i}`).toBe(1)
    })
  })
})

describe('committed models tell only the label, when that is asked for', () => {
  it.each([
    ['mnist-cnn3', undefined],
    ['resnet20-cifar10', '25'],
  ])('%s %s', async (name, variant) => {
    const path = modelFolder(name)
    const { arch, weights, calibration, spec } = await loadModelDirectory(path, variant)
    const compiled = compile(arch, weights, calibration!, spec, { output: 'label' })
    const draw = drawFrom(3)
    const inputs = [0, 1, 2].map(() => Float32Array.from({ length: elementCount(arch.inputs[0].shape) }, () => draw()))
    const { logits: found } = await runPrivately(compiled, inputs, 1)
    FloatNetwork.prepare(arch, weights, { spec })
      .run(inputs)
      .forEach((logits, i) => {
        const { top, margin } = best(logits)
        expect(margin).toBeGreaterThan(0.1)
        expect([...found[i]]).toEqual(Array.from(logits, (_, c) => (c === top ? 1 : 0)))
      })
  })
})
