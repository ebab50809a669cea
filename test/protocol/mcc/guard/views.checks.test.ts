// Views of what is checked with, at real widths, byte by byte: the server's of t (μ) and of the second sets' tables (their
// pads), each put together with all else it knows, do not depend on the input; the client's of rows of both sets (their keys)
// and the helper's of λ' (z) not on the weights, although it knows γ and F. Streams are seeded, so a result is the same every
// time.
import { describe, expect, it } from 'vitest'
import { loadKernels, type Region, upload } from '../../../../src/kernels/instance.js'
import { type Chain, groupsOf, readRows, rowBytes } from '../../../../src/kernels/mcc.js'
import type { Compiled } from '../../../../src/plan/compile/compile.js'
import { guardOf } from '../../../../src/plan/guard.js'
import type { MccPlan } from '../../../../src/plan/plan.js'
import { padsOf as padsOfStep } from '../../../../src/protocol/mcc/comparison.js'
import { padsOf, places, type SignSet, signSizes } from '../../../../src/protocol/mcc/guard/signs.js'
import { guardSizes, guardTerms, setsOf } from '../../../../src/protocol/mcc/guard/terms.js'
import { sendTransposes } from '../../../../src/protocol/mcc/guard/transposes.js'
import { flagsOf, maskOf } from '../../../../src/protocol/mcc/guard/upload.js'
import { reluSizes } from '../../../../src/protocol/mcc/relu.js'
import { chainOf, type MccSteps } from '../../../../src/protocol/mcc/step.js'
import { isActive, layOut } from '../../../../src/protocol/step.js'
import { fillModelMask, filterSlots } from '../../../../src/protocol/weights.js'
import { Purpose, type Streams } from '../../../../src/random/streams.js'
import { borrowing, honest, type MakeStreams, oneForTwo, reusing, without } from '../../../fixtures/faulty-streams.js'
import { Tally } from '../transcripts.js'
import { loud, network, silent } from '../wide-views.js'
import { GuardedParties } from './guarded-run.js'

const RUNS = 2 ** 10
const CHUNKS = [4, 3, 4, 5]

/** One ReLU over four elements, cut as the second sets are; two sets of one trap each. */
function small(secret: number): Compiled<MccPlan> {
  const activation = { truncate: 10, bits: 16, lo: 0, chunks: CHUNKS, relu: { kind: 'relu' } } as const
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
  const guard = { ...guardOf(plan, 8), signs: { sets: 2, traps: 1, bits: 16, chunks: CHUNKS } }
  return { plan: { ...plan, guard }, model }
}

/** Second sets are padded as the first comparisons of the step are. */
const padsOfTheStep = borrowing(Purpose.signPad, Purpose.tablePad)

const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.slice().buffer)
const bytesOf = (each: ArrayLike<number>): Uint8Array => new Uint8Array(Uint32Array.from(each).buffer)
const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ b[i])

/** What the server can read of one inference and of all before it. */
interface Known {
  readonly inference: number
  readonly tensors: Uint32Array[]
  /** By step; the last is what was dealt behind the steps. */
  readonly dealt: Uint8Array[]
  readonly tags: Uint8Array
  /** e of the step's comparisons, e'' of every set's places. */
  readonly opened: Uint32Array
  readonly places: Uint32Array[]
}

const DISTANCES = [1, 3, 7, 12]

/** The entries at e and beside it: masks of a whole stage fall out of what they differ in. */
function entries(k: GuardedParties['k'], chain: Chain, tables: Uint8Array, e: Uint32Array): Uint8Array[] {
  const group = groupsOf(e.length) * 8
  const held = upload(k.memory, tables)
  const read = (by: number) => {
    const at = k.memory.allocZero(group * 4)
    e.forEach((word, i) => {
      at.u32()[i] = (word + by) & (2 ** chain.bits - 1)
    })
    const rows = k.memory.alloc(rowBytes(chain.chunks, e.length))
    readRows(k, chain, e.length, at, held, rows)
    const bytes = rows.u8().slice()
    for (const region of [at, rows]) region.release()
    return bytes
  }
  const all = [0, ...DISTANCES].map(read)
  held.release()
  return all
}

const beside = ([own, ...others]: Uint8Array[]): Uint8Array[] => others.map((each) => xor(each, own))

/** ⟨z, x⟩ + μ of every subset: the server knows z, t and x̂ = x - r. */
function fromTags({ terms }: GuardedParties, { tags, tensors }: Known, model: Streams): Uint8Array {
  return bytesOf(
    words(tags).map((tag, vector) =>
      tensors.reduce((sum, tensor, index) => {
        const z = maskOf(model, index, vector, tensor.length)
        const product = z.u32().reduce((all, word, i) => (all + Math.imul(word, tensor[i])) | 0, 0)
        z.release()
        return (sum + product) | 0
      }, tag),
    ),
  ).slice(0, 4 * terms.vectors)
}

