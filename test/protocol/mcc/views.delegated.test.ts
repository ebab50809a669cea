// What server, delegate and owner see of a delegated inference: over rings of two or three bits for every outcome of all coins
// they do not know, and at real widths by chi-square. Every shortcut that would be a leak is told apart.
import { describe, expect, it } from 'vitest'
import { packedBytes } from '../../../src/kernels/bits.js'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { tensorMask } from '../../../src/protocol/linear.js'
import {
  blindOutput,
  delegatedSizes,
  joinInput,
  readDelegateHalf,
  writeDelegateHalf,
} from '../../../src/protocol/mcc/delegated.js'
import { outputMask } from '../../../src/protocol/mcc/linear.js'
import { layOut } from '../../../src/protocol/step.js'
import { Purpose, Streams } from '../../../src/random/streams.js'
import { packWords, unpackWords } from '../../../src/ring/bit-stream.js'
import { ownerWords } from '../../../src/thin/masks.js'
import { tinyNetwork } from '../../party/fixture.js'
import { all, expectBlind, expectTold, low, type See, tells } from './blind.js'
import { Tally } from './transcripts.js'

const plan = tinyNetwork(1, 2, { delegated: true }).plan as MccPlan
const sizes = delegatedSizes(plan)!

/** A seed for each run, the same every time. */
const seedOf = (run: number, who: number) => {
  const seed = new Uint8Array(32).fill(who)
  new DataView(seed.buffer).setUint32(0, run)
  return seed
}

/** The three messages of one inference from the code that sends them, and r, m as the helper has them. */
function messages(
  k: ReturnType<typeof loadKernels>,
  planned: ReturnType<typeof layOut<MccPlan>>,
  run: number,
  x: Int32Array,
) {
  const seed = seedOf(run, 1)
  const [owner, ch] = [new Streams(k, seed, plan.rounds), new Streams(k, seedOf(run, 2), plan.rounds)]
  const frame = new Uint8Array(sizes.joinBytes)
  writeDelegateHalf(k, planned, { ch, owner, inference: run, id: new Uint8Array(16) }, frame)
  const p = ownerWords(seed, Purpose.ownerInput, sizes.inputs, plan.rounds)
  const half = packWords(
    p.map((word, i) => x[i] - word),
    sizes.bits,
  )
  const mask = tensorMask(k, planned, ch, 0, run)
  const out = outputMask(ch, planned.steps[planned.steps.length - 1], run)
  const [r, m] = [mask.u32().slice(), out.u32().slice()]
  for (const region of [mask, out]) region.release()
  for (const streams of [owner, ch]) streams.release()
  return { seed, half, r, m, p, ...readDelegateHalf(frame, sizes) }
}

describe('the code is the formulas', () => {
  it('x̂ = x - r on k bits; what the owner adds p_out to is y - p_out', () => {
    const k = loadKernels()
    const planned = layOut(k, plan)
    const x = Int32Array.from({ length: sizes.inputs }, (_, i) => 997 * i - 9999)
    const sent = messages(k, planned, 7, x)
    expect([sent.half.byteLength, sent.input.byteLength]).toEqual([sizes.inputBytes, packedBytes(sizes.inputs, 16)])
    const masked = joinInput(k, sizes, sent.half, sent.input)
    const same = masked.i32().every((word, i) => ((word - (x[i] - sent.r[i])) & 0xffff) === 0)
    expect(same).toBe(true)
    const y = Int32Array.from({ length: sizes.outputs }, (_, i) => 123_456 * i - 5)
    const share = upload(
      k.memory,
      y.map((word, i) => word - sent.m[i]),
    )
    const answer = blindOutput(k, plan, sizes, share, sent.output)
    const pOut = ownerWords(sent.seed, Purpose.ownerOutput, sizes.outputs, plan.rounds)
    const opened = unpackWords(answer, sizes.outputs, plan.ring).map((word, i) => word + pOut[i])
    expect([...new Int32Array(opened.buffer)]).toEqual([...y])
    for (const region of [masked, share]) region.release()
    planned.release()
    expect(k.memory.inUse).toBe(0)
  })
})

describe('the server', () => {
  const n = 3
  /** x - p, p - r, m - p_out, u, δ of a linear step that is the whole network. */
  const see =
    (w: number, b: number, same = false): See<number> =>
    (x) =>
    (coins, view) => {
      const [p, r, s, m] = [coins.take(n), coins.take(n), coins.take(n), coins.take(n)]
      const out = same ? p : coins.take(n)
      for (const word of [x - p, p - r, m - out, (w - b) * r - s, b * r + s - m]) view.put(word, n)
    }

  it('sees the same for every input, whatever W and B are', () => {
    for (const [w, b] of [
      [0, 0],
      [3, 5],
      [7, 1],
    ])
      expectBlind(all(n), 5 * n, 5 * n, see(w, b))
  })

  it('told apart: one stream for both masks', () => expectTold(all(n), 4 * n, 5 * n, see(3, 5, true)))

  it('told apart: one seed for two inputs, and not for the same one twice', () => {
    const twice: See<readonly [number, number]> =
      ([one, two]) =>
      (coins, view) => {
        const [p, r1, r2] = [coins.take(n), coins.take(n), coins.take(n)]
        for (const word of [one - p, p - r1, two - p, p - r2]) view.put(word, n)
      }
    const pairs = all(n).map((x) => [x, x] as const)
    expectBlind(pairs, 3 * n, 4 * n, twice)
    expectTold(
      [
        [0, 0],
        [0, 1],
      ],
      3 * n,
      4 * n,
      twice,
    )
  })

  it('told apart: two roundings of one answer under one p_out', () => {
    const answers: See<readonly [number, number]> =
      ([one, two]) =>
      (coins, view) => {
        const out = coins.take(n)
        for (const y of [one, two]) view.put(y - out, n)
      }
    expectTold(
      [
        [2, 2],
        [2, 3],
      ],
      n,
      2 * n,
      answers,
    )
  })

  it('told apart: a server that can derive k_i', () => {
    const withMask: See<number> = (x) => (coins, view) => {
      const r = coins.take(n)
      view.put(x - r, n).put(r, n)
    }
    expectTold(all(n), n, 2 * n, withMask)
  })
})

