// Views at real widths, from the real gadgets: no byte of any message depends on the secret. A two-sample chi-square
// per byte, 2^14 runs for either secret, fewer where a variant is broken; streams are seeded, so a result is the same
// every time.
import { beforeAll, describe, expect, it } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import { chooseChunks } from '../../../src/plan/compile/chunks.js'
import type { MccActivation } from '../../../src/plan/plan.js'
import { fillModelMask, filterSlots } from '../../../src/protocol/weights.js'
import { Purpose } from '../../../src/random/streams.js'
import { honest, oneForTwo, reusing, type Streamed, withoutCarryMasks } from '../../fixtures/faulty-streams.js'
import { Tally } from './transcripts.js'
import { apart, loud, network, PLAIN, RUNS, silent, small, tally, type Views, views } from './wide-views.js'

/** A plain ReLU, then one with a block, an identity, a wide and a plain channel and ignored bits. */
const large = (secret: number) => {
  const blocks = [
    [2, 2],
    [0, 1],
    [1, 2],
    [1, 1],
  ] as const
  const mixed: MccActivation = {
    truncate: 9,
    bits: 14,
    lo: 3,
    chunks: chooseChunks(11),
    relu: { kind: 'block', blocks },
  }
  return network(
    [
      [2, 2, 2],
      [4, 2, 2],
      [4, 2, 2],
      [2, 2, 2],
    ],
    [{ ...PLAIN, truncate: 12 }, mixed],
    30,
    secret,
  )
}

describe('no byte of a view depends on the secret', () => {
  // Either comparison has this side.
  let known: Views
  beforeAll(async () => {
    known = await tally({ compiled: large(1), input: loud }, 0)
  })

  it('server: inputs', async () => {
    const { server } = apart(await tally({ compiled: large(1), input: silent }, 1), known)
    expect(server).toBeGreaterThan(0.5)
    expect(server).toBeLessThan(1)
  })

  it('client: weights', async () => {
    const { client } = apart(known, await tally({ compiled: large(2), input: loud }, 1))
    expect(client).toBeGreaterThan(0.5)
    expect(client).toBeLessThan(1)
  })

  it('helper: weights', () => {
    const k = loadKernels()
    const tallies = [1, 2].map((secret) => {
      const { plan, model } = large(secret)
      const seen = new Tally()
      for (let i = 0; i < RUNS; i++) {
        const seed = new Uint8Array(32)
        new DataView(seed.buffer).setUint32(0, i)
        seed[31] = secret
        const streams = honest(k, seed)
        for (const slot of filterSlots(plan)) {
          const mask = k.memory.alloc(slot.words * 4)
          fillModelMask(streams, slot, mask)
          const weights = model.weights.get(`${slot.step}.${slot.operation}`)!
          const masked = mask.i32().map((word, j) => weights[j] - word)
          seen.add(new Uint8Array(masked.buffer, 0, masked.byteLength))
          mask.release()
        }
        streams.release()
        seen.endRun()
      }
      return seen
    })
    expect(tallies[0].against(tallies[1])).toBeLessThan(1)
  })
})

describe('broken variants are told apart', () => {
  const broken: [string, 'server' | 'client', Streamed][] = [
    ['r reused for another input', 'server', { ch: reusing(Purpose.inputMask) }],
    ['m reused for another step result', 'server', { ch: reusing(Purpose.outputMask) }],
    ['pads reused for another table', 'server', { ch: reusing(Purpose.tablePad) }],
    ['carry masks s left out', 'client', { own: withoutCarryMasks(4) }],
    ['ρ reused', 'server', { own: reusing(Purpose.dealerRho) }],
    ['ω and μ under one half', 'server', { ch: oneForTwo(Purpose.extendHalf) }],
  ]
  for (const [name, party, streamed] of broken) {
    it(`${name}: by the ${party}`, async () => {
      const secret = (input: Int32Array) => ({ compiled: small(PLAIN)(1), input, streamed })
      const found = await views(secret(silent), secret(loud))
      expect(found[party]).toBeGreaterThan(1)
    })
  }

  it('and the sound protocol is not, at the same size', async () => {
    const secret = (input: Int32Array) => ({ compiled: small(PLAIN)(1), input })
    const found = await views(secret(silent), secret(loud))
    expect(Math.max(found.server, found.client)).toBeLessThan(1)
  })
})
