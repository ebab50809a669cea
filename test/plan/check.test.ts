// A plan from a peer: whatever is wrong with it, the answer is one typed error, and what passes can be walked.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { loadKernels } from '../../src/kernels/instance.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { toBase64 } from '../../src/model/relu/mask-bits.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { checkPlan } from '../../src/plan/check.js'
import { compile } from '../../src/plan/compile/compile.js'
import { canonicalJson, elementCount, type MapShape, type MccPlan, type Pair, reluShape } from '../../src/plan/plan.js'
import { planCost } from '../../src/protocol/mcc/cost.js'
import { dealInference } from '../../src/protocol/mcc/dealing.js'
import { layOut } from '../../src/protocol/step.js'
import { filterSlots, packShare } from '../../src/protocol/weights.js'
import { Streams } from '../../src/random/streams.js'
import { shapePlan } from '../../src/tune/cost/shape-plan.js'
import { reluPlan } from '../protocol/mcc/gadget-plan.js'
import { growNetwork } from '../protocol/networks/zoo.js'

/** A clip by blocks and a leaky ReLU: several ReLUs of one value. */
const bent = [{ signs: [1, -1] as const, plus: 0 }, null].map((sum): MccPlan => {
  const second: Pair[] = sum
    ? [
        [2, 1],
        [1, 0],
      ]
    : [
        [0, 1],
        [0, 1],
      ]
  const blocks: Pair[] = [[2, 2], [1, 1], ...second]
  const gadget = { ring: 32, bits: 12, lo: 0, chunks: 3, truncate: 4, shape: [2, 3, 4] as MapShape }
  const relu = { kind: 'block', blocks } as const
  return reluPlan({ ...gadget, relu, bends: { shifts: [0, -9], sum } }, new Int32Array(24)).plan
})

const grown = [3, 8, 14, 21, 33, 57, 90, 121].map((seed): MccPlan => {
  const { arch, weights, spec, options, input } = growNetwork(seed, 9)
  return compile(arch, weights, calibrate(arch, weights, spec, [input()]), spec, options).plan
})
const plans = [...grown, ...bent]

/** Every path into a JSON value. */
function paths(value: unknown, at: (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== 'object') return [at]
  const keys = Array.isArray(value) ? value.map((_, i) => i) : Object.keys(value)
  return [at, ...keys.flatMap((key) => paths((value as Record<string, unknown>)[key], [...at, key]))]
}

type Json = Record<string | number, unknown>

function mutate(plan: unknown, path: readonly (string | number)[], value: unknown, how: string): unknown {
  const copy = structuredClone(plan)
  if (path.length === 0) return value
  const parent = path.slice(0, -1).reduce<Json>((node, key) => node[key] as Json, copy as Json)
  const last = path[path.length - 1]
  const old = parent[last]
  if (how === 'delete') Array.isArray(parent) ? parent.splice(Number(last), 1) : delete parent[last]
  else if (how === 'repeat' && Array.isArray(parent)) parent.splice(Number(last), 0, structuredClone(old))
  else if (how === 'nudge' && typeof old === 'number')
    parent[last] = old + (typeof value === 'number' ? Math.sign(value) : 1)
  else if (how === 'extra' && old !== null && typeof old === 'object') (old as Json).extra = value
  else parent[last] = value
  return copy
}

const VALUES = [
  null,
  -1,
  0,
  1,
  2,
  3,
  7,
  33,
  300,
  1.5,
  2 ** 31,
  2 ** 53,
  1e300,
  Number.NaN,
  '',
  'x',
  true,
  [],
  {},
  [1, 1],
  [0, 0, 0],
]

/** All a helper does with a plan. */
async function walk(plan: MccPlan): Promise<void> {
  const k = loadKernels()
  const planned = layOut(k, plan)
  planCost(planned)
  const streams = new Streams(k, new Uint8Array(32), plan.rounds)
  const share = await packShare(k, plan, (_, words) => void words.u8().fill(1))
  await dealInference(k, planned, share, { ch: streams, sh: streams, own: streams }, 0, () => undefined)
}

const small = (plan: MccPlan): boolean =>
  plan.steps.every(({ linear }) => linear.every(({ out }) => elementCount(out) < 1e5)) &&
  filterSlots(plan).every(({ words, geometry }) => words < 1e5 && words * geometry.h * geometry.w < 1e7)

