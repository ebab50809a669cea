// Every gadget between three parties over metered links: what it declares is what it takes, and what comes out is what
// docs/protocol.md says (E1 … E5), bit for bit.
import { describe, expect, it } from 'vitest'
import { toBase64 } from '../../../src/model/relu/mask-bits.js'
import { chunksOf } from '../../../src/plan/compile/chunks.js'
import type { LinearOp, MapShape, StepRelu } from '../../../src/plan/plan.js'
import { elementCount } from '../../../src/plan/plan.js'
import { drawFrom, linearPlan, whole } from './gadget-plan.js'
import { input, run, runRelu } from './metered-gadget.js'

describe('linear steps', () => {
  const conv = (of: number, geometry: object, out: MapShape): LinearOp => {
    const plain = { kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], dilation: [1, 1], groups: 1 }
    return { op: 'conv', of, layer: 'y', geometry: { ...plain, ...geometry } as never, scale: 0, out }
  }
  const tensor = (out: MapShape): LinearOp => ({ op: 'tensor', tensor: 0, out })
  const cases: [string, MapShape, LinearOp[]][] = [
    [
      'fully connected',
      [1, 1, 13],
      [
        tensor([1, 1, 13]),
        { op: 'add', of: [0], out: [13, 1, 1] },
        conv(1, { cin: 13, h: 1, w: 1, cout: 5 }, [5, 1, 1]),
      ],
    ],
    [
      'convolution, strided and dilated, padded unevenly',
      [3, 9, 8],
      [
        tensor([3, 9, 8]),
        conv(
          0,
          { cin: 3, h: 9, w: 8, cout: 5, kernel: [3, 2], stride: [2, 1], pad: [1, 0, 2, 1], dilation: [2, 3] },
          [5, 4, 6],
        ),
      ],
    ],
    [
      'grouped convolution',
      [6, 5, 5],
      [
        tensor([6, 5, 5]),
        conv(0, { cin: 6, h: 5, w: 5, cout: 4, kernel: [3, 3], pad: [1, 1, 1, 1], groups: 2 }, [4, 5, 5]),
      ],
    ],
    [
      'depthwise convolution',
      [7, 6, 5],
      [
        tensor([7, 6, 5]),
        conv(0, { cin: 7, h: 6, w: 5, cout: 7, kernel: [3, 3], pad: [1, 1, 1, 1], groups: 7 }, [7, 6, 5]),
      ],
    ],
    [
      'residual: a convolution plus its lifted input',
      [4, 5, 3],
      [
        tensor([4, 5, 3]),
        conv(0, { cin: 4, h: 5, w: 3, cout: 4, kernel: [3, 3], pad: [1, 1, 1, 1] }, [4, 5, 3]),
        { op: 'lift', of: 0, factor: 1024, out: [4, 5, 3] },
        { op: 'add', of: [1, 2], out: [4, 5, 3] },
      ],
    ],
    [
      'average pool with borders not counted',
      [3, 5, 6],
      [
        tensor([3, 5, 6]),
        { op: 'poolSum', of: 0, kernel: [3, 2], stride: [2, 2], pad: [1, 0, 1, 1], out: [3, 3, 3] },
        { op: 'lift', of: 1, factor: [256, 256, 512, 171, 171, 341, 256, 256, 512], out: [3, 3, 3] },
      ],
    ],
    [
      'global average pool into a fully connected layer',
      [6, 4, 4],
      [
        tensor([6, 4, 4]),
        { op: 'poolSum', of: 0, kernel: [4, 4], stride: [4, 4], pad: [0, 0, 0, 0], out: [6, 1, 1] },
        conv(1, { cin: 6, h: 1, w: 1, cout: 3 }, [3, 1, 1]),
      ],
    ],
    [
      'shortcut of option A: every second pixel, zero channels around',
      [3, 5, 4],
      [
        tensor([3, 5, 4]),
        { op: 'embed', of: 0, stride: [2, 2], from: [0, 0], at: [2, 0, 0], out: [8, 3, 2] },
        { op: 'lift', of: 1, factor: 4096, out: [8, 3, 2] },
      ],
    ],
    [
      'subsample with an offset',
      [2, 6, 7],
      [
        tensor([2, 6, 7]),
        { op: 'embed', of: 0, stride: [2, 3], from: [1, 2], at: [0, 0, 0], out: [2, 3, 2] },
        { op: 'lift', of: 1, factor: 3, out: [2, 3, 2] },
      ],
    ],
    [
      'pad and crop of a convolution',
      [2, 4, 5],
      [
        tensor([2, 4, 5]),
        conv(0, { cin: 2, h: 4, w: 5, cout: 3 }, [3, 4, 5]),
        { op: 'embed', of: 1, stride: [1, 1], from: [0, 1], at: [0, 2, 0], out: [3, 7, 4] },
      ],
    ],
    [
      'sum of unlike scales, and a zero map',
      [2, 3, 3],
      [
        tensor([2, 3, 3]),
        { op: 'scale', of: 0, factor: 16, out: [2, 3, 3] },
        { op: 'add', of: [0, 1, 1], out: [2, 3, 3] },
        { op: 'lift', of: 2, factor: -7, out: [2, 3, 3] },
        { op: 'zero', out: [2, 3, 3] },
        { op: 'add', of: [3, 4], out: [2, 3, 3] },
      ],
    ],
  ]
  for (const ring of [24, 28, 31, 32]) {
    for (const [name, shape, linear] of cases) {
      it(`${name}, ring of ${ring} bits`, async () => {
        const draw = drawFrom(ring + name.length)
        const compiled = linearPlan(ring, shape, linear, draw)
        const { raw } = await run(compiled, input(shape, draw))
        expect(raw.every((y) => y >= -(2 ** (ring - 1)) && y < 2 ** (ring - 1))).toBe(true)
      })
    }
  }
})

