// What a client that changes δ or a reply has to guess, at real widths: it passes exactly where the coins of server and
// helper say so, and both sides are shown, for the coins are at hand here.
import { beforeAll, describe, expect, it } from 'vitest'
import { groupsOf } from '../../../../src/kernels/mcc.js'
import { guardOf } from '../../../../src/plan/guard.js'
import { isActive } from '../../../../src/protocol/step.js'
import { Purpose } from '../../../../src/random/streams.js'
import { drawFrom, reluPlan, whole } from '../gadget-plan.js'
import { GuardedParties } from './guarded-run.js'

const SIGMA = 8
const WORD = 32 + SIGMA
const shape = [2, 2, 3] as const
const SIZE = 12
const low = (x: bigint, bits = WORD) => BigInt.asUintN(bits, x)

let parties: GuardedParties
const draw = drawFrom(5)
const x = Int32Array.from({ length: SIZE }, () => whole(draw, -1000, 1000))
beforeAll(async () => {
  const gadget = { ring: 32, bits: 16, lo: 0, chunks: 4, truncate: 8, shape, relu: { kind: 'relu' } } as const
  const bias = Int32Array.from(x, (value) => whole(draw, -(2 ** 20), 2 ** 20) - value)
  const { plan, model } = reluPlan(gadget, bias)
  parties = await GuardedParties.of({ plan: { ...plan, guard: guardOf(plan, SIGMA) }, model })
})

/** Adds to a word of u32. */
function add32(payload: Uint8Array, word: number, value: number): void {
  const view = new DataView(payload.buffer, payload.byteOffset)
  view.setUint32(4 * word, view.getUint32(4 * word, true) + value, true)
}

describe('a changed reply passes exactly where Σ α·η = τ mod 2^N', () => {
  const BETA = groupsOf(SIZE)

  const alphas = (inference: number): bigint[] => {
    const [step] = parties.planned.steps
    if (!isActive(step) || step.relu.results !== SIZE) throw new Error('one reply per element is due')
    const address = { purpose: Purpose.replyAlpha, layer: step.index + 1, inference }
    const region = parties.sh.take(address, SIZE * 8)
    const words = new BigUint64Array(region.u8().slice().buffer)
    region.release()
    return [...words].map((word) => low(word))
  }

  /** Adds to R of one element: low halves, then the σ bits above, one byte each. */
  function addToReply(payload: Uint8Array, element: number, eta: bigint): void {
    const view = new DataView(payload.buffer, payload.byteOffset + BETA)
    const high = 4 * SIZE + element
    const word = BigInt(view.getUint32(4 * element, true)) | (BigInt(view.getUint8(high)) << 32n)
    const changed = low(word + eta)
    view.setUint32(4 * element, Number(changed & 0xffffffffn), true)
    view.setUint8(high, Number(changed >> 32n))
  }

  const deviate = (inference: number, etas: readonly (readonly [number, bigint])[], tau: bigint) =>
    parties.run(x, inference, {
      alter(what, _, payload) {
        if (what === 'reply') for (const [element, eta] of etas) addToReply(payload, element, eta)
        if (what !== 'proof') return
        const view = new DataView(payload.buffer, payload.byteOffset)
        view.setBigUint64(0, low(view.getBigUint64(0, true) + tau), true)
      },
    })

  it('random errors, with τ as it has to be and beside it', async () => {
    for (let inference = 1; inference <= 12; inference++) {
      const alpha = alphas(inference)
      const etas = [0, 3, 11].map((element) => [element, low(BigInt(whole(draw, 1, 2 ** 40)) - 1n)] as const)
      const due = low(etas.reduce((sum, [element, eta]) => sum + alpha[element] * eta, 0n))
      const off = inference % 3 === 0 ? 0n : inference % 3 === 1 ? 1n : 1n << BigInt(WORD - 1)
      const passed = (await deviate(inference, etas, due + off)) !== null
      expect(passed).toBe(off === 0n)
    }
  })

  it('the best error there is, 2^31 with no τ: one α in 2^(σ+1) lets it through, and it changes what it aims at', async () => {
    const passes = (inference: number) => alphas(inference)[4] % 2n ** BigInt(SIGMA + 1) === 0n
    const numbers = Array.from({ length: 4096 }, (_, i) => 100 + i)
    const lucky = numbers.filter(passes)
    expect(lucky.length).toBeGreaterThan(0)
    expect(lucky.length).toBeLessThan(32) // eight are expected
    for (const inference of [...lucky.slice(0, 2), ...numbers.slice(0, 12)]) {
      const bytes = await deviate(inference, [[4, 2n ** 31n]], 0n)
      expect(bytes !== null).toBe(passes(inference))
      if (bytes === null) continue
      const straight = (await parties.run(x, inference))!
      const moved = straight.slice()
      add32(moved, 4, 2 ** 31)
      expect(bytes).toEqual(moved)
    }
  })

  it('errors in the σ bits alone change nothing that is computed with, wherever they pass', async () => {
    const numbers = Array.from({ length: 64 }, (_, i) => 5000 + i)
    const even = numbers.filter((inference) => alphas(inference)[2] % 2n === 0n).slice(0, 2)
    const odd = numbers.filter((inference) => alphas(inference)[2] % 2n === 1n).slice(0, 2)
    for (const inference of even) {
      expect(await deviate(inference, [[2, 2n ** 39n]], 0n)).toEqual(await parties.run(x, inference))
    }
    for (const inference of odd) expect(await deviate(inference, [[2, 2n ** 39n]], 0n)).toBeNull()
  })
})

