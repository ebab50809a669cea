// A server's weights, read back out of the kernels' memory, are those that were compiled.
import { expect, it } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { wordRing } from '../../src/kernels/words.js'
import { narrowed } from '../../src/plan/compile/rounding.js'
import { heldModel, modelOf } from '../../src/protocol/held-model.js'
import { filterSlots, packShare } from '../../src/protocol/weights.js'
import { prepareWorkload } from '../fixtures/workloads.js'

it.each([
  ['resnet20-cifar10', 'mcc'],
  ['mobilenetv2-cifar10', 'mcc'],
  ['resnet20-cifar10', 'securenn'],
] as const)('%s on %s', async (name, backend) => {
  const k = loadKernels()
  const model = modelOf(prepareWorkload({ name, options: { backend } as never }).compiled)
  const { plan, filter } = model
  const share = await packShare(k, plan, (slot, words) => wordRing(plan.ring).write(filter(slot), words))
  const held = heldModel(k, model, share)
  const slots = filterSlots(plan)
  const tiled = slots.filter(({ step, operation }) => share.weights(step, operation).tiled)
  expect(tiled.length).toBeLessThan(slots.length)
  if (name === 'resnet20-cifar10' && backend === 'mcc') expect(tiled.length).toBeGreaterThan(0)
  const before = k.memory.inUse
  for (const slot of slots) {
    expect(held.filter(slot).constructor).toBe(filter(slot).constructor)
    expect(held.filter(slot).every((word, i) => word === filter(slot)[i])).toBe(true)
  }
  expect(k.memory.inUse).toBe(before)
  share.release()
})

it('words are as wide as they have to be', () => {
  expect(narrowed(Int32Array.of(-32768, 32767))).toEqual(Int16Array.of(-32768, 32767))
  expect(narrowed(Int32Array.of(0, 32768))).toEqual(Int32Array.of(0, 32768))
  expect(narrowed(Int32Array.of(-32769))).toEqual(Int32Array.of(-32769))
})
