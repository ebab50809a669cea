// Views of guarded inferences at real widths, byte by byte: the server's does not depend on the input, the client's before
// the output neither on the weights nor on whether it deviates. Streams are seeded, so a result is the same every time.
import { beforeAll, describe, expect, it } from 'vitest'
import { upload } from '../../../../src/kernels/instance.js'
import { groupsOf, readRows, rowBytes } from '../../../../src/kernels/mcc.js'
import type { Compiled } from '../../../../src/plan/compile/compile.js'
import { guardOf } from '../../../../src/plan/guard.js'
import type { MccPlan } from '../../../../src/plan/plan.js'
import { unpackOpened } from '../../../../src/protocol/mcc/comparison.js'
import { padsOf, places, signSizes } from '../../../../src/protocol/mcc/guard/signs.js'
import { setsOf } from '../../../../src/protocol/mcc/guard/terms.js'
import { outputMask } from '../../../../src/protocol/mcc/linear.js'
import { reluSizes } from '../../../../src/protocol/mcc/relu.js'
import { isActive } from '../../../../src/protocol/step.js'
import { Purpose } from '../../../../src/random/streams.js'
import { reusing } from '../../../fixtures/faulty-streams.js'
import { Tally } from '../transcripts.js'
import { loud, network, silent } from '../wide-views.js'
import { GuardedParties, type GuardedStreams, type Watcher } from './guarded-run.js'

/** Inferences per view: a byte that is always the same, or wrong in a bit, is far beyond the limit at that many. */
const RUNS = 2 ** 10

/** One ReLU over four elements; two sets of one trap each. */
function small(secret: number): Compiled<MccPlan> {
  const activation = { truncate: 10, bits: 16, lo: 0, chunks: [4, 4, 4, 4], relu: { kind: 'relu' } } as const
  const { plan, model } = network(
    [
      [8, 1, 1],
      [4, 1, 1],
      [2, 1, 1],
    ],
    [activation],
    32,
    secret,
  )
  const guard = guardOf(plan, 8)
  return { plan: { ...plan, guard: { ...guard, signs: { ...guard.signs!, sets: 2, traps: 1 } } }, model }
}

interface Side {
  compiled: Compiled<MccPlan>
  input: Int32Array
  streams?: GuardedStreams
  alter?: Watcher['alter']
}

interface Views {
  server: Tally
  client: Tally
  accepted: number
}

/** The rows of the second sets as the client reads them: its pads are taken off. */
function unpadded({ k, ch, terms }: GuardedParties, message: Uint8Array, inference: number): Uint8Array[] {
  let from = 0
  return setsOf(terms).map((set) => {
    const { opened, rows } = signSizes(set)
    const [count, own] = [places(set), message.slice(from, (from += opened + rows))]
    const packed = upload(k.memory, own)
    const e = k.memory.allocZero(groupsOf(count) * 32)
    unpackOpened(k, packed.part(0, opened), count, set.chain.bits, e)
    const pads = ch.take(padsOf(set, { inference }), signSizes(set).tables)
    const read = k.memory.alloc(rowBytes(set.chain.chunks, count))
    readRows(k, set.chain, count, e, pads, read)
    const bytes = read.u8().map((byte, i) => byte ^ own[opened + i])
    for (const region of [packed, e, pads, read]) region.release()
    return bytes
  })
}

/** The client knows m': of every place of the second sets, e'' as if one of the values stood there, seen from its m'. */
function fromMasks({ ch, planned, terms }: GuardedParties, message: Uint8Array, inference: number): Uint8Array {
  const [step] = planned.steps
  const m = outputMask(ch, step, inference)
  const known = m.u32().map((word) => word >>> step.activation!.truncate)
  m.release()
  let from = 0
  const all = setsOf(terms).flatMap((set) => {
    const { opened, rows } = signSizes(set)
    const words = new Uint16Array(message.slice(from, from + opened).buffer)
    from += opened + rows
    return [...words].flatMap((e) => [...known].map((own) => e + own))
  })
  return new Uint8Array(Uint16Array.from(all).buffer)
}

