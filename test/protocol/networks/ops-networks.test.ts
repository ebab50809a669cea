// Whole networks of the families' ops with random weights, end to end on `mcc`: bit for bit the integer reference, and close
// to float.
import { describe, expect, it } from 'vitest'
import { deeplab, SEESAW_PRUNED } from '../../../bench/suites/exact.js'
import { expectExact } from './ops-networks.js'

describe('networks of random weights on mcc equal the integer reference bit for bit', () => {
  // Values that go out, and flights between client and server.
  it.each([
    ['Seesaw for CIFAR with pruned branches', SEESAW_PRUNED, { values: 100, flights: 32 }],
    ['DeepLabV3-MobileNetV2 at 128×128', deeplab(), { values: 5 * 128 * 128, flights: 88 }],
  ])('%s', async (_, file, wanted) => {
    expect(await expectExact(file, {})).toMatchObject(wanted)
  })
})
