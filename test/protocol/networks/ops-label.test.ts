// Labels: the largest output, the lower one on a tie, and in what the client is sent at the end no trace of the others.
import { describe, expect, it } from 'vitest'
import { type Architecture, parseArchitecture } from '../../../src/model/architecture.js'
import type { Weights } from '../../../src/model/weights.js'
import { type Channel, HEADER_BYTES } from '../../../src/net/index.js'
import { Phase } from '../../../src/net/phase.js'
import type { Calibration } from '../../../src/plan/calibrate.js'
import { checkPlan } from '../../../src/plan/check.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import type { Expression } from '../../../src/plan/compile/expression.js'
import { winner } from '../../../src/plan/compile/winner.js'
import { elementCount, type MapShape, stepLayout } from '../../../src/plan/plan.js'
import { int64, linearReference } from '../../../src/plan/reference/linear.js'
import { localParties, type Masks, type MccMasks, type SecurennMasks } from '../../../src/testing.js'
import { evaluate } from '../../plan/evaluate.js'
import { drawFrom, whole } from '../mcc/gadget-plan.js'

/** The winner of whole numbers, as the steps compute it in plain text, and how many steps that took. */
function won(x: Float64Array, shape: MapShape) {
  const tensors = [x]
  const relu = (e: Expression, passed = 0): Expression => {
    const values = evaluate(e, tensors)
    const compared = values.length * (1 - passed / e.shape[0])
    tensors.push(values.map((value, i) => (i < compared ? Math.max(0, value) : value)))
    return { kind: 'tensor', tensor: tensors.length - 1, shape: e.shape }
  }
  const found = winner({ kind: 'tensor', tensor: 0, shape }, 1, relu)
  expect(found.shape).toEqual(shape)
  return { hot: evaluate(found, tensors), steps: tensors.length - 1 }
}

function expectLowestOfLargest(x: Float64Array, shape: MapShape): number {
  const [c, h, w] = shape
  const { hot, steps } = won(x, shape)
  for (let at = 0; at < h * w; at++) {
    const column = (from: Float64Array) => Array.from({ length: c }, (_, i) => from[i * h * w + at])
    const values = column(x)
    const best = values.indexOf(Math.max(...values))
    expect(column(hot), `${values}`).toEqual(values.map((_, i) => (i === best ? 1 : 0)))
  }
  return steps
}

describe('the winner is the lowest of the largest', () => {
  it.each([2, 3, 4, 5])('for every order and tie of %i channels', (c) => {
    for (let n = 0; n < c ** c; n++) {
      const x = Float64Array.from({ length: c }, (_, i) => (Math.floor(n / c ** i) % c) - 2)
      expect(expectLowestOfLargest(x, [c, 1, 1])).toBe(2)
    }
  })

  it.each([
    [[45, 1, 1], 2],
    [[64, 1, 1], 8],
    [[65, 1, 1], 9],
    [[1000, 1, 1], 12],
    [[2, 40, 41], 3],
    [[3, 30, 50], 4],
    [[21, 5, 7], 7],
  ] as const)('for ties of %j, in %i steps', (shape, steps) => {
    const draw = drawFrom(shape[0])
    for (const spread of [0, 1, 3, 1000]) {
      const x = Float64Array.from({ length: elementCount(shape) }, () => whole(draw, -spread, spread))
      expect(expectLowestOfLargest(x, shape)).toBe(steps)
    }
  })
})

const CLASSES = 4
const arch: Architecture = parseArchitecture({
  format: 'arch/1',
  name: 'label',
  inputs: [{ name: 'x', shape: [5] }],
  outputs: ['out'],
  layers: [
    { id: 'hidden', op: 'linear', in: ['x'], cout: 6, bias: true },
    { id: 'relu', op: 'relu', in: ['hidden'] },
    { id: 'out', op: 'linear', in: ['relu'], cout: CLASSES, bias: true },
  ],
})
const ranges: Calibration = { format: 'calibration/1', source: 'test', maxAbs: { input: 1, relu: 4, out: 16 } }

