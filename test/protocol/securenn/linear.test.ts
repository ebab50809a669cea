// Linear steps on `securenn` between the three parties' parts: B∗r + s and W∗(x - r) + (F∗r - s) are shares of W∗x in the
// whole ring, for every operation, any words and any shapes.
import { describe, expect, it } from 'vitest'
import type { ConvGeometry } from '../../../src/kernels/geometry.js'
import { type Kernels, loadKernels, type Region, upload } from '../../../src/kernels/instance.js'
import { checkPlan } from '../../../src/plan/check.js'
import { elementCount, type LinearOp, type MapShape, type SecurennPlan } from '../../../src/plan/plan.js'
import { int64, linearReference } from '../../../src/plan/reference/linear.js'
import { tensorMask } from '../../../src/protocol/linear.js'
import { clientLinear, dealLinear, serverLinear } from '../../../src/protocol/securenn/linear.js'
import type { SecurennSteps } from '../../../src/protocol/securenn/step.js'
import { layOut } from '../../../src/protocol/step.js'
import { fillModelMask, packShare } from '../../../src/protocol/weights.js'
import { freshSeed } from '../../../src/random/seed.js'
import { Streams } from '../../../src/random/streams.js'
import { words } from '../../kernels/fixture.js'
import { type Draw, drawFrom, whole } from '../mcc/gadget-plan.js'

const INFERENCE = 5

function planOf(input: MapShape, linear: LinearOp[]): SecurennPlan {
  return checkPlan({
    format: 'plan/1',
    backend: 'securenn',
    network: 'linear',
    ring: 64,
    rounds: 12,
    input: { shape: input, scale: 0, bits: 32, preprocess: { scale: 1, mean: [0], std: [1] } },
    labels: [],
    steps: [{ id: 'y', linear, out: linear[linear.length - 1].out, scale: 0, activation: null }],
  }) as SecurennPlan
}

const uploaded = (k: Kernels, values: readonly bigint[]): Region => upload(k.memory, BigUint64Array.from(values))

/** y by three parties, from any 64-bit x and W. */
async function byParties(plan: SecurennPlan, x: readonly bigint[], weights: (operation: number) => bigint[]) {
  const k = loadKernels()
  const planned: SecurennSteps = layOut(k, plan)
  const [ch, model] = [new Streams(k, freshSeed(), 12), new Streams(k, freshSeed(), 12)]
  const filter = ({ operation }: { operation: number }, words: Region) => words.u64().set(weights(operation))
  const w = await packShare(k, plan, filter)
  const b = await packShare(k, plan, (slot, words) => fillModelMask(model, slot, words))
  const f = await packShare(k, plan, (slot, words) => {
    fillModelMask(model, slot, words)
    const masked = words.u64()
    weights(slot.operation).forEach((word, i) => {
      masked[i] = word - masked[i]
    })
  })
  const r = tensorMask(k, planned, ch, 0, INFERENCE)
  const mask = r.u64()
  const opened = uploaded(
    k,
    x.map((word, i) => BigInt.asUintN(64, word - mask[i])),
  )
  const [step] = planned.steps
  const source = (tensor: Region, share: typeof w, lifts: boolean) => ({
    tensor: () => tensor,
    weights: share.weights,
    lifts,
  })
  const client = clientLinear(k, step, ch, source(r, b, true), INFERENCE)
  const server = dealLinear(k, step, ch, source(r, f, false), INFERENCE)
  serverLinear(k, step, source(opened, w, true), server)
  const mine = client.u64()
  return Array.from(server.u64(), (word, i) => BigInt.asIntN(64, word + mine[i]))
}

async function expectLinear(input: MapShape, linear: LinearOp[], seed: number) {
  const plan = planOf(input, linear)
  const x = words(elementCount(input), 64, seed)
  const weights = (i: number) => {
    const op = linear[i] as Extract<LinearOp, { op: 'conv' }>
    const { cout, cin, groups, kernel } = op.geometry
    return words(cout * (cin / groups) * kernel[0] * kernel[1], 64, seed + 7 * i + 1)
  }
  const found = await byParties(plan, x, weights)
  const signed = (list: readonly bigint[]) => BigInt64Array.from(list, (word) => BigInt.asIntN(64, word))
  const wanted = linearReference(int64, plan.steps[0], [signed(x)], (i) => signed(weights(i)))
  const wrong = found.findIndex((word, i) => word !== wanted[i])
  if (wrong >= 0) expect.fail(`${JSON.stringify(linear)}: element ${wrong} is ${found[wrong]}, not ${wanted[wrong]}`)
}