describe('the delegate', () => {
  const n = 2
  const secrets = all(n).flatMap((w) => all(n).flatMap((bias) => all(n).map((x) => ({ w, bias, x }))))
  const hidden = ({ w, bias, x }: (typeof secrets)[number]) => low(w * x + bias, n)

  it('sees uniform openings whose masks it knows in part, for every input and weight', () => {
    for (const m of all(n)) {
      const see: See<(typeof secrets)[number]> = (secret) => (coins, view) => {
        const [a, rho] = [coins.take(n), coins.take(1)]
        const y = hidden(secret)
        view.put(y - m - a, n).put((y < 2 ? 1 : 0) ^ rho, 1)
      }
      expectBlind(secrets, n + 1, n + 1, see)
    }
  })

  it('told apart: a delegate that also has x - p', () => {
    const see: See<number> = (x) => (coins, view) => {
      const p = coins.take(n)
      view.put(p, n).put(x - p, n)
    }
    expectTold(all(n), n, 2 * n, see)
  })

  it('told apart: one inference lent to two owners', () => {
    const see: See<readonly [number, number]> =
      ([one, two]) =>
      (coins, view) => {
        const a = coins.take(n)
        for (const x of [one, two]) view.put(x - a, n)
      }
    expectTold(
      [
        [0, 0],
        [0, 1],
      ],
      n,
      2 * n,
      see,
    )
  })
})

describe('the owner', () => {
  const n = 2
  const pairs = all(n).flatMap((first) => all(n).map((second) => [first, second] as const))
  /** The answer of two steps with a ReLU between, for an input of its choice. */
  const net = ([first, second]: readonly [number, number], bias: number, x: number) => {
    const y = low(first * x + bias, n)
    return { y, answer: low(second * (y < 2 ? y : 0), n) }
  }

  /** Weights that give one answer are one to the owner and whoever runs the helper: F, r, s, m, a', ρ and what it gets. */
  const pooled = (extra?: 'opening' | 'delta') =>
    all(n).every((bias) =>
      all(n).every((x) => {
        const see: See<readonly [number, number]> = (weights) => (coins, view) => {
          const [b1, b2, a] = [coins.take(n), coins.take(n), coins.take(n)]
          const { y, answer } = net(weights, bias, x)
          view
            .put(weights[0] - b1, n)
            .put(weights[1] - b2, n)
            .put(a, n)
            .put(answer, n)
          if (extra === 'opening') view.put(y - 1 - a, n)
          if (extra === 'delta') view.put(2 * b1 + 3, n)
        }
        return all(n).every((answer) => {
          const alike = pairs.filter((weights) => net(weights, bias, x).answer === answer)
          return alike.length < 2 || !tells(alike, 3 * n, (extra ? 5 : 4) * n, see)
        })
      }),
    )

  it('sees a function of its answer alone', () => {
    const see: See<readonly [number, number]> =
      ([w, x]) =>
      (coins, view) => {
        const [m, out] = [coins.take(n), coins.take(n)]
        const share = low(w * x - m, n)
        view.put(out, n).put(share + (m - out), n)
      }
    for (const y of all(n)) {
      const alike = pairs.filter(([w, x]) => low(w * x, n) === y)
      expectBlind(alike, 2 * n, 2 * n, see)
    }
    expectTold(pairs, 2 * n, 2 * n, see) // it does see its answer
  })

  it('has no more with the helper', () => expect(pooled()).toBe(true))
  it('told apart: an owner that gets an opening', () => expect(pooled('opening')).toBe(false))
  it('told apart: an owner or a helper that gets δ', () => expect(pooled('delta')).toBe(false))
})

describe('at real widths', () => {
  const RUNS = 2048
  const quiet = new Int32Array(sizes.inputs)
  const loud = quiet.map((_, i) => (i % 2 ? 32767 : -32767))

  /** What the server has of the ends of an inference, and every sum of it in which two masks could cancel. */
  function tally(x: Int32Array, side: number, pOut?: 'p'): Tally {
    const k = loadKernels()
    const planned = layOut(k, plan)
    const seen = new Tally()
    for (let i = 0; i < RUNS; i++) {
      const { half, input, output, p, m } = messages(k, planned, 1 + i + side * RUNS, x)
      seen.add(half)
      seen.add(input)
      const blinds = unpackWords(output, sizes.outputs, plan.ring)
      if (pOut) for (let j = 0; j < blinds.length; j++) blinds[j] = m[j] - p[j]
      seen.add(packWords(blinds, plan.ring))
      const answer = blinds.map((word, j) => word - m[j]) // (y - m) + (m - p_out), of y = 0
      const words = unpackWords(half, sizes.outputs, sizes.bits)
      seen.add(
        packWords(
          words.map((word, j) => word - answer[j]),
          sizes.bits,
        ),
      )
      seen.endRun()
    }
    planned.release()
    return seen
  }

  it('the server sees the same of a quiet and a loud input, and not where p_out = p', () => {
    const [one, other] = [tally(quiet, 0), tally(loud, 1)]
    expect(one.against(other)).toBeLessThan(1)
    expect(tally(quiet, 2, 'p').against(tally(loud, 3, 'p'))).toBeGreaterThan(1)
  }, 60_000)
})
