// What each party sees of whole inferences of a small network, and what it can work out from that by adding up what it
// has: openings of both sides, a masked tensor under its own share, u with F's part taken off.

import { loadKernels } from '../../../src/kernels/instance.js'
import { Meter } from '../../../src/net/index.js'
import { checkPlan } from '../../../src/plan/check.js'
import type { SecurennPlan } from '../../../src/plan/plan.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { runClient, runHelper, runServer } from '../../../src/protocol/securenn/inference.js'
import { layOut } from '../../../src/protocol/step.js'
import { fillModelMask, type ModelShare, packShare } from '../../../src/protocol/weights.js'
import { Streams } from '../../../src/random/streams.js'
import { lacking, type Which } from '../../fixtures/faulty-streams.js'
import { drawFrom, perChannel, whole } from '../mcc/gadget-plan.js'
import { Tally } from '../mcc/transcripts.js'
import { type Traffic, three } from './three.js'

const SIDE = 16
/** Values of a map: one block of digits. All are alike, so that each is a sample. */
export const COUNT = SIDE * SIDE
const P = 67
const PARTIES = ['client', 'server', 'helper'] as const
export type Party = (typeof PARTIES)[number]

export interface Secret {
  readonly input: number
  readonly weight: number
  readonly bias: number
}

/** z = ReLU(w·x + b) of every value, with `bits` compared bits; the second step only hands it on. */
function network(bits: number): SecurennPlan {
  const shape = [1, SIDE, SIDE] as const
  const window = { ignoredMsb: 64 - bits, ignoredLsb: 0 }
  const first = { id: 'y', out: shape, scale: 0, activation: { truncate: 4, ...window, relu: { kind: 'relu' } } }
  return checkPlan({
    format: 'plan/1',
    backend: 'securenn',
    network: 'views',
    ring: 64,
    rounds: 12,
    input: { shape, scale: 0, bits: 32, preprocess: { scale: 1, mean: [0], std: [1] } },
    labels: [],
    steps: [
      {
        ...first,
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'w', geometry: perChannel(shape), scale: 0, out: shape },
        ],
      },
      {
        id: 'z',
        linear: [
          { op: 'tensor', tensor: 1, out: shape },
          { op: 'lift', of: 0, factor: 1, out: shape },
        ],
        out: shape,
        scale: 0,
        activation: null,
      },
    ],
  }) as SecurennPlan
}

export interface Sitting {
  readonly secret: Secret
  readonly bits: number
  readonly runs: number
  /** First inference number; the numbers of two sittings do not overlap. */
  readonly from: number
  /** Which draws are missing: zeros take their place. */
  readonly missing?: Which
  /** One number for all inferences. */
  readonly repeated?: boolean
}

/** Runs inferences; every view goes into a tally of its own, beside its change from one inference to the next. */
export async function sitting({ secret, bits, runs, from, missing, repeated }: Sitting): Promise<Views> {
  const seed = (i: number) => new Uint8Array(32).fill(i)
  const seeds = { common: seed(1), ch: seed(2), sh: seed(3), own: seed(4) }
  const parties = three(seeds, lacking(missing ?? (() => false)))
  const { client, server, helper, traffic } = parties
  const plan = network(bits)
  const steps = [client, server, helper].map(({ k }) => layOut(k, plan))
  const b = maskWord(plan)
  const weight = BigInt(secret.weight)
  const share = (k: typeof client.k, word: bigint): Promise<ModelShare> =>
    packShare(k, plan, (_, words) => {
      words.u64().fill(BigInt.asUintN(64, word))
    })
  const shares = [await share(client.k, b), await share(server.k, weight), await share(helper.k, weight - b)]
  const bias = [new BigInt64Array(COUNT).fill(BigInt(secret.bias)), new BigInt64Array(COUNT)]
  const input = new Int32Array(COUNT).fill(secret.input)
  const views = new Views()
  for (let i = 0; i < runs; i++) {
    const inference = repeated ? from : from + i
    traffic.messages.length = 0
    const walk = { meter: new Meter(), inference }
    const [output] = await Promise.all([
      runClient({ ...walk, side: client, planned: steps[0], share: shares[0], ch: client.dealt }, input),
      runServer({ ...walk, side: server, planned: steps[1], share: shares[1] }, bias),
      runHelper(helper, steps[2], shares[2], inference, async () => undefined),
    ])
    checkOutput(output, secret)
    see(traffic, bits, BigInt.asUintN(64, weight - b), views)
    views.endRun()
  }
  return views
}

