// What a server holds of an inference is freed once, whoever ends it, and is not taken in twice.
import { expect, test } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { loadKernels } from '../../../src/kernels/instance.js'
import { MaterialStore } from '../../../src/party/mcc/store.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { layOut } from '../../../src/protocol/step.js'
import { failure, tinyNetwork } from '../fixture.js'

const SESSION = '00'.repeat(16)

function stored(guarded: boolean) {
  const k = loadKernels()
  const { plan, model } = tinyNetwork(1, 2, guarded ? { guard: {} } : {})
  const store = new MaterialStore(k, layOut(k, plan as MccPlan), model.bias, 2 ** 28)
  const before = k.memory.inUse
  store.reserve(SESSION, 0, 'somebody', () => undefined)
  return { k, store, before }
}

test.each([false, true])(
  'a session that ends while its material is waited for frees it once (guarded: %s)',
  async (guarded) => {
    const { k, store, before } = stored(guarded)
    for (const [step, length] of store.lengths.helper.entries()) store.dealt(SESSION, 0, step, new Uint8Array(length))
    const waiting = failure(store.take(SESSION, 0, 60_000))
    store.forget(SESSION)
    expect(await waiting).toMatchObject({ code: 'PEER_GONE' })
    expect(k.memory.inUse).toBe(before)
    expect(store.heldBy('somebody')).toBe(0)
  },
)

test('a message that no memory is left for is not taken in again: its inference fails', async () => {
  const { k, store, before } = stored(false)
  const { alloc } = k.memory
  let left = Number.POSITIVE_INFINITY
  k.memory.alloc = (bytes) => {
    if (left-- === 0) throw new RingfenceError('HOST', 'no memory')
    return alloc.call(k.memory, bytes)
  }
  const step = store.lengths.helper.indexOf(Math.max(...store.lengths.helper))
  for (let at = 0; at < step; at++) store.dealt(SESSION, 0, at, new Uint8Array(store.lengths.helper[at]))
  left = 3 // what is packed, its words, the tables; not the select's words
  const message = new Uint8Array(store.lengths.helper[step])
  expect(() => store.dealt(SESSION, 0, step, message)).toThrow('no memory')
  k.memory.alloc = alloc
  const held = k.memory.inUse
  store.dealt(SESSION, 0, step, message)
  expect(k.memory.inUse).toBe(held)
  expect(store.isDealt(SESSION, 0)).toBe(false)
  expect(await failure(store.take(SESSION, 0, 60_000))).toMatchObject({ code: 'HOST' })
  expect(k.memory.inUse).toBeGreaterThanOrEqual(before)
})

test('a helper that goes when it has dealt takes nothing along, though the client is still at its part', async () => {
  const { store } = stored(false)
  const gone = new RingfenceError('PEER_GONE', 'the helper is gone')
  store.reserve(SESSION, 1, 'somebody', () => undefined)
  for (const [step, length] of store.lengths.helper.entries()) store.dealt(SESSION, 0, step, new Uint8Array(length))
  store.helperLost(gone)
  for (const inference of [0, 1])
    for (const [step, length] of store.lengths.client.entries())
      store.uploaded(SESSION, inference, step, new Uint8Array(length))
  expect(await store.take(SESSION, 0, 60_000)).toBeDefined()
  expect(await failure(store.take(SESSION, 1, 60_000))).toMatchObject({ code: 'PEER_GONE' })
})
