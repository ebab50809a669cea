// Networks of the literature on `securenn`, from their own files: one picture each against the integer reference, which is
// slow in plain text with 64 bits; errors and top-1 against the float network.
import { describe, expect, it } from 'vitest'
import { compile } from '../../../src/plan/compile/compile.js'
import { expectTopOne, type Published, published, runPrivately, title } from './real-networks.js'

/** Pictures to run, and the largest error of a logit there may be. */
const cases: [Published, { pictures: number; error: number }][] = [
  ['ResNet-20', { pictures: 3, error: 0.06 }],
  // Of raw pixels: half as much again when inputs have as many fraction bits as other tensors.
  ['ResNet-8', { pictures: 6, error: 0.032 }],
  ['ProxylessNAS', { pictures: 3, error: 0.2 }],
]

describe('published networks on securenn', () => {
  for (const [name, { pictures, error }] of cases) {
    const load = published(name)
    it.skipIf(!load)(
      title(name, 'private logits equal the reference, top-1 is that of float where it is sure'),
      async () => {
        const network = load!()
        const { arch, weights, calibration } = network
        const compiled = compile(arch, weights, calibration, undefined, { backend: 'securenn' })
        const { logits } = await runPrivately(compiled, network.inputs.slice(0, pictures), 1)
        const found = expectTopOne(logits, network)
        console.log(`${name}: largest error ${found.error.toFixed(4)}, ${found.sure} of ${pictures} pictures sure`)
        expect(found.error).toBeLessThan(error)
        expect(found.sure).toBeGreaterThan(0)
      },
    )
  }
})
