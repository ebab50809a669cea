// Whole sessions on both back ends, with every draw of every party written down: under one seed no address serves two
// purposes, none has two lengths, and a mask that a party used for one inference never turns up in another.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { localParties } from '../../src/testing.js'
import { growNetwork, securennOptions } from '../protocol/networks/zoo.js'

interface Drawn {
  /** The memory it goes to: one per party. */
  party: object
  seed: string
  address: string
  block: number
  bytes: number
  /** The functions that asked for it. */
  site: string
}

const drawn = vi.hoisted(() => [] as Drawn[])

vi.mock('../../src/kernels/prg.js', async (original) => {
  const { fillStream, ...rest } = (await original()) as typeof import('../../src/kernels/prg.js')
  const frames = /at (?:async )?(?:new )?([\w.#]+) \(/g
  const recorded: typeof fillStream = (k, key, nonce, block, rounds, out) => {
    const stack = [...new Error().stack!.matchAll(frames)].map(([, name]) => name)
    const site = stack
      .filter((name) => !/^(recorded|Streams|_Streams|Proxy|Object\.|Array\.|Module\.)/.test(name))
      .slice(0, 2)
    const seed = Buffer.from(key.u8()).toString('hex')
    const address = nonce.join()
    const party = k.raw.memory
    drawn.push({ party, seed, address, block, bytes: out.byteLength, site: site.join(' < ') })
    fillStream(k, key, nonce, block, rounds, out)
  }
  return { ...rest, fillStream: recorded }
})

const SEEDS = [3, 8, 14]
const networks = SEEDS.flatMap((seed) =>
  (['logits', 'label'] as const).flatMap((output) => {
    const { arch, weights, spec, options, input } = growNetwork(seed, 7, { all: true })
    const inputs = Array.from({ length: 4 }, input)
    const calibration = calibrate(arch, weights, spec, inputs)
    const classes = arch.byId.get(arch.outputs[0])!.out[0]
    if (output === 'label' && classes < 2) return []
    const mcc = compile(arch, weights, calibration, spec, { ...options, output })
    const securenn = compile(arch, weights, calibration, spec, { ...securennOptions(arch, seed), output } as never)
    return [mcc, securenn].map((compiled) => [`${compiled.plan.backend} ${seed} ${output}`, compiled, inputs] as const)
  }),
)

afterEach(() => {
  drawn.length = 0
})

/** Two clients, material prepared ahead and in the background, a call that is aborted, and a client that comes anew. */
async function sessions(compiled: Compiled, inputs: readonly Float32Array[]): Promise<void> {
  const parties = await localParties(compiled, { party: { deadlineMs: 120_000 } })
  const { client, connect } = parties
  const other = await connect({ keepPrepared: 2 })
  await client.prepare(2)
  await Promise.all([client.run(inputs[0]), other.run(inputs[1])])
  await other.run(inputs[2])
  await client.run(inputs[3])
  const abort = new AbortController()
  const aborted = other.run(inputs[0], { signal: abort.signal })
  setTimeout(() => abort.abort(), 1)
  await aborted.catch(() => undefined)
  await other.release()
  const again = await connect()
  await again.run(inputs[0])
  await again.release()
  await parties.release()
}

const by = <K>(key: (draw: Drawn) => K): Map<K, Drawn[]> => {
  const groups = new Map<K, Drawn[]>()
  for (const draw of drawn) groups.set(key(draw), [...(groups.get(key(draw)) ?? []), draw])
  return groups
}

/** Functions that draw the same thing at different times or for different parties. */
const SAME: readonly RegExp[] = [
  /fillModelMask/, // B
  /tensorMask/, // r
  /outputMask/, // m
  /blind|dealLinear|uploadLinear|clientLinear/, // s
]
describe('the draws of a session', () => {
  it.each(networks)('of %s have an address of their own each', async (_, compiled, inputs) => {
    await sessions(compiled, inputs)
    // Of what is drawn again the same thing is made; all else is drawn once by a party that draws it.
    for (const uses of by(({ party, seed, address, block }) =>
      [partyNumber(party), seed, address, block].join(),
    ).values()) {
      const sites = uses.map(({ site }) => site)
      if (sites.length > 1)
        expect(
          sites.map((site) => SAME.findIndex((each) => each.test(site))),
          sites.join('; '),
        ).not.toContain(-1)
      expect(new Set(sites.map((site) => SAME.findIndex((each) => each.test(site)))).size, sites.join('; ')).toBe(1)
    }
    for (const uses of by(({ seed, address, block }) => `${seed} ${address} ${block}`).values()) {
      expect(new Set(uses.map(({ bytes }) => bytes)).size, uses.map(({ site }) => site).join('; ')).toBe(1)
    }
    // Nothing but seeds that two parties share, or the helper's own.
    for (const [, uses] of by(({ seed }) => seed)) {
      const holders = new Set(uses.map(({ party, site }) => (/fillModelMask/.test(site) ? null : partyNumber(party))))
      expect(holders.size).toBeLessThanOrEqual(2)
    }
    expect(drawn.length).toBeGreaterThan(20)
  })
})

const numbers = new WeakMap<object, number>()
let next = 0
function partyNumber(party: object): number {
  if (!numbers.has(party)) numbers.set(party, next++)
  return numbers.get(party)!
}