describe('checkPlan', () => {
  it('takes what compile makes', () => {
    for (const plan of plans) expect(checkPlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan)
  })

  it('answers every mutation with a typed error, or with a plan that can be walked', async () => {
    let refused = 0
    let walked = 0
    const change = fc.record({
      at: fc.nat(),
      value: fc.constantFrom(...VALUES),
      how: fc.constantFrom('set', 'set', 'delete', 'repeat', 'nudge', 'nudge', 'extra'),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...plans),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        async (plan, changes) => {
          let mutated: unknown = plan
          for (const { at, value, how } of changes) {
            const all = paths(mutated)
            mutated = mutate(mutated, all[at % all.length], value, how)
          }
          let accepted: MccPlan
          try {
            accepted = checkPlan(mutated) as MccPlan
          } catch (error) {
            expect(error).toBeInstanceOf(RingfenceError)
            expect((error as RingfenceError).code).toBe('PLAN_MISMATCH')
            expect((error as RingfenceError).problems.length).toBeGreaterThan(0)
            refused++
            return
          }
          if (!small(accepted)) return
          walked++
          await walk(accepted)
        },
      ),
      { numRuns: 3000, seed: 5 },
    )
    expect(refused).toBeGreaterThan(500)
    expect(walked).toBeGreaterThan(100)
  })

  it.each([null, 1, 'plan', [], {}, { format: 'plan/2' }])('refuses %j', (json) => {
    expect(() => checkPlan(json)).toThrow(RingfenceError)
  })

  it('refuses sums that would be walked exponentially often', () => {
    const shape = [1, 1, 1] as const
    const linear: unknown[] = [
      { op: 'tensor', tensor: 0, out: shape },
      { op: 'lift', of: 0, factor: 1, out: shape },
    ]
    for (let i = 1; i < 200; i++) linear.push({ op: 'add', of: [i, i], out: shape })
    const step = { id: 'y', linear, out: shape, scale: 0, activation: null }
    const around = { ...plans[0], input: { ...plans[0].input, shape } }
    expect(() => checkPlan({ ...around, steps: [step] })).toThrow(/times/)
  })

  it('refuses a comparison without chunks', () => {
    const plan = plans.find(({ steps }) => steps.some(({ activation }) => activation?.relu.kind === 'relu'))!
    const steps = plan.steps.map((step) =>
      step.activation?.relu.kind === 'relu'
        ? { ...step, activation: { ...step.activation, lo: step.activation.bits, chunks: [] } }
        : step,
    )
    expect(() => checkPlan({ ...plan, steps })).toThrow(/chunks/)
  })

  it('refuses a mask whose bits, or whose passed bits, are not one per element of all copies', () => {
    const [first, last] = bent[0].steps
    const due = Math.ceil(elementCount(reluShape(first)) / 8)
    const set = (bytes: number) => toBase64(new Uint8Array(bytes))
    const of = (bits: number, passed: number) => {
      const relu = { kind: 'mask', off: 'zero', bits: set(bits), passed: set(passed) }
      return checkPlan({ ...bent[0], steps: [{ ...first, activation: { ...first.activation, relu } }, last] })
    }
    expect(() => of(due, due)).not.toThrow()
    for (const [bits, passed] of [
      [due + 1, due],
      [due, due - 1],
    ]) {
      expect(() => of(bits, passed)).toThrow(/one mask bit per element/)
    }
  })

  it.each([
    ['one sign too few', { shifts: [0, -9], sum: { signs: [1], plus: 0 } }, /1 signs of 2 copies/],
    ['a shift beyond the opened bits', { shifts: [0, 2 ** 11], sum: null }, /below 2048/],
    ['a constant beyond the opened bits', { shifts: [0, -9], sum: { signs: [1, -1], plus: -(2 ** 11) } }, /below 2048/],
    ['another shape than that of all copies', { shifts: [0, -9, 3], sum: null }, /its last operation makes \[6,3,4\]/],
    ['too many copies', { shifts: new Array(17).fill(0), sum: null }, /a list of 1 to 16/],
  ])('refuses bends with %s', (_, bends, problem) => {
    const plan = bent[bends.sum ? 0 : 1]
    const [first, last] = plan.steps
    const steps = [{ ...first, activation: { ...first.activation, bends } }, last]
    try {
      checkPlan({ ...plan, steps })
    } catch (error) {
      expect((error as RingfenceError).problems.join('\n')).toMatch(problem)
      return
    }
    expect.fail('the plan was taken')
  })
})

it('a plan of a published Seesaw network is taken, though 27 branches that were folded together have long names', () => {
  const choices = Object.fromEntries([...'0000000000000001'].map((bit, i) => [`default_${i + 1}`, Number(bit)]))
  const params = { model: 'cifarsupermodel50' }
  const plan = shapePlan(parseArchitecture({ format: 'arch/1', name: 'seesaw', family: 'seesaw', params, choices }))
  expect(checkPlan(JSON.parse(canonicalJson(plan))).steps).toHaveLength(plan.steps.length)
})
