// Waves: which steps share a round trip, and the order of steps that makes the fewest of them.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { checkPlan } from '../../src/plan/check.js'
import { type Compiled, compile, weightKey } from '../../src/plan/compile/compile.js'
import { canonicalJson, type MccPlan, type Step } from '../../src/plan/plan.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { levelOrder, reordered, waves } from '../../src/plan/waves.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'
import { drawFrom, whole } from '../protocol/mcc/gadget-plan.js'
import { growNetwork } from '../protocol/networks/zoo.js'

/** A step of [channels, 1, 1] that reads these tensors. */
function step(tensors: readonly number[], channels = 1, goesOut = false): Step {
  const out = [channels, 1, 1] as const
  const activation = { truncate: 0, bits: 16, lo: 0, chunks: [4, 4, 4, 4], relu: { kind: 'relu' } } as const
  const linear = [...tensors.map((tensor) => ({ op: 'tensor', tensor, out }) as const), { op: 'zero', out } as const]
  return { id: 's', linear, out, scale: 0, activation: goesOut ? null : activation }
}
const spans = (steps: readonly Step[]) => waves(steps).map(({ from, to }) => [from, to])

const reads = ({ linear }: Step) => linear.flatMap((op) => (op.op === 'tensor' ? [op.tensor] : []))

/** Steps that follow one another because each reads the one before, at most. */
function depthOf(steps: readonly Step[]): number {
  const chain = [0]
  for (const each of steps) chain.push(1 + Math.max(0, ...reads(each).map((tensor) => chain[tensor])))
  return Math.max(...chain)
}

function grown(seed: number) {
  const { arch, weights, spec, options, input } = growNetwork(seed, 14, { all: true })
  const inputs = [input(), input()]
  const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, options)
  return { compiled, input: inputs[0] }
}

describe('waves', () => {
  it('end before a step that reads what was made in them, and the output goes out alone', () => {
    expect(spans([step([0]), step([0]), step([1]), step([2]), step([3, 4]), step([5], 1, true)])).toEqual([
      [0, 2],
      [2, 4],
      [4, 5],
      [5, 6],
    ])
    expect(spans([step([0]), step([1]), step([0]), step([2]), step([0], 1, true)])).toEqual([
      [0, 1],
      [1, 3],
      [3, 4],
      [4, 5],
    ])
  })

  it('open at most 2^22 elements, but for a single step', () => {
    const [half, more] = [2 ** 21, 2 ** 22 + 1]
    expect(
      spans([step([0], half), step([0], half), step([0]), step([0], more), step([0]), step([1], 1, true)]),
    ).toEqual([
      [0, 2],
      [2, 3],
      [3, 4],
      [4, 5],
      [5, 6],
    ])
  })

  it.each(Array.from({ length: 40 }, (_, seed) => [seed]))('of random plan %i are as few as its depth', (seed) => {
    const { steps } = grown(seed).compiled.plan
    const found = waves(steps)
    expect(found.flatMap(({ from, to }) => steps.slice(from, to))).toEqual(steps)
    for (const { from, to } of found) {
      const tensors = steps.slice(from, to).flatMap(reads)
      expect(tensors.every((tensor) => tensor <= from)).toBe(true)
    }
    // A value nobody reads can lie deeper than the output.
    const last = steps.slice(0, -1)
    expect(found.length).toBe(1 + depthOf(last))
  })
})

/** Steps in a random order in which everything is there before it is read. */
function shuffled(steps: readonly Step[], seed: number): number[] {
  const draw = drawFrom(seed)
  const left = new Set(steps.slice(0, -1).keys())
  const order: number[] = []
  while (left.size > 0) {
    const ready = [...left].filter((i) => reads(steps[i]).every((tensor) => tensor === 0 || !left.has(tensor - 1)))
    const next = ready[whole(draw, 0, ready.length - 1)]
    left.delete(next)
    order.push(next)
  }
  return [...order, steps.length - 1]
}

function inOrder({ plan, model }: Compiled<MccPlan>, order: readonly number[]): Compiled<MccPlan> {
  const weights = order.flatMap((from, to) =>
    plan.steps[from].linear.flatMap((_, operation) => {
      const words = model.weights.get(weightKey(from, operation))
      return words ? [[weightKey(to, operation), words] as const] : []
    }),
  )
  const bias = order.map((from) => model.bias[from])
  return { plan: { ...plan, steps: reordered(plan.steps, order) }, model: { weights: new Map(weights), bias } }
}

describe('level order', () => {
  it('has something to group in a third of the random plans', () => {
    const grouped = Array.from({ length: 40 }, (_, seed) => grown(seed).compiled.plan.steps).filter(
      (steps) => waves(steps).length < steps.length,
    )
    expect(grouped.length).toBeGreaterThan(10)
  })

  it('sorts by the longest chain behind a step, stably, the last step last', () => {
    const steps = [step([0]), step([1]), step([2]), step([0]), step([4]), step([3, 5]), step([1], 1, true)]
    expect(levelOrder(steps)).toEqual([0, 3, 1, 4, 2, 5, 6])
    expect(reordered(steps, levelOrder(steps)).map(reads)).toEqual([[0], [0], [1], [2], [3], [5, 4], [1]])
    const chain = [step([0]), step([1]), step([2], 1, true)]
    expect(levelOrder(chain)).toEqual([0, 1, 2])
  })

  it.each(Array.from({ length: 20 }, (_, seed) => [seed]))('computes what any order does, plan %i', (seed) => {
    const { compiled, input } = grown(seed)
    const words = encodeFixed(input, compiled.plan.input.scale, compiled.plan.input.bits)
    const run = ({ plan, model }: Compiled<MccPlan>) => [...runReference(plan, model, words).output]
    const other = inOrder(compiled, shuffled(compiled.plan.steps, seed))
    expect(checkPlan(JSON.parse(canonicalJson(other.plan)))).toBeTruthy()
    expect(run(other)).toEqual(run(compiled))
    const again = inOrder(other, levelOrder(other.plan.steps))
    expect(run(again)).toEqual(run(compiled))
    expect(waves(again.plan.steps)).toHaveLength(waves(compiled.plan.steps).length)
    expect(waves(other.plan.steps).length).toBeGreaterThanOrEqual(waves(compiled.plan.steps).length)
  })

  it('groups the branches of a Seesaw network', () => {
    const choices = { default_1: 1, default_2: 0 }
    const params = { dataset: 'cifar', blockConfig: [2], ops: 10, numClasses: 4 }
    const inputs = [{ shape: [3, 8, 8] }]
    const arch = parseArchitecture({ format: 'arch/1', name: 's', family: 'seesaw', params, inputs, choices })
    const weights = randomWeights(arch, 1)
    const calibration = calibrate(arch, weights, undefined, [sampleInput(arch, 1)])
    const { plan } = compile(arch, weights, calibration)
    expect([plan.steps.length, waves(plan.steps).length]).toEqual([12, 6])
    expect(levelOrder(plan.steps)).toEqual(plan.steps.map((_, i) => i))
  })
})
