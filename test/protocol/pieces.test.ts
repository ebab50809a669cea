// Messages longer than a piece: with pieces of 100 bytes every large message of a small network is cut, so whole inferences
// run in pieces, at the declared cost; and whoever sends other pieces than the plan's is found out.
import { describe, expect, it, vi } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { Link, Meter, memoryPair, Phase } from '../../src/net/index.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { inputWords } from '../../src/plan/ends.js'
import { planLayout } from '../../src/protocol/layout.js'
import { planCost } from '../../src/protocol/mcc/cost.js'
import { receiveRegions, sendRegions } from '../../src/protocol/regions.js'
import { securennCost } from '../../src/protocol/securenn/cost.js'
import { localParties, runReference } from '../../src/testing.js'
import { growNetwork } from './networks/zoo.js'

const PIECE = 100
vi.mock('../../src/protocol/pieces.js', () => ({
  PIECE_BYTES: 100,
  PART_VALUES: 32,
  piecesOf: (bytes: number) => Math.max(1, Math.ceil(bytes / 100)),
  firstPiece: (bytes: number) => Math.min(100, bytes),
}))

async function run(compiled: Compiled, input: Float32Array) {
  const meter = new Meter()
  const parties = await localParties(compiled, { client: { meter } })
  try {
    const { raw, inference } = await parties.client.run(input)
    const { plan, model } = compiled
    const expected = runReference(plan, model, inputWords(plan, input), parties.masks(inference)).output
    expect([...raw]).toEqual([...expected])
    const { online } = meter.report().links.server
    return { up: online.bytesSent, down: online.bytesReceived, flights: online.flights, sent: online.messagesSent }
  } finally {
    await parties.release()
  }
}

describe('a whole inference in pieces is the reference bit for bit, at the declared cost', () => {
  it.each([
    ['mcc', {}],
    ['mcc, guarded', { guard: { sigma: 8 } }],
  ] as const)('on %s', async (_, more) => {
    let cut = 0
    for (const seed of [1, 4, 7]) {
      const { arch, weights, spec, options, input } = growNetwork(seed, 10, { all: true })
      const inputs = [input(), input()]
      const chosen = { ...options, ...more, ...('guard' in more ? { lo: 0 } : {}) }
      const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, chosen)
      const { up, down, flights, sent } = await run(compiled, inputs[0])
      const { total } = planCost(planLayout(compiled.plan))
      expect({ up, down, flights }).toEqual({ ...total.online, flights: total.flights })
      cut += sent - compiled.plan.steps.length
    }
    expect(cut).toBeGreaterThan(10)
  })

  it('on securenn', async () => {
    const { arch, weights, spec, input } = growNetwork(1, 8)
    const inputs = [input(), input()]
    const calibration = calibrate(arch, weights, spec, inputs)
    const compiled = compile(arch, weights, calibration, spec, { backend: 'securenn' })
    const { up, down } = await run(compiled, inputs[0])
    const { total } = securennCost(planLayout(compiled.plan))
    expect({ up, down }).toEqual({ up: total.up, down: total.down })
  })
})

describe('a message in pieces', () => {
  const options = { name: 'peer', deadlineMs: 60_000, maxFrame: 2 ** 20 }
  const pair = () => memoryPair().map((channel) => new Link(channel, options)) as [Link, Link]
  const k = loadKernels()
  const LENGTH = 2 * PIECE + 1
  const receive = (link: Link, step = 3) => receiveRegions(k, link, 9, step, [LENGTH - 70, 70])
  const piece = (link: Link, length: number, kind = 9, step = 3) =>
    link.send(kind, Phase.online, step, new Uint8Array(length).fill(length))

  it('is put together in memory, part by part', async () => {
    const [near, far] = pair()
    const sent = Uint8Array.from({ length: LENGTH }, (_, i) => i % 251)
    const sending = sendRegions(near, 9, 3, [sent.subarray(0, 5), sent.subarray(5, 5), sent.subarray(5)])
    const [whole, first, second] = await receive(far)
    await sending
    expect(whole.u8()).toEqual(sent)
    expect([first.byteLength, second.u8()]).toEqual([LENGTH - 70, sent.subarray(LENGTH - 70)])
    whole.release()
    expect(k.memory.inUse).toBe(0)
  })

  it('may be empty: one frame says so', async () => {
    const [near, far] = pair()
    await sendRegions(near, 9, 3, [new Uint8Array(0)])
    const [whole] = await receiveRegions(k, far, 9, 3, [0])
    expect(whole.byteLength).toBe(0)
    whole.release()
  })

  const faults: [string, (link: Link) => void, object][] = [
    ['a first piece that is short', (link) => piece(link, PIECE - 1), { code: 'FRAME' }],
    ['all of it in one frame', (link) => piece(link, LENGTH), { code: 'FRAME' }],
    ['a last piece that is too long', (link) => [PIECE, PIECE, 2].map((n) => piece(link, n)), { code: 'FRAME' }],
    ['a missing piece', (link) => [PIECE, 1].map((n) => piece(link, n)), { code: 'FRAME' }],
    [
      'another message between two pieces',
      (link) => [9, 10, 9].map((kind) => piece(link, PIECE, kind)),
      { code: 'PROTOCOL' },
    ],
    ["another step's piece", (link) => [3, 4].map((step) => piece(link, PIECE, 9, step)), { code: 'PROTOCOL' }],
    [
      'an end after the first piece',
      (link) => {
        piece(link, PIECE)
        link.close()
      },
      { code: 'PEER_GONE' },
    ],
  ]
  it.each(faults)('is refused for %s, and leaves no memory behind', async (_, send, error) => {
    const [near, far] = pair()
    send(near)
    await expect(receive(far)).rejects.toMatchObject(error)
    expect(k.memory.inUse).toBe(0)
  })

  it('that was announced takes no memory before a piece has come', async () => {
    const [near, far] = pair()
    const waiting = receive(far)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(k.memory.inUse).toBe(0)
    near.close()
    await expect(waiting).rejects.toMatchObject({ code: 'PEER_GONE' })
  })
})