const pair = (draw: Draw, low: number, high: number) => [whole(draw, low, high), whole(draw, low, high)] as const
const quad = (draw: Draw, high: number) => [...pair(draw, 0, high), ...pair(draw, 0, high)] as const
const shapeOf = (draw: Draw): MapShape => [whole(draw, 1, 5), whole(draw, 2, 9), whole(draw, 2, 9)]

/** A convolution of any kind over a map; null when nothing is left of the map. */
function randomConv(draw: Draw, [cin, h, w]: MapShape, of: number): LinearOp | null {
  const kind = whole(draw, 0, 3)
  const groups = kind === 0 ? cin : kind === 1 && cin % 2 === 0 ? 2 : 1
  const cout = groups * whole(draw, 1, kind === 0 ? 2 : 4)
  const geometry: ConvGeometry = {
    ...{ cin, h, w, cout, groups },
    kernel: pair(draw, 1, 3),
    stride: pair(draw, 1, 2),
    pad: quad(draw, 2),
    dilation: pair(draw, 1, 2),
  }
  const [oh, ow] = [0, 1].map((axis) => {
    const reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1) + 1
    const size = [h, w][axis] + geometry.pad[axis] + geometry.pad[axis + 2]
    return Math.floor((size - reach) / geometry.stride[axis]) + 1
  })
  return oh < 1 || ow < 1 ? null : { op: 'conv', of, layer: 'y', geometry, scale: 0, out: [cout, oh, ow] }
}

describe('linear steps are right to the last bit', () => {
  it('convolutions: plain, grouped, depthwise, strided, dilated, padded unevenly', async () => {
    const draw = drawFrom(1)
    const kinds = { plain: 0, grouped: 0, depthwise: 0 }
    for (let round = 0; round < 240; round++) {
      const input = shapeOf(draw)
      const conv = randomConv(draw, input, 0)
      if (conv?.op !== 'conv') continue
      const { groups, cin } = conv.geometry
      kinds[groups === 1 ? 'plain' : groups === cin ? 'depthwise' : 'grouped']++
      await expectLinear(input, [{ op: 'tensor', tensor: 0, out: input }, conv], round)
    }
    for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(5)
  })

  it('sums of lifted, pooled, moved and negated maps beside a convolution', async () => {
    const draw = drawFrom(2)
    for (let round = 0; round < 60; round++) {
      const [c, h, w] = shapeOf(draw)
      const input: MapShape = [c, h, w]
      const kernel = pair(draw, 1, 3)
      const pad = [kernel[0] - 1, kernel[1] - 1, 0, 0] as const
      const plane = Array.from({ length: h * w }, () => whole(draw, -(2 ** 31), 2 ** 31))
      const from = pair(draw, 0, 1)
      const linear: LinearOp[] = [
        { op: 'tensor', tensor: 0, out: input },
        { op: 'lift', of: 0, factor: whole(draw, -(2 ** 30), 2 ** 30), out: input },
        { op: 'poolSum', of: 0, kernel, stride: [1, 1], pad, out: input },
        { op: 'lift', of: 2, factor: plane, out: input },
        { op: 'embed', of: 0, stride: [2, 2], from, at: [whole(draw, 0, c - 1), 0, 0], out: input },
        { op: 'scale', of: 4, factor: -1, out: input },
        { op: 'lift', of: 5, factor: 12345, out: input },
        { op: 'scale', of: 0, factor: -1, out: input },
        {
          op: 'conv',
          of: 7,
          layer: 'y',
          geometry: {
            cin: c,
            h,
            w,
            cout: c,
            kernel: [1, 1],
            stride: [1, 1],
            pad: [0, 0, 0, 0],
            dilation: [1, 1],
            groups: 1,
          },
          scale: 0,
          out: input,
        },
        { op: 'zero', out: input },
        { op: 'add', of: [1, 3, 6, 8, 8, 9], out: input },
      ]
      await expectLinear(input, linear, 1000 + round)
    }
  })

  it('a vector through a fully connected layer, and a map put aside around what a convolution made', async () => {
    const draw = drawFrom(3)
    for (let round = 0; round < 30; round++) {
      const n = whole(draw, 1, 40)
      const m = whole(draw, 1, 20)
      const unit = { kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], dilation: [1, 1], groups: 1 } as const
      const linear: LinearOp[] = [
        { op: 'tensor', tensor: 0, out: [1, 1, n] },
        { op: 'add', of: [0], out: [n, 1, 1] },
        { op: 'conv', of: 1, layer: 'y', geometry: { cin: n, h: 1, w: 1, cout: m, ...unit }, scale: 0, out: [m, 1, 1] },
        { op: 'embed', of: 2, stride: [1, 1], from: [0, 0], at: [1, 2, 0], out: [m + 2, 4, 3] },
      ]
      await expectLinear([1, 1, n], linear, 2000 + round)
    }
  })
})
