// Plans that are well-formed and would make who walks them read beside its tensors, or write out gigabytes.
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { loadKernels, upload } from '../../src/kernels/instance.js'
import { poolSum32, poolSum64 } from '../../src/kernels/planes.js'
import { readPlan } from '../../src/party/received-plan.js'
import { checkPlan } from '../../src/plan/check.js'
import { canonicalJson, type LinearOp, type Plan, planDigest } from '../../src/plan/plan.js'
import { layOut } from '../../src/protocol/step.js'

/** One step over an input of this shape. */
function planOf(shape: readonly number[], linear: readonly LinearOp[]): Plan {
  return {
    format: 'plan/1',
    backend: 'securenn',
    network: 'hostile',
    ring: 64,
    rounds: 12,
    input: { shape, scale: 0, bits: 16, preprocess: { scale: 1, mean: [], std: [] } },
    labels: [],
    steps: [{ id: 'y', linear, out: linear[linear.length - 1].out, scale: 0, activation: null }],
  }
}

const read = (plan: Plan) => readPlan(new TextEncoder().encode(canonicalJson(plan)), planDigest(plan))

function problemsOf(task: () => unknown): string {
  try {
    task()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    expect((error as RingfenceError).code).toBe('PLAN_MISMATCH')
    return (error as RingfenceError).problems.join('\n')
  }
  return ''
}

const conv = (of: number, h: number, pad: number, stride: number): LinearOp => {
  const out = Math.floor((h + 2 * pad - 1) / stride) + 1
  const [one, stride2, pads] = [[1, 1], [stride, stride], [pad, pad, pad, pad]] as const // biome-ignore format: a list
  const geometry = { cin: 1, h, w: h, cout: 1, kernel: one, stride: stride2, pad: pads, dilation: one, groups: 1 }
  return { op: 'conv', of, layer: 'c', geometry, scale: 0, out: [1, out, out] }
}
const tensor = (shape: readonly [number, number, number]): LinearOp => ({ op: 'tensor', tensor: 0, out: shape })

describe('a plan from a peer', () => {
  it('has no pooling window so far out that its position wraps to memory before the image', () => {
    // Window 128 begins at 2^31 - 128 and ends beyond 2^31: the sum would be of the 128 words before x.
    const pool = { kernel: [1, 129], stride: [1, 2 ** 24 - 1], pad: [0, 0, 0, 0] } as const
    const out = [1, 1, 129] as const
    const linear: LinearOp[] = [tensor([1, 1, 1]), { op: 'poolSum', of: 0, ...pool, out }]
    linear.push({ op: 'lift', of: 1, factor: 1, out })
    expect(problemsOf(() => checkPlan(planOf([1, 1, 1], linear)))).toMatch(/operation 1 \(poolSum\) has a shape/)

    const k = loadKernels()
    upload(k.memory, new Uint32Array(128).fill(7)) // whatever lies there belongs to somebody else
    const x = upload(k.memory, new Uint32Array(16))
    const y = upload(k.memory, new Uint32Array(2 * 144))
    const geometry = { c: 1, h: 1, w: 1, ...pool, out: [1, 129] as const }
    for (const call of [poolSum32, poolSum64]) expect(() => call(k, geometry, x, y)).toThrow(/reach right/)
    expect([...y.u32()].every((word) => word === 0)).toBe(true)
    const down = { ...geometry, kernel: [129, 1], stride: [2 ** 24 - 1, 1], out: [129, 1] } as const
    expect(() => poolSum32(k, down, x, y)).toThrow(/reach down/)
  })

  it('has no input larger than any tensor, also when no step reads it', () => {
    const shape = [2 ** 13, 2 ** 13, 3]
    expect(problemsOf(() => checkPlan(planOf(shape, [{ op: 'zero', out: [1, 1, 1] }])))).toMatch(/input: more than/)
    expect(problemsOf(() => checkPlan(planOf([5], [{ op: 'zero', out: [1, 1, 1] }])))).toBe('')
  })

  it('pads no image beyond the largest tensor, and few to that', () => {
    const one = tensor([1, 1, 1])
    expect(problemsOf(() => checkPlan(planOf([1, 1, 1], [one, conv(0, 1, 5000, 4999)])))).toMatch(/pads to more than/)
    const many = Array.from({ length: 3 }, () => conv(0, 1, 4000, 3999))
    const sum: LinearOp = { op: 'add', of: [1, 2, 3], out: many[0].out }
    expect(problemsOf(() => checkPlan(planOf([1, 1, 1], [one, ...many, sum])))).toBe('')
    expect(problemsOf(() => read(planOf([1, 1, 1], [one, ...many, sum])))).toMatch(/values in one step/)
    expect(problemsOf(() => read(planOf([1, 8, 8], [tensor([1, 8, 8]), conv(0, 8, 3, 2)])))).toBe('')
  })

  it('makes index maps of the size of their elements, and nothing larger', () => {
    const shape = [1, 2 ** 12, 2 ** 12] as const
    const plan = planOf([1], [{ op: 'zero', out: shape }])
    const activation = { truncate: 0, ignoredMsb: 0, ignoredLsb: 0, relu: { kind: 'zero' } } as const
    const steps = [{ ...plan.steps[0], activation }]
    const before = process.memoryUsage().heapUsed
    layOut(loadKernels(), { ...plan, steps } as Plan)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2 ** 26)
  })
})