describe('a changed δ passes exactly where its subset sums say so', () => {
  const VECTORS = SIGMA + 1

  /** γ of a step's words, one bit per subset. */
  const flags = (layer: number): number[] => {
    const region = parties.registration.take({ purpose: Purpose.uploadFlag, layer, inference: 0 }, SIZE * 4)
    const words = [...region.u32()].map((word) => word & (2 ** VECTORS - 1))
    region.release()
    return words
  }

  /** ⟨γ_k, E⟩ for all k; `errors` by step and word. */
  const sums = (errors: readonly (readonly [number, number, number])[]): number[] =>
    Array.from({ length: VECTORS }, (_, k) =>
      errors.reduce((sum, [step, word, value]) => (sum + ((flags(step)[word] >> k) & 1) * value) >>> 0, 0),
    )

  const deviate = (
    inference: number,
    errors: readonly (readonly [number, number, number])[],
    // t is taken off, so that what the client adds to it stands for the sums.
    tau: readonly number[] = [],
  ) =>
    parties.run(x, inference, {
      alter(what, step, payload) {
        if (what !== 'delta') return
        if (step === 2) tau.forEach((value, k) => void add32(payload, k, -value))
        for (const [at, word, value] of errors) if (at === step) add32(payload, word, value)
      },
    })

  it('random errors, with t as it has to be, beside it, and as it was', async () => {
    for (let i = 0; i < 12; i++) {
      const errors = [0, 1].map((step) => [step, whole(draw, 0, SIZE - 1), whole(draw, 1, 2 ** 32 - 1)] as const)
      const due = sums(errors)
      const told = i % 3 === 0 ? due : i % 3 === 1 ? due.map((sum, k) => (k === i % VECTORS ? sum ^ 1 : sum)) : []
      const passes = due.every((sum, k) => sum === (told[k] ?? 0) >>> 0)
      expect((await deviate(200 + i, errors, told)) !== null).toBe(passes)
      if (i % 3 === 0) expect(passes).toBe(true)
    }
  })

  it('2^31 on words that every subset holds an even number of passes with t as it was; on all but one of them it does not', async () => {
    const rows = flags(1)
    const folded = (set: number) => rows.reduce((all, row, i) => ((set >> i) & 1 ? all ^ row : all), 0)
    // Ten words of nine bits are dependent.
    const set = Array.from({ length: 2 ** (VECTORS + 1) - 1 }, (_, i) => i + 1).find((words) => folded(words) === 0)!
    const errors = rows.flatMap((_, i) => ((set >> i) & 1 ? [[1, i, 2 ** 31] as const] : []))
    const bytes = await deviate(300, errors)
    const moved = (await parties.run(x, 300))!.slice()
    for (const [, word, value] of errors) add32(moved, word, value)
    expect(bytes).toEqual(moved)
    const fewer = errors.slice(1)
    const passes = sums(fewer).every((sum) => sum === 0)
    expect((await deviate(301, fewer)) !== null).toBe(passes)
    expect(passes).toBe(rows[errors[0][1]] === 0)
  })
})