/** The tables of the second sets, and of the step's own comparisons, at and beside what was opened. */
function fromTables({ k, planned, terms }: GuardedParties, { dealt, opened, places }: Known): Uint8Array[] {
  const [step] = planned.steps
  if (!isActive(step)) throw new Error('the first step has to be a ReLU')
  const sets = setsOf(terms)
  const first = dealt[0].subarray(step.size * 4, step.size * 4 + reluSizes(step, terms.ring, terms).tables)
  let at = guardSizes(terms).inputKeys
  const tablesOf = (set: SignSet) => dealt[planned.steps.length].subarray(at, (at += signSizes(set).tables))
  const own = entries(k, sets[0].chain, first, opened)
  return sets.flatMap((set, i) => {
    const tables = tablesOf(set)
    const crossed = entries(k, set.chain, tables, opened).map((each, j) => xor(each, own[j]))
    return [...beside(entries(k, set.chain, tables, places[i])), ...crossed, ...beside(crossed)]
  })
}

interface Side {
  readonly input: Int32Array
  readonly ch?: MakeStreams
}

/** What the server makes of many inferences: of t, and of tables. */
async function serverViews({ input, ch }: Side, side: number, runs: number): Promise<{ tags: Tally; tables: Tally }> {
  const parties = await GuardedParties.of(small(1), { ch })
  const { k, planned, terms } = parties
  const model = honest(k, new Uint8Array(32).fill(4))
  const views = { tags: new Tally(), tables: new Tally() }
  for (let i = 0; i < runs; i++) {
    const known = {
      ...{ inference: 1 + i + side * runs, tensors: [] as Uint32Array[], dealt: [] as Uint8Array[] },
      ...{ tags: new Uint8Array() as Uint8Array, opened: new Uint32Array(), places: [] as Uint32Array[] },
    }
    const halves = (bytes: Uint8Array) => Uint32Array.from(new Uint16Array(bytes.slice().buffer))
    const output = await parties.run(input, known.inference, {
      server(what, step, payload) {
        if (what === 'dealt') known.dealt[step] = payload
        if (what === 'delta' && step === planned.steps.length) known.tags = payload
      },
      tensor: (index, held) => void (known.tensors[index] = held),
      client(what, _, payload) {
        if (what === 'opening') known.opened = halves(payload.subarray(0, 8))
        if (what !== 'signs') return
        let at = 0
        known.places = setsOf(terms).map((set) => {
          const { opened, rows } = signSizes(set)
          const e = halves(payload.subarray(at, at + opened))
          at += opened + rows
          return e
        })
      },
    })
    expect(output).not.toBeNull()
    views.tags.add(fromTags(parties, known, model))
    for (const bytes of fromTables(parties, known)) views.tables.add(bytes)
    views.tags.endRun()
    views.tables.endRun()
  }
  return views
}

/** What the helper makes of λ' of the first tensor over many registrations: it knows γ and F, and takes Fᵀγ off. */
async function helperView(secret: number, side: number, runs: number, make: MakeStreams): Promise<Tally> {
  const { plan, model: weights } = small(secret)
  const k = loadKernels()
  const planned = layOut(k, plan) as MccSteps
  const terms = guardTerms(planned)!
  const [slot] = filterSlots(plan)
  const [step] = planned.steps
  const w = weights.weights.get('0.1')!
  const inputs = w.length / step.size
  const tally = new Tally()
  for (let i = 0; i < runs; i++) {
    const seed = (byte: number) => {
      const bytes = new Uint8Array(32).fill(byte)
      new DataView(bytes.buffer).setUint32(0, i + side * runs)
      return bytes
    }
    const [registration, model] = [honest(k, seed(1)), make(k, seed(2))]
    let packed: Uint8Array = new Uint8Array()
    await sendTransposes(k, planned, terms, { registration, model }, (tensor, message) => {
      if (tensor === 0) packed = message.u8().slice()
    })
    const b = k.memory.alloc(slot.words * 4)
    fillModelMask(model, slot, b)
    const f = w.map((weight, at) => weight - b.i32()[at])
    const flags = flagsOf(registration, step)
    const seen = Uint32Array.from(words(packed), (word, at) => {
      const [vector, input] = [Math.floor(at / inputs), at % inputs]
      let sum = word
      for (let o = 0; o < step.size; o++) sum += ((flags.u32()[o] >>> vector) & 1) * f[o * inputs + input]
      return sum
    })
    tally.add(packed)
    tally.add(bytesOf(seen))
    tally.add(bytesOf(seen.subarray(inputs).map((word, at) => word - seen[at])))
    tally.endRun()
    for (const region of [b, flags]) region.release()
    for (const streams of [registration, model]) streams.release()
  }
  return tally
}

