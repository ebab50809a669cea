// What a party has agreed is not left in its memory in a second form.
import { expect, test, vi } from 'vitest'
import { inputFor, neighbourhood, tinyNetwork } from './fixture.js'

const { seeds, secrets } = vi.hoisted(() => ({ seeds: [] as Uint8Array[], secrets: [] as Uint8Array[] }))

vi.mock('../../src/party/messages.js', async (original) => {
  const actual = (await original()) as typeof import('../../src/party/messages.js')
  return {
    ...actual,
    decodeWelcome: (payload: Uint8Array) => {
      const welcome = actual.decodeWelcome(payload)
      seeds.push(welcome.modelSeed)
      return welcome
    },
  }
})

vi.mock('../../src/random/x25519.js', async (original) => {
  const { x25519 } = (await original()) as typeof import('../../src/random/x25519.js')
  const getSharedSecret: typeof x25519.getSharedSecret = (...keys) => {
    const secret = x25519.getSharedSecret(...keys)
    secrets.push(secret)
    return secret
  }
  return { x25519: { ...x25519, getSharedSecret } }
})

test('the model’s seed and the secrets of key agreements are wiped once their streams are there', async () => {
  const compiled = tinyNetwork(1)
  const { site, end } = await neighbourhood(compiled)
  const { client, compare } = await site.seat()
  expect(seeds).toHaveLength(1)
  expect(secrets.length).toBeGreaterThanOrEqual(4)
  for (const bytes of [...seeds, ...secrets]) expect([...bytes]).toEqual(new Array(32).fill(0))
  expect(await compare(inputFor(compiled))).toBeNull()
  await client.release()
  await end()
})
