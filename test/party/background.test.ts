// Material that is prepared while nobody asks: there when it is needed, made again when it was used.
import { afterEach, describe, expect, it } from 'vitest'
import { type LocalParties, localParties } from '../../src/testing.js'
import { inputFor, tinyNetwork } from './fixture.js'

describe('keepPrepared', () => {
  const compiled = tinyNetwork(1)
  let parties: LocalParties | undefined
  afterEach(() => parties?.release())

  /** Resolves when the client reports that many. */
  async function prepared(count: number, storeBytes?: number): Promise<number[]> {
    const told: number[] = []
    await new Promise<void>((resolve) => {
      const onPrepared = (ready: number) => {
        told.push(ready)
        if (ready === count) resolve()
      }
      void localParties(compiled, { server: { storeBytes }, client: { keepPrepared: count, onPrepared } }).then(
        (started) => {
          parties = started
        },
      )
    })
    return told
  }

  it('prepares up to the number, and one more for each that is used', async () => {
    expect(await prepared(3)).toEqual([1, 2, 3])
    await new Promise((resolve) => setTimeout(resolve, 0))
    const { client } = parties!
    expect(client.prepared).toBe(3)
    await client.run(inputFor(compiled))
    while (client.prepared < 3) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(client.prepared).toBe(3)
  })

  it('stops where the server has no room, and calls still work', async () => {
    await prepared(1, 1)
    await new Promise((resolve) => setTimeout(resolve, 0))
    const { client } = parties!
    for (let i = 0; i < 3; i++) await client.run(inputFor(compiled))
    expect(client.prepared).toBeLessThanOrEqual(1)
  })

  it('prepares nothing by itself without the option', async () => {
    parties = await localParties(compiled)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(parties.client.prepared).toBe(0)
  })
})