/** Carry masks and keys of the second sets are those of the step, comparison by comparison. */
const keysOfTheStep = borrowing(Purpose.signBits, Purpose.dealerBits)

/** What rows of both sets have in common, place by place, once the client has taken its pads off. */
async function clientView(secret: number, side: number, runs: number, own: MakeStreams): Promise<Tally> {
  const parties = await GuardedParties.of(small(secret), { own })
  const { k, ch, planned, terms } = parties
  const [step] = planned.steps
  if (!isActive(step)) throw new Error('the first step has to be a ReLU')
  const tally = new Tally()
  /** @param message e in 16 bits, then rows */
  const bare = (chain: Chain, count: number, message: Uint8Array, pads: Region) => {
    const e = k.memory.allocZero(groupsOf(count) * 32)
    for (let i = 0; i < count; i++) e.u32()[i] = message[2 * i] | (message[2 * i + 1] << 8)
    const read = k.memory.alloc(rowBytes(chain.chunks, count))
    readRows(k, chain, count, e, pads, read)
    const rows = xor(read.u8().slice(), message.subarray(2 * count))
    for (const region of [e, read, pads]) region.release()
    return rows
  }
  for (let i = 0; i < runs; i++) {
    const inference = 1 + i + side * runs
    let first: Uint8Array = new Uint8Array()
    await parties.run(loud, inference, {
      client(what, _, payload) {
        if (what === 'opening') {
          const chain = chainOf(step.activation)
          first = bare(chain, step.size, payload, padsOfStep(chain, step.size, ch, { layer: step.index, inference }))
          return
        }
        let at = 0
        for (const set of setsOf(terms)) {
          const { opened, rows, tables } = signSizes(set)
          const message = payload.subarray(at, (at += opened + rows))
          tally.add(xor(bare(set.chain, places(set), message, ch.take(padsOf(set, { inference }), tables)), first))
        }
      },
    })
    tally.endRun()
  }
  return tally
}

describe('honest streams', () => {
  it('the server sees nothing of the input in t, z and x̂, nor in tables at and beside what is opened', async () => {
    const one = await serverViews({ input: silent }, 0, RUNS)
    const other = await serverViews({ input: loud }, 1, RUNS)
    expect(one.tags.against(other.tags)).toBeLessThan(1)
    expect(one.tables.against(other.tables)).toBeLessThan(1)
  })

  it('the client sees nothing of the weights in what rows of both sets have in common', async () => {
    const [one, other] = [await clientView(1, 0, RUNS, honest), await clientView(2, 1, RUNS, honest)]
    expect(one.against(other)).toBeLessThan(1)
  })

  it("the helper sees nothing of the weights in λ', γ and F", async () => {
    const [one, other] = [await helperView(1, 0, RUNS, honest), await helperView(2, 1, RUNS, honest)]
    expect(one.against(other)).toBeLessThan(1)
  })
})

describe('broken variants are told apart', () => {
  it.each<[string, 'tags' | 'tables', MakeStreams]>([
    ['no μ', 'tags', without(Purpose.uploadPad)],
    ['one μ for all inferences', 'tags', reusing(Purpose.uploadPad)],
    ['second sets without pads', 'tables', without(Purpose.signPad)],
    ["set 1's pads in set 2", 'tables', padsOfTheStep],
  ])('%s: by the server', async (_, view, ch) => {
    const one = await serverViews({ input: silent, ch }, 0, RUNS / 2)
    const other = await serverViews({ input: loud, ch }, 1, RUNS / 2)
    expect(one[view].against(other[view])).toBeGreaterThan(1)
  })

  it("set 1's keys in set 2: by the client", async () => {
    const make = keysOfTheStep
    const [one, other] = [await clientView(1, 0, RUNS / 2, make), await clientView(2, 1, RUNS / 2, make)]
    expect(one.against(other)).toBeGreaterThan(1)
  })

  it.each<[string, MakeStreams]>([
    ['no z', without(Purpose.uploadMask)],
    ['one z for two γ', oneForTwo(Purpose.uploadMask)],
  ])('%s: by the helper', async (_, make) => {
    const [one, other] = [await helperView(1, 0, RUNS / 2, make), await helperView(2, 1, RUNS / 2, make)]
    expect(one.against(other)).toBeGreaterThan(1)
  })
})
