// What a client leaves behind: nothing, over a thousand inferences; no open connection, when nobody holds it any more.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { type Channel, memoryPair } from '../../src/net/index.js'
import type { Client } from '../../src/party/client/client.js'
import { compile } from '../../src/plan/compile/compile.js'
import { localParties } from '../../src/testing.js'
import { eventually, failure, inputFor, neighbourhood, tinyNetwork, type Wire, wire } from './fixture.js'

setFlagsFromString('--expose-gc')
setFlagsFromString('--no-flush-bytecode') // what is measured is data, not code
const collect: () => void = runInNewContext('gc')

/** Bytes JavaScript holds in its heap, and in buffers outside it. */
async function held(): Promise<{ heap: number; buffers: number }> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20)) // finalizers run between tasks
    collect()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heap: heapUsed, buffers: arrayBuffers }
}

test('the heap is flat over 1,000 inferences of mnist-cnn3', async () => {
  const { arch, weights, calibration, spec } = await loadModelDirectory('models/mnist-cnn3')
  const parties = await localParties(compile(arch, weights, calibration!, spec))
  const picture = new Float32Array(28 * 28).map((_, i) => (i % 29 < 6 ? 1 : 0))
  const repeat = async (times: number) => {
    for (let i = 0; i < times; i++) await parties.client.run(picture)
  }
  await repeat(2000) // what the compiler keeps of a hot path comes and goes for that long
  const wasm = parties.client.memoryInUse
  const before = await held()
  await repeat(1000)
  const after = await held()
  // 300 bytes an inference for all three parties together: a few promises and closures. Compiled code comes and goes.
  expect(after.heap - before.heap).toBeLessThan(300_000)
  expect(after.buffers - before.buffers).toBeLessThan(300_000)
  expect(parties.client.memoryInUse).toBe(wasm)
  await parties.release()
})

describe('a client nobody holds any more', () => {
  const compiled = tinyNetwork(1)
  const input = inputFor(compiled)
  const slow = () => new Promise((resolve) => setTimeout(resolve, 5))

  /** Collects garbage until `condition` holds. */
  async function collected(condition: () => boolean, withinMs = 60_000): Promise<boolean> {
    const end = performance.now() + withinMs
    while (!condition() && performance.now() < end) {
      collect()
      await slow()
    }
    return condition()
  }

  /** A wire whose messages take a while, in which garbage is collected. */
  function lingering(): Wire {
    const [a, innerA] = memoryPair()
    const [innerB, b] = memoryPair()
    const pump = async (from: Channel, to: Channel) => {
      for (;;) {
        const message = await from.receive()
        collect()
        await slow()
        to.send(message)
      }
    }
    pump(innerA, innerB).catch(() => innerB.close())
    pump(innerB, innerA).catch(() => innerA.close())
    return { a, b, count: () => 0, cut: () => innerA.close() }
  }

  function watched(): { toServer: Wire; toHelper: Wire; closed: () => boolean } {
    const toServer = wire()
    const toHelper = wire()
    let open = 2
    for (const { b } of [toServer, toHelper]) void b.closed.then(() => open--)
    return { toServer, toHelper, closed: () => open === 0 }
  }

  test('leaves server and helper', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    const before = [site.server.memoryInUse, helper.memoryInUse]
    const { closed, ...wires } = watched()
    const visit = async () => {
      const { client } = await site.seat(wires)
      await client.prepare(2)
      await client.run(input)
    }
    await visit()
    expect(closed()).toBe(false)
    expect(await collected(closed)).toBe(true)
    const now = () => [site.server.memoryInUse, helper.memoryInUse]
    expect(await eventually(() => `${now()}` === `${before}`)).toBe(true)
    await end()
  })

  test('stays as long as somebody does', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { closed, ...wires } = watched()
    const { client } = await site.seat(wires)
    expect(await collected(closed, 200)).toBe(false)
    await client.release()
    expect(await collected(closed)).toBe(true)
    await end()
  })

  test('finishes the call it is in', async () => {
    const { site, end } = await neighbourhood(compiled)
    const started = async () => (await site.seat({ toServer: lingering(), deadlineMs: 5000 })).client.run(input)
    expect(await failure(started())).toBeNull()
    await end()
  })

  test('is released at the end of its block', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { closed, ...wires } = watched()
    let left: Client
    {
      await using client = (await site.seat(wires)).client
      await client.run(input)
      left = client
    }
    expect(await eventually(closed)).toBe(true)
    expect(left.memoryInUse).toBe(0)
    expect(await failure(left.run(input))).toMatchObject({ code: 'ABORTED' })
    await end()
  })
})