/** Also a broken variant computes the right thing. */
function checkOutput(output: Int32Array, { input, weight, bias }: Secret): void {
  const y = Math.max(0, Math.floor((weight * input + bias) / 16))
  const wrong = output.find((z) => z !== y && z !== (y > 0 ? y + 1 : 0))
  if (wrong !== undefined) throw new Error(`an output of ${wrong} in place of ${y}`)
}

function maskWord(plan: SecurennPlan): bigint {
  const k = loadKernels()
  const word = k.memory.alloc(8)
  const slot = { place: 0, step: 0, operation: 1, geometry: perChannel([1, SIDE, SIDE]), words: 1 }
  fillModelMask(new Streams(k, new Uint8Array(32).fill(5), plan.rounds), slot, word)
  return word.u64()[0]
}

type DrawnAs = 'words' | 'digits' | 'flags'

/** By name: how often each byte value stands at each place of a word, a digit plane or a flag. */
export class Views {
  readonly tallies = new Map<string, { party: Party; kind: DrawnAs; width: number; tally: Tally }>()
  readonly #last = new Map<string, Uint8Array>()
  #fresh = new Map<string, Uint8Array>()

  /** `width` bytes per sample. */
  add(party: Party, what: string, kind: DrawnAs, width: number, samples: Uint8Array): void {
    const name = `${party}: ${what}`
    this.#put(party, name, kind, width, samples)
    const before = this.#last.get(name)
    if (before) this.#put(party, `${name}, change`, kind, width, difference(kind, samples, before))
    this.#fresh.set(name, samples)
  }

  endRun(): void {
    for (const [name, samples] of this.#fresh) this.#last.set(name, samples)
    this.#fresh = new Map()
  }

  #put(party: Party, name: string, kind: DrawnAs, width: number, samples: Uint8Array): void {
    let entry = this.tallies.get(name)
    if (!entry) {
      entry = { party, kind, width, tally: new Tally() }
      this.tallies.set(name, entry)
    }
    for (let at = 0; at < samples.length; at += width) {
      entry.tally.add(samples.subarray(at, at + width))
      entry.tally.endRun()
    }
  }

  /** By view: how far it is from uniform and from the other sitting's; beyond 1 it is told apart. */
  distances(other: Views): { party: Party; name: string; distance: number }[] {
    return [...this.tallies].map(([name, { party, kind, width, tally }]) => {
      const even = uniform(kind, width, tally.runs)
      const distance = Math.max(tally.against(other.tallies.get(name)!.tally), tally.against(even))
      return { party, name, distance }
    })
  }
}

const difference = (kind: DrawnAs, a: Uint8Array, b: Uint8Array): Uint8Array =>
  a.map((byte, i) => (kind === 'digits' ? (byte - b[i] + P) % P : byte ^ b[i]))

const uniforms = new Map<string, Tally>()

function uniform(kind: DrawnAs, width: number, runs: number): Tally {
  const name = `${kind} ${width} ${runs}`
  const known = uniforms.get(name)
  if (known) return known
  const draw = drawFrom(width + runs)
  const tally = new Tally()
  const most = { words: 255, digits: P - 1, flags: 1 }[kind]
  for (let i = 0; i < runs; i++) {
    tally.add(Uint8Array.from({ length: width }, () => whole(draw, 0, most)))
    tally.endRun()
  }
  uniforms.set(name, tally)
  return tally
}

