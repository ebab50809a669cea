import { expect, test } from 'vitest'
import { memoryPair } from '../../src/net/index.js'
import { channelCompliance } from './compliance.js'

channelCompliance('memory', { open: async (options) => memoryPair(options) })

test('memory: a whole buffer is moved, so using it after send is noticed', () => {
  const [a] = memoryPair()
  const message = new Uint8Array(16)
  a.send(message)
  expect(message.byteLength).toBe(0)
})
