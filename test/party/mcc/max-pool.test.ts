// Max pools between real parties: over WebSockets, and of material that outlived its connection.
import { afterEach, expect, test } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { type Channel, connect } from '../../../src/net/index.js'
import { listen } from '../../../src/net/websocket-server.node.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../../src/plan/compile/compile.js'
import { randomWeights } from '../../fixtures/networks.js'
import { sampleInput } from '../../fixtures/workloads.js'
import {
  createHelper,
  difference,
  inputFor,
  neighbourhood,
  Site,
  type Wire,
  watchRejections,
  wire,
} from '../fixture.js'
import { MemoryStore } from '../memory-store.js'

const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** A stem as that of a ResNet: a convolution, a ReLU, a pool of 3×3 by two. */
function stem(): Compiled {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'stem',
    inputs: [{ name: 'x', shape: [1, 6, 6] }],
    outputs: ['fc'],
    layers: [
      { id: 'conv', op: 'conv2d', in: ['x'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
      { id: 'relu', op: 'relu', in: ['conv'] },
      { id: 'pool', op: 'maxPool', in: ['relu'], kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] },
      { id: 'flat', op: 'flatten', in: ['pool'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
    weights: { layout: 'torch' },
  })
  const weights = randomWeights(arch, 3)
  return compile(arch, weights, calibrate(arch, weights, undefined, [sampleInput(arch, 3)]))
}

const compiled = stem()

test('over WebSockets results are the reference bit for bit', async () => {
  expect(compiled.plan.backend === 'mcc' && compiled.plan.steps.filter((s) => s.activation?.maxPool).length).toBe(2)
  const waiting: ((channel: Channel) => void)[] = []
  const listener = await listen({ port: 0, onConnection: (channel) => waiting.shift()!(channel) })
  const socket = async (): Promise<Wire> => {
    const accepted = new Promise<Channel>((resolve) => waiting.push(resolve))
    const a = await connect(listener.url)
    return { a, b: await accepted, count: () => 0, cut: () => a.close('cut') }
  }
  const helper = await createHelper()
  const site = await Site.create(compiled, helper, { wire: await socket() })
  const { client, compare } = await site.seat({ toServer: await socket(), toHelper: await socket() })
  await client.prepare(2)
  expect(await compare(inputFor(compiled, 1))).toBeNull()
  expect(await compare(inputFor(compiled, 2))).toBeNull()
  await client.release()
  await site.server.release()
  await helper.release()
  expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  await listener.close()
})

test('material that was kept is used by whoever comes back for it', async () => {
  const { site, end } = await neighbourhood(compiled)
  const keepMaterial = new MemoryStore()
  const [toServer, toHelper] = [wire(), wire()]
  const before = await site.seat({ keepMaterial, toServer, toHelper })
  await before.client.prepare(2)
  toServer.cut()
  toHelper.cut()
  await before.client.closed
  const { client } = await site.seat({ keepMaterial })
  expect(client.prepared).toBe(2)
  for (const seed of [1, 2]) {
    const input = inputFor(compiled, seed)
    expect(difference(compiled, input, await client.run(input), before.seeds())).toBeNull()
  }
  await client.release()
  await end()
})