/** The server knows α and β: K_ρ - α·ρ_S + α·β of every value is M_ρ where b is 0. */
function fromFactors(parties: GuardedParties, dealt: Uint8Array, beta: number, inference: number): Uint8Array {
  const { planned, sh, terms } = parties
  const [step] = planned.steps
  if (!isActive(step)) throw new Error('the first step has to be a ReLU')
  const sizes = reluSizes(step, terms.ring, terms)
  const at = step.size * 4 + sizes.tables
  const words = (offset: number) => new Uint32Array(dealt.slice(offset, offset + 4 * step.size).buffer)
  const [rho, keys] = [words(at), words(at + sizes.words)]
  const alpha = sh.take({ purpose: Purpose.replyAlpha, layer: step.index + 1, inference }, step.size * 8)
  const low = alpha.u32().filter((_, i) => i % 2 === 0)
  alpha.release()
  const seen = keys.map((key, v) => key + Math.imul(low[v], ((beta >> v) & 1) - rho[v]))
  return new Uint8Array(seen.buffer)
}

async function tallied({ compiled, input, streams, alter }: Side, side: number, runs: number): Promise<Views> {
  const parties = await GuardedParties.of(compiled, streams)
  const seen = { server: new Tally(), client: new Tally(), accepted: 0 }
  for (let i = 0; i < runs; i++) {
    const inference = 1 + i + side * runs
    let beta: Uint8Array | undefined
    let answers: Uint8Array | undefined
    let dealt: Uint8Array | undefined
    const watcher: Watcher = {
      alter(what, step, payload) {
        // What an honest client reads off, before a test changes it.
        if (what === 'reply') beta = payload.slice(0, 1)
        if (what === 'proof') answers = payload.slice(8)
        alter?.(what, step, payload)
      },
      server(what, step, payload) {
        seen.server.add(payload)
        if (what === 'dealt' && step === 0) dealt = payload
      },
      client(what, _, payload) {
        seen.client.add(payload)
        if (what !== 'signs') return
        for (const rows of unpadded(parties, payload, inference)) seen.client.add(rows)
        seen.client.add(fromMasks(parties, payload, inference))
      },
    }
    if (await parties.run(input, inference, watcher)) seen.accepted++
    seen.client.add(beta!)
    seen.client.add(answers!)
    // Joint with the signs of set 1, place by place: an order that showed would show here.
    seen.client.add(answers!.map((byte) => byte ^ ((beta![0] & 1) * 255)))
    seen.server.add(fromFactors(parties, dealt!, beta![0], inference))
    seen.server.endRun()
    seen.client.endRun()
  }
  return seen
}

describe('no byte of a view depends on the secret', () => {
  let quiet: Views
  let heard: Views
  beforeAll(async () => {
    quiet = await tallied({ compiled: small(1), input: silent }, 0, RUNS)
    heard = await tallied({ compiled: small(1), input: loud }, 1, RUNS)
  })

  it('server: inputs', () => {
    expect([quiet.accepted, heard.accepted]).toEqual([RUNS, RUNS])
    expect(quiet.server.places).toBe(heard.server.places)
    expect(quiet.server.against(heard.server)).toBeLessThan(1)
  })

  it('client: weights', async () => {
    const other = await tallied({ compiled: small(2), input: loud }, 2, RUNS)
    expect(other.accepted).toBe(RUNS)
    expect(other.client.against(heard.client)).toBeLessThan(1)
  })

  it('client: whether it deviates; the output is all it loses', async () => {
    const alter: Watcher['alter'] = (what, step, payload) => {
      if (what === 'delta' && step === 0) payload[3] ^= 0x80
      if (what === 'input') payload[1] ^= 0x55
    }
    const deviating = await tallied({ compiled: small(1), input: loud, alter }, 3, RUNS)
    expect(deviating.accepted).toBeLessThan(RUNS / 16)
    expect(deviating.client.against(heard.client)).toBeLessThan(1)
  })
})

describe('broken variants are told apart', () => {
  const broken: [string, 'server' | 'client', GuardedStreams][] = [
    ["a'' reused", 'client', { sh: reusing(Purpose.signMask) }],
    ['tags reused', 'server', { ch: reusing(Purpose.replyTag) }],
    ['the input under one mask', 'server', { ch: reusing(Purpose.inputWindow) }],
  ]
  it.each(broken)('%s: by the %s', async (_, party, streams) => {
    const runs = RUNS / 2
    const side = (input: Int32Array, secret: number): Side => ({ compiled: small(secret), input, streams })
    const one = await tallied(side(silent, 1), 0, runs)
    const other = await tallied(side(loud, party === 'client' ? 2 : 1), 1, runs)
    expect(one[party].against(other[party])).toBeGreaterThan(1)
  })
})