const RINGS = [24, 28, 31, 32]
const WINDOWS = [4, 6, 8, 12, 16, 20]
const shapesOf = (k: number) => [1, 2, 3, 4, 5, 6].filter((t) => chunksOf(k, t) !== null && t <= k)

describe('ReLU', () => {
  const shape: MapShape = [5, 3, 5]
  let seed = 0
  for (const k of WINDOWS) {
    for (const t of shapesOf(k)) {
      const ring = RINGS[seed % 4]
      it(`E1: window of all ${k} bits in ${t} chunks, ring of ${ring} bits`, async () => {
        const truncate = Math.max(0, Math.min(9, ring - k))
        const { z, values } = await runRelu(
          { ring, bits: k, lo: 0, chunks: t, truncate, shape, relu: { kind: 'relu' } },
          1000 + 10 * k + t,
        )
        // E1 and E3 without the masks: a value keeps its sign and loses less than two units.
        values.forEach((y, i) => {
          const floor = Math.floor(y / 2 ** truncate)
          expect([Math.max(0, floor), Math.max(0, floor - 1)]).toContain(z[i])
        })
      })
      seed++
    }
  }

  for (const [bits, lo, t] of [
    [8, 4, 1],
    [10, 4, 2],
    [12, 4, 2],
    [16, 12, 2],
    [16, 8, 1],
    [16, 4, 3],
    [20, 4, 4],
    [22, 2, 3],
    [16, 1, 3],
  ]) {
    it(`E2: bits ${lo} to ${bits} in ${t} chunks err where the carry says so, both ways`, async () => {
      const gadget = {
        ring: 32,
        bits,
        lo,
        chunks: t,
        truncate: 5,
        shape: [6, 9, 11] as MapShape,
        relu: { kind: 'relu' } as const,
      }
      const { wrong, atRisk, z, values } = await runRelu(gadget, 7 * bits + lo)
      expect(wrong).toBeGreaterThan(0)
      expect(wrong).toBeLessThan(atRisk)
      // Values farther from zero than half a unit of the window are never wrong, and errors lie on both sides of it.
      values.forEach((y, i) => {
        const value = Math.floor(y / 32)
        if (value > 2 ** (lo - 1)) expect(z[i]).toBeGreaterThan(0)
        if (value < -(2 ** (lo - 1))) expect(z[i]).toBe(0)
      })
      if (lo > 1) expect(z.some((v) => v < 0)).toBe(true)
    })
  }

  it('loses the low bits without a tie to the mask: the mean over many masks is the value', async () => {
    const y = new Array<number>(4096).fill(13 * 32 + 20)
    const gadget = {
      ring: 32,
      bits: 12,
      lo: 0,
      chunks: 2,
      truncate: 5,
      shape: [16, 16, 16] as MapShape,
      relu: { kind: 'relu' } as const,
    }
    const { z } = await runRelu(gadget, 3, y)
    const mean = z.reduce((a, b) => a + b) / z.length
    // E[y'] = (y + 1) / 2^f - 1; the compiler adds 2^f - 1 to y to make it y / 2^f. Four standard deviations of the mean.
    expect(Math.abs(mean - ((13 * 32 + 21) / 32 - 1))).toBeLessThan((4 * 0.48) / 64)
  })
})

describe('other activations', () => {
  const shape: MapShape = [6, 5, 7]
  const random = drawFrom(77)
  const bits = Uint8Array.from({ length: Math.ceil(elementCount(shape) / 8) }, () => whole(random, 0, 255))
  bits[bits.length - 1] &= 2 ** (elementCount(shape) % 8) - 1
  const kinds: [string, StepRelu][] = [
    ['block ReLU over equal blocks', { kind: 'block', blocks: new Array(6).fill([2, 2]) }],
    [
      'block ReLU of mixed channels: plain, identity, zero, wide and high',
      {
        kind: 'block',
        blocks: [
          [1, 1],
          [0, 1],
          [1, 0],
          [2, 3],
          [5, 7],
          [9, 1],
        ],
      },
    ],
    [
      'identity channels beside plain ones',
      {
        kind: 'block',
        blocks: [
          [0, 1],
          [1, 1],
          [0, 1],
          [1, 1],
          [1, 1],
          [0, 1],
        ],
      },
    ],
    [
      'zero channels beside plain ones',
      {
        kind: 'block',
        blocks: [
          [1, 0],
          [1, 1],
          [1, 0],
          [1, 1],
          [1, 1],
          [1, 0],
        ],
      },
    ],
    [
      'zero channels beside identity ones, no comparison at all',
      {
        kind: 'block',
        blocks: [
          [1, 0],
          [0, 1],
          [1, 0],
          [0, 1],
          [0, 1],
          [1, 0],
        ],
      },
    ],
    ['mask, identity where off', { kind: 'mask', off: 'identity', bits: toBase64(bits) }],
    ['mask, zero where off', { kind: 'mask', off: 'zero', bits: toBase64(bits) }],
    ['identity everywhere', { kind: 'identity' }],
    ['zero everywhere', { kind: 'zero' }],
  ]
  for (const [ring, width, lo, t, truncate] of [
    [32, 16, 0, 4, 8],
    [32, 14, 6, 2, 11],
    [31, 12, 0, 3, 10],
    [28, 16, 8, 1, 5],
    [24, 8, 0, 2, 9],
  ]) {
    for (const [name, relu] of kinds) {
      it(`${name}: ring ${ring}, bits ${lo} to ${width} in ${t} chunks`, async () => {
        await runRelu({ ring, bits: width, lo, chunks: t, truncate, shape, relu }, ring * width + t)
      })
    }
  }
})
