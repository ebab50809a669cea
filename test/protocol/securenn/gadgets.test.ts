// Activations on `securenn` between three parties: truncation, plain and block ReLU on windows, masked and passed
// channels. What comes out is the reference's under the masks of the run, and what the windows promise without them.

import { describe, expect, it } from 'vitest'
import { uploadIndexMap } from '../../../src/kernels/index-maps.js'
import { toBase64 } from '../../../src/model/relu/mask-bits.js'
import { checkPlan } from '../../../src/plan/check.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import { elementCount, type MapShape, type Pair, type SecurennPlan, type StepRelu } from '../../../src/plan/plan.js'
import { comparedBits, dealDrelu, drelu } from '../../../src/protocol/securenn/drelu.js'
import { dealTriple, multiply, PRODUCT, productMessages, sendProduct } from '../../../src/protocol/securenn/multiply.js'
import { totalBytes } from '../../../src/protocol/transcript.js'
import { localParties, runReference } from '../../../src/testing.js'
import { type Draw, drawFrom, perChannel, whole } from '../mcc/gadget-plan.js'
import { opened, shared, three } from './three.js'

interface Gadget {
  truncate: number
  ignoredMsb: number
  ignoredLsb: number
  shape: MapShape
  relu: StepRelu
}

/** y = x + bias, the activation, and its result as the network's output. */
function gadgetPlan({ truncate, ignoredMsb, ignoredLsb, shape, relu }: Gadget, bias: BigInt64Array) {
  const plan = checkPlan({
    format: 'plan/1',
    backend: 'securenn',
    network: 'gadget',
    ring: 64,
    rounds: 12,
    input: { shape, scale: 0, bits: 32, preprocess: { scale: 1, mean: [0], std: [1] } },
    labels: [],
    steps: [
      {
        id: 'y',
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'y', geometry: perChannel(shape), scale: 0, out: shape },
        ],
        out: shape,
        scale: 0,
        activation: { truncate, ignoredMsb, ignoredLsb, relu },
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
  const weights = new Map([['0.1', new Int32Array(shape[0]).fill(1)]])
  return { plan, model: { weights, bias: [bias, new BigInt64Array(elementCount(shape))] } } as Compiled<SecurennPlan>
}

/** y' up to 2^30 either way, near zero and at the edges of the window. */
function targets({ shape, ignoredMsb, ignoredLsb, truncate }: Gadget, draw: Draw): bigint[] {
  const beyond = 2 ** Math.min(30, 63 - ignoredMsb + ignoredLsb)
  const least = 2 ** (ignoredLsb + 1)
  const finest = Math.min(12, 62 - ignoredMsb)
  const edges = [0, 1, -1, least, -least, least - 1, beyond - 1, 1 - beyond]
  return Array.from({ length: elementCount(shape) }, (_, i) => {
    const value =
      i % 3 === 0
        ? edges[whole(draw, 0, edges.length - 1)]
        : whole(draw, 1 - beyond, beyond - 1) >> whole(draw, 0, finest)
    return (BigInt(value) << BigInt(truncate)) + BigInt(whole(draw, 0, 2 ** truncate - 1))
  })
}

async function run(gadget: Gadget, seed: number, y?: bigint[]) {
  const draw = drawFrom(seed)
  const x = Int32Array.from({ length: elementCount(gadget.shape) }, () => whole(draw, -(2 ** 29), 2 ** 29))
  const values = y ?? targets(gadget, draw)
  const bias = BigInt64Array.from(values, (value, i) => value - BigInt(x[i]))
  const compiled = gadgetPlan(gadget, bias)
  const parties = await localParties(compiled)
  try {
    const { raw, inference } = await parties.client.run(Float32Array.from(x))
    const { plan, model } = compiled
    // Inputs are floats of 24 bits: what was sent is what they round to.
    const sent = Int32Array.from(Float32Array.from(x))
    const reference = runReference(plan, model, sent, parties.masks(inference))
    expect([...raw]).toEqual([...reference.output])
    return { z: [...raw], y: values.map((value, i) => value + BigInt(sent[i] - x[i])) }
  } finally {
    await parties.release()
  }
}

/** Whether z is y >> f, rounded either way. */
const isTruncated = (z: number, y: bigint, f: number) => [0n, 1n].includes(BigInt(z) - (y >> BigInt(f)))

const WINDOWS = [
  { ignoredMsb: 0, ignoredLsb: 0 },
  { ignoredMsb: 30, ignoredLsb: 0 },
  { ignoredMsb: 40, ignoredLsb: 6 },
  { ignoredMsb: 48, ignoredLsb: 10 },
  { ignoredMsb: 60, ignoredLsb: 20 },
  { ignoredMsb: 20, ignoredLsb: 20 },
]

describe('ReLU', () => {
  for (const [i, window] of WINDOWS.entries()) {
    it(`of values inside the window is right: ${JSON.stringify(window)}`, async () => {
      const gadget = { ...window, truncate: 2 * i, shape: [5, 6, 7] as MapShape, relu: { kind: 'relu' } as const }
      const { z, y } = await run(gadget, 10 + i)
      const least = 2n ** BigInt(window.ignoredLsb + 1) + 1n
      const beyond = 2n ** BigInt(63 - window.ignoredMsb + window.ignoredLsb) - 2n ** BigInt(window.ignoredLsb) - 1n
      let sure = 0
      y.forEach((value, e) => {
        const cut = value >> BigInt(gadget.truncate)
        const size = cut < 0n ? -cut : cut
        if (size > beyond || (window.ignoredMsb > 0 && size < least)) return
        sure++
        if (cut < -1n) expect(z[e], `${cut}`).toBe(0)
        else if (cut >= 0n) expect(isTruncated(z[e], value, gadget.truncate), `${z[e]} of ${cut}`).toBe(true)
      })
      expect(sure).toBeGreaterThan(30)
    })
  }
})

describe('block ReLU', () => {
  const blocks: Pair[] = [
    [2, 2],
    [1, 3],
    [4, 4],
    [0, 1],
    [1, 0],
    [1, 1],
    [9, 9],
  ]
  const shape: MapShape = [7, 6, 7]
  for (const [i, window] of WINDOWS.entries()) {
    it(`equals the reference, and one bit decides for a block: ${JSON.stringify(window)}`, async () => {
      const gadget: Gadget = { ...window, truncate: 5, shape, relu: { kind: 'block', blocks } }
      const { z, y } = await run(gadget, 30 + i)
      const plane = shape[1] * shape[2]
      for (let e = 0; e < z.length; e++) {
        const kept = isTruncated(z[e], y[e], 5)
        const channel = Math.floor(e / plane)
        if (channel === 3) expect(kept, 'an identity channel').toBe(true)
        else if (channel === 4) expect(z[e], 'a zero channel').toBe(0)
        else expect(kept || z[e] === 0).toBe(true)
      }
      for (const members of patches(blocks, shape)) {
        const clear = members.filter((e) => (y[e] >> 5n) + 1n !== 0n && y[e] >> 5n !== 0n)
        const passed = clear.filter((e) => z[e] !== 0)
        expect([0, clear.length]).toContain(passed.length)
      }
    })
  }

  it('follows the sign of the sum where it is inside the window', async () => {
    const draw = drawFrom(8)
    const sizes: Pair[] = [
      [4, 4],
      [4, 4],
      [2, 2],
    ]
    for (const window of WINDOWS) {
      const reach = 2 ** Math.min(26, 62 - window.ignoredMsb + window.ignoredLsb)
      const gadget: Gadget = {
        ...window,
        truncate: 0,
        shape: [3, 8, 8],
        relu: {
          kind: 'block',
          blocks: sizes,
        },
      }
      // A block's values mostly agree, so that its mean is about as large as they are.
      const y = new Array<bigint>(192)
      for (const members of patches(sizes, gadget.shape)) {
        const sign = draw() < 0.5 ? 1 : -1
        for (const e of members) y[e] = BigInt((draw() < 0.1 ? -sign : sign) * whole(draw, reach / 2, reach))
      }
      const { z, y: sent } = await run(gadget, 50, y)
      let sure = 0
      for (const members of patches(sizes, gadget.shape)) {
        const sum = members.reduce((total, e) => total + sent[e], 0n)
        const shift = Math.min(Math.log2(members.length), window.ignoredMsb - window.ignoredLsb)
        const least = 2n ** BigInt(window.ignoredLsb + shift + 1) + 16n
        if (sum < least && sum > -least) continue
        sure++
        members.forEach((e) => {
          expect(z[e]).toBe(sum > 0n ? Number(sent[e]) : 0)
        })
      }
      expect(sure).toBeGreaterThan(window.ignoredLsb > 15 ? 3 : 12)
    }
  })
})

/** Elements of every block with more than one. */
function patches(blocks: readonly Pair[], [, h, w]: MapShape): number[][] {
  return blocks.flatMap(([bh, bw], c) => {
    if (bh * bw < 2) return []
    const found = new Map<string, number[]>()
    for (let i = 0; i < h * w; i++) {
      const at = `${Math.floor(Math.floor(i / w) / bh)},${Math.floor((i % w) / bw)}`
      found.set(at, [...(found.get(at) ?? []), c * h * w + i])
    }
    return [...found.values()]
  })
}

describe('other activations', () => {
  const shape: MapShape = [4, 5, 6]
  const random = drawFrom(77)
  const bits = Uint8Array.from({ length: 15 }, () => whole(random, 0, 255))
  const kinds: [string, StepRelu][] = [
    ['mask, identity where off', { kind: 'mask', off: 'identity', bits: toBase64(bits) }],
    ['mask, zero where off', { kind: 'mask', off: 'zero', bits: toBase64(bits) }],
    ['mask that is off everywhere', { kind: 'mask', off: 'zero', bits: toBase64(new Uint8Array(15)) }],
    ['identity everywhere', { kind: 'identity' }],
    ['zero everywhere', { kind: 'zero' }],
    [
      'zero beside identity channels',
      {
        kind: 'block',
        blocks: [
          [1, 0],
          [0, 1],
          [0, 1],
          [1, 0],
        ],
      },
    ],
  ]
  it.each(kinds)('%s', async (_, relu) => {
    const compares = relu.kind !== 'identity' && relu.kind !== 'zero'
    for (const window of compares ? WINDOWS.slice(0, 3) : [WINDOWS[0]]) {
      const { z, y } = await run({ ...window, truncate: 7, shape, relu }, 90)
      z.forEach((word, e) => {
        const on = relu.kind === 'mask' && (bits[e >> 3] >> (e & 7)) & 1
        if (relu.kind === 'identity' || (relu.kind === 'mask' && relu.off === 'identity' && !on)) {
          expect(isTruncated(word, y[e], 7)).toBe(true)
        }
        if (relu.kind === 'zero') expect(word).toBe(0)
      })
    }
  })
})

describe('products with a shared factor', () => {
  it('one bit for many values: right, opened once, at the declared cost', async () => {
    const at = { layer: 2, inference: 4 }
    const draw = drawFrom(9)
    for (const [count, factors] of [
      [50, 7],
      [300, 1],
      [64, 64],
      [5, 90],
    ]) {
      const factorOf = Uint32Array.from({ length: count }, () => whole(draw, 0, factors - 1))
      const x = [...new BigInt64Array(crypto.getRandomValues(new Uint8Array(8 * count)).buffer)]
      const y = [...new BigInt64Array(crypto.getRandomValues(new Uint8Array(8 * factors)).buffer)]
      const parties = three()
      const [[a, b], [c, d]] = [shared(parties, x), shared(parties, y)]
      const products = ({ k }: { k: typeof parties.client.k }) => ({
        count,
        factors,
        factorOf: uploadIndexMap(k, factorOf),
      })
      const deal = async () => {
        await sendProduct(parties.helper, dealTriple(parties.helper, PRODUCT, products(parties.helper), at), at)
      }
      const [mine, theirs] = await Promise.all([
        multiply(parties.client, a, c, products(parties.client), at),
        multiply(parties.server, b, d, products(parties.server), at),
        deal(),
      ])
      const expected = x.map((value, i) => BigInt.asIntN(64, value * y[factorOf[i]]))
      expect(opened(mine, theirs, count)).toEqual(expected)
      expect(parties.traffic.bytes).toBe(totalBytes(productMessages({ count, factors })))
    }
  })
})

describe('what a window calls negative', () => {
  it('outside it, signs are those of the bits it sees', async () => {
    const at = { layer: 1, inference: 1 }
    const window = { ignoredMsb: 50, ignoredLsb: 2 }
    const bits = comparedBits(window)
    const values = Array.from({ length: 400 }, (_, i) => BigInt(i * 977) << 3n)
    const parties = three()
    const [a, b] = shared(parties, values)
    const [mine, theirs] = await Promise.all([
      drelu(parties.client, a, values.length, window, at),
      drelu(parties.server, b, values.length, window, at),
      dealDrelu(parties.helper, values.length, window, at),
    ])
    const found = opened(mine, theirs, values.length)
    let beyond = 0
    values.forEach((value, i) => {
      const seen = BigInt.asUintN(bits, value >> 2n)
      const edge = seen % 2n ** BigInt(bits - 1) <= 1n || BigInt.asUintN(bits, seen + 1n) === 0n
      if (value >= 2n ** BigInt(63 - window.ignoredMsb + window.ignoredLsb)) beyond++
      if (!edge) expect(found[i], `${value}`).toBe(seen < 2n ** BigInt(bits - 1) ? 1n : 0n)
    })
    expect(beyond).toBeGreaterThan(200)
  })
})