/** Class 2 wins by 5, whatever the input; the others' logits are the seed's. */
function model(seed: number, options: CompileOptions): Compiled {
  const draw = drawFrom(seed)
  const values = (length: number) => Float32Array.from({ length }, () => 0.4 * (2 * draw() - 1))
  const weights: Weights = new Map([
    ['hidden', { weight: values(30), bias: values(6) }],
    ['out', { weight: values(24), bias: values(CLASSES).map((b, c) => (c === 2 ? 9 : b * 8)) }],
  ])
  return compile(arch, weights, ranges, undefined, options)
}

/** The client's part of the last step's y: words of streams of its own and the helper's, whatever the server computes. */
function clientPart({ plan }: Compiled, masks: Masks): bigint[] {
  const last = plan.steps.length - 1
  if (plan.backend === 'mcc') return Array.from((masks as MccMasks).output(last), BigInt)
  const { tensor, blind, filter } = masks as SecurennMasks
  const tensors = Array.from({ length: last + 1 }, (_, i) => tensor(i))
  const y = linearReference(int64, plan.steps[last], tensors, (operation) => filter(last, operation))
  return Array.from(blind(last), (word, i) => y[i] + word)
}

/** The last message of every inference, less what the client's streams put on it. */
async function unmasked(compiled: Compiled): Promise<bigint[][]> {
  const { plan } = compiled
  const last = plan.steps.length - 1
  let message = new Uint8Array(0)
  const watched = (channel: Channel): Channel => ({
    send: (frame) => channel.send(frame),
    receive: async (options) => {
      const frame = await channel.receive(options)
      const step = new DataView(frame.buffer, frame.byteOffset).getUint16(6, true)
      if (frame[5] === Phase.online && step === last) message = frame.slice(HEADER_BYTES)
      return frame
    },
    drained: () => channel.drained(),
    close: (reason) => channel.close(reason),
    closed: channel.closed,
  })
  const parties = await localParties(compiled, { wrap: watched })
  try {
    const draw = drawFrom(1)
    const found: bigint[][] = []
    for (let i = 0; i < 50; i++) {
      const { inference } = await parties.client.run(Float32Array.from({ length: 5 }, () => 2 * draw() - 1))
      const part = clientPart(compiled, parties.masks(inference))
      const words = plan.ring > 32 ? new BigUint64Array(message.buffer) : new Uint32Array(message.buffer)
      expect(words).toHaveLength(CLASSES)
      found.push(part.map((word, c) => BigInt.asIntN(plan.ring, BigInt(words[c]) + word)))
    }
    return found
  } finally {
    await parties.release()
  }
}

describe.each(['mcc', 'securenn'] as const)('what the client is sent at the end on %s', (backend) => {
  it('is the label under a mask that knows no model, from two models that only agree on the label', async () => {
    for (const seed of [1, 2]) {
      const compiled = model(seed, { backend, output: 'label' } as CompileOptions)
      const one = 2n ** BigInt(compiled.plan.steps[compiled.plan.steps.length - 1].scale)
      for (const y of await unmasked(compiled)) expect(y).toEqual([0n, 0n, one, 0n])
    }
  })

  it('tells those models apart when logits are asked for', async () => {
    const [a, b] = await Promise.all([1, 2].map((seed) => unmasked(model(seed, { backend } as CompileOptions))))
    for (const [i, y] of a.entries()) expect(y).not.toEqual(b[i])
  })
})

describe('a label among 1,000 classes', () => {
  it.each(['mcc', 'securenn'] as const)('takes 3,000 comparisons in 12 steps on %s', (backend) => {
    const classes = 1000
    const wide = parseArchitecture({
      format: 'arch/1',
      name: 'wide',
      inputs: [{ name: 'x', shape: [4] }],
      outputs: ['out'],
      layers: [{ id: 'out', op: 'linear', in: ['x'], cout: classes }],
    })
    const weights: Weights = new Map([
      ['out', { weight: new Float32Array(4 * classes).fill(0.1), bias: new Float32Array(classes) }],
    ])
    const { plan } = compile(wide, weights, ranges, undefined, { backend, output: 'label' } as CompileOptions)
    checkPlan(JSON.parse(JSON.stringify(plan)))
    const layouts = plan.steps.flatMap((step) => stepLayout(step) ?? [])
    const counts = layouts.map(({ singles, patches }) => singles + patches)
    expect(counts.filter((count) => count > 0)).toEqual([500, 250, 125, 63, 32, 16, 8, 4, 2, 1, 1000, 1000])
  })
})
