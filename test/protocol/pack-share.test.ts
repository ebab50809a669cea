// A share whose filters stop coming: what was packed goes, and memory that was not reached is not touched.
import { expect, it } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { filterSlots, packShare } from '../../src/protocol/weights.js'
import { prepareWorkload } from '../fixtures/workloads.js'

const { plan } = prepareWorkload({ name: 'resnet20-cifar10', options: {} }).compiled

it.each([
  ['where it had not come yet', true],
  ['wiped where this side had it all', false],
] as const)('%s', async (_, comes) => {
  const k = loadKernels()
  const [first] = filterSlots(plan).sort(comes ? (a, b) => a.place - b.place : (a, b) => b.words - a.words)
  const before = k.memory.alloc(4 * first.words)
  before.u8().fill(7)
  before.release()
  const { inUse } = k.memory
  const broken = new Error('no more comes')
  let at = -1
  const fill = (_: unknown, words: { ptr: number; u8(): Uint8Array }) => {
    at = words.ptr
    words.u8()[0] = 1
    throw broken
  }
  await expect(packShare(k, plan, fill, comes ? async () => undefined : undefined)).rejects.toBe(broken)
  expect(k.memory.inUse).toBe(inUse)
  expect(at).toBe(before.ptr)
  const left = new Uint8Array(k.memory.buffer, before.ptr, before.byteLength)
  expect([left[1], left.at(-1)]).toEqual(comes ? [7, 7] : [0, 0])
})