/** Everything the three parties received, and what follows from it. */
function see({ messages }: Traffic, bits: number, f: bigint, views: Views): void {
  const sent = (from: Party, to: Party, kind: number, step = 0) =>
    messages.find((m) => m.from === from && m.to === to && m.kind === kind && m.step === step)!.payload
  const even = 2n ** BigInt(bits)
  const word = (party: Party, what: string, words: BigUint64Array, width = 8) =>
    views.add(party, what, 'words', width, lowBytes(words, width))
  const ring = bits / 8

  const input = u64(sent('client', 'server', Kind.tensor))
  const u = u64(sent('helper', 'server', Kind.linear))
  word('server', 'x - r', input)
  word('server', 'u', u)
  word(
    'server',
    'u + F∗(x - r)',
    combine(u, input, (a, x) => a + f * x),
  )
  const converted = sent('helper', 'server', Kind.converted)
  const parts = u64(converted.slice(0, 24 * COUNT))
  word('server', 'δ', parts.subarray(0, COUNT), ring)
  word('server', 'x', parts.subarray(COUNT, 2 * COUNT), ring)
  word('server', 'low bit of x', parts.subarray(2 * COUNT))
  const digits = converted.subarray(24 * COUNT)
  planes('server', 'bits of a + r', digits.subarray(0, bits * COUNT))
  planes('server', 'bits of x', digits.subarray(bits * COUNT))
  word('server', 'η', u64(sent('helper', 'server', Kind.wrap)), ring)
  word('server', 'β and C', u64(sent('helper', 'server', Kind.answer)))
  word('server', 'C of the products', u64(sent('helper', 'server', Kind.productC)))

  // Openings: what the other sends, and both together.
  const openings = [
    ['2y + x', Kind.opened, ring, even - 1n],
    ['openings of γ·δ', Kind.xor, 8, 2n ** 64n],
    ['openings of z', Kind.product, 8, 2n ** 64n],
  ] as const
  for (const [what, kind, width, modulus] of openings) {
    const [mine, theirs] = [u64(sent('client', 'server', kind)), u64(sent('server', 'client', kind))]
    word('server', `${what}, the client’s part`, mine, width)
    word('client', `${what}, the server’s part`, theirs, width)
    const sum = combine(mine, theirs, (a, b) => (a + b) % modulus)
    // Two kinds of openings in one message: each is looked at for itself.
    for (let at = 0; at < sum.length; at += COUNT) {
      for (const party of ['client', 'server'] as const)
        word(party, `${what} ${at / COUNT}`, sum.subarray(at, at + COUNT), width)
    }
  }
  const output = u64(sent('server', 'client', Kind.output, 1))
  const last = u64(sent('helper', 'server', Kind.linear, 1))
  word('server', 'tensor share - r', u64(sent('client', 'server', Kind.tensor, 1)))
  word('server', 'its u of the last step', last)
  word(
    'server',
    'z - r',
    combine(output, last, (y, blind) => y - blind),
  )
  word('client', 'output share', output)

  const masked = PARTIES.slice(0, 2).map((from) => u64(sent(from, 'helper', Kind.masked)))
  word(
    'helper',
    'a + r',
    combine(masked[0], masked[1], (a, b) => (a + b) % even),
    ring,
  )
  for (const [round, kind] of [
    ['first', Kind.digits1],
    ['second', Kind.digits2],
  ] as const) {
    const [mine, theirs] = [sent('client', 'helper', kind), sent('server', 'helper', kind)]
    planes('helper', `${round} digits of the client`, mine)
    planes('helper', `${round} digits of the server`, theirs)
    const zeros = new Uint8Array(COUNT)
    mine.forEach((digit, at) => {
      if ((digit + theirs[at]) % P === 0) zeros[at % COUNT] = 1
    })
    views.add('helper', `${round} answer`, 'flags', 1, zeros)
  }

  /** A digit of every value per place. */
  function planes(party: Party, what: string, all: Uint8Array): void {
    const samples = new Uint8Array(all.length)
    all.forEach((digit, at) => {
      samples[(at % COUNT) * bits + Math.floor(at / COUNT)] = digit
    })
    views.add(party, what, 'digits', bits, samples)
  }
}

const u64 = (payload: Uint8Array): BigUint64Array => new BigUint64Array(payload.slice().buffer)

function combine(a: BigUint64Array, b: BigUint64Array, by: (a: bigint, b: bigint) => bigint): BigUint64Array {
  return a.map((word, i) => BigInt.asUintN(64, by(word, b[i])))
}

/** The low bytes of every word; what lies above must be zero. */
function lowBytes(words: BigUint64Array, width: number): Uint8Array {
  const bytes = new Uint8Array(words.slice().buffer)
  if (width === 8) return bytes
  const out = new Uint8Array(words.length * width)
  bytes.forEach((byte, at) => {
    if (at % 8 < width) out[Math.floor(at / 8) * width + (at % 8)] = byte
    else if (byte !== 0) throw new Error('a word outside its ring')
  })
  return out
}
