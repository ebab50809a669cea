// Whole networks of the families' ops with random weights, end to end on `securenn`: bit for bit the integer reference, and
// close to float. DeepLabV3 at full width takes a minute there: `npm run bench -- exact`.
import { describe, expect, it } from 'vitest'
import { deeplab, SEESAW_PRUNED } from '../../../bench/suites/exact.js'
import { expectExact, THIN } from './ops-networks.js'

describe('networks of random weights on securenn equal the integer reference bit for bit', () => {
  it.each([
    ['Seesaw for CIFAR with pruned branches', SEESAW_PRUNED, 100],
    ['a thin DeepLabV3-MobileNetV2 at 128×128', deeplab(THIN), 5 * 128 * 128],
  ])('%s', async (_, file, values) => {
    expect((await expectExact(file, { backend: 'securenn' })).values).toBe(values)
  })
})
