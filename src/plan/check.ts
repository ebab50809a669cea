// A plan that came from a peer, checked before anything is allocated for it: structure, shapes, widths, and that every
// path through a linear step meets the weights exactly once.
import { RingfenceError, throwIfAny } from '../errors.js'
import { geometryProblems, outputSize, paddedSize } from '../kernels/geometry.js'
import { problemsOf } from '../model/json/form.js'
import { fromBase64 } from '../model/relu/mask-bits.js'
import { aligned } from './compile/chunks.js'
import { curveProblems } from './curves/check.js'
import { planForm } from './form.js'
import { guardProblems } from './guard.js'
import { maxPoolProblems, winsProblems } from './max-pools.js'
import { outputProblems } from './outputs.js'
import {
  type Activation,
  asMap,
  type Bends,
  type Blend,
  elementCount,
  type Guard,
  type LinearOp,
  linearShape,
  type MapShape,
  type MccActivation,
  type MccPlan,
  maxPoolOf,
  type Plan,
  reluShape,
  type SecurennActivation,
  type Step,
  type StepRelu,
} from './plan.js'
import { productProblems } from './products.js'
import { quadraticProblems } from './quadratics.js'

/** No tensor of a plan is larger; bounds what a peer can make a party allocate. */
const MAX_ELEMENTS = 2 ** 26
/** Shifts of 64-bit values stay where plain-text reruns are exact. */
const MAX_SHIFT = 2 ** 52
/** Sums are evaluated anew wherever they are read: sums of sums could keep a party busy for ever. */
const MAX_EVALUATIONS = 4096

/** @throws RingfenceError PLAN_MISMATCH listing every problem */
export function checkPlan(json: unknown): Plan {
  throwIfAny('PLAN_MISMATCH', 'this is not a plan this version can walk', problemsOf(planForm, json, 'plan'))
  const plan = json as Plan
  const problems = [...plan.steps.flatMap((step, index) => stepProblems(plan, step, index)), ...outputProblems(plan)]
  if (elementCount(asMap(plan.input.shape)) > MAX_ELEMENTS)
    problems.unshift(`input: more than 2^${Math.log2(MAX_ELEMENTS)} elements`)
  if (problems.length === 0 && plan.backend === 'mcc' && plan.guard) problems.push(...signProblems(plan, plan.guard))
  if (problems.length > 0) {
    throw new RingfenceError('PLAN_MISMATCH', 'the plan contradicts itself', problems.slice(0, 20))
  }
  return plan
}

function signProblems(plan: MccPlan, guard: Guard): string[] {
  const problems = guardProblems(plan, guard)
  if (!guard.signs) return problems.map((problem) => `guard: ${problem}`)
  const { bits, chunks } = guard.signs
  const covered = chunks.reduce((sum, c) => sum + c, 0)
  if (covered !== bits || !aligned(chunks)) problems.push(`chunks [${chunks}] cannot be laid out over ${bits} bits`)
  const widest = Math.max(...plan.steps.map(({ activation }) => activation?.bits ?? 0))
  if (widest > bits) problems.push(`${bits} bits are compared once more, a step opens ${widest}`)
  return problems.map((problem) => `guard: ${problem}`)
}

function stepProblems(plan: Plan, step: Step, index: number): string[] {
  const problems: string[] = []
  const last = index === plan.steps.length - 1
  const goesOut = step.activation === null && !step.product
  if (last !== goesOut) problems.push('only the last step goes out without an activation')
  if (step.product && step.activation) problems.push('a product has no activation')
  const weighted: boolean[] = []
  const evaluations: number[] = []
  step.linear.forEach((op, i) => {
    problems.push(...operationProblems(plan, step, index, op, i, weighted))
    evaluations[i] = sourcesOf(op).reduce((sum, of) => sum + (evaluations[of] ?? 0), 1)
  })
  const most = Math.max(...evaluations)
  if (most > MAX_EVALUATIONS)
    problems.push(`its operations are read ${most} times, at most ${MAX_EVALUATIONS} are allowed`)
  const result = step.activation?.bends?.sum === null ? reluShape(step) : linearShape(step)
  if (!maxPoolOf(step) && !same(result, step.out))
    problems.push(`the step has shape [${step.out}], its last operation makes [${result}]`)
  if (step.product) problems.push(...productProblems(plan.ring, step, step.product))
  else if (!weighted[step.linear.length - 1]) problems.push('its result never met weights')
  if (step.activation) problems.push(...activationProblems(plan.ring, step, step.activation))
  return problems.map((problem) => `step ${index} (${step.id}): ${problem}`)
}

const same = (a: MapShape, b: MapShape): boolean => a.every((n, i) => n === b[i])

/** The operations whose values an operation reads. */
function sourcesOf(op: LinearOp): readonly number[] {
  if (!('of' in op)) return []
  return typeof op.of === 'number' ? [op.of] : op.of
}

/** Shape of a tensor that exists before step `index`, or null. */
function tensorBefore(plan: Plan, index: number, tensor: number): MapShape | null {
  if (tensor === 0) return asMap(plan.input.shape)
  return tensor <= index ? plan.steps[tensor - 1].out : null
}

function operationProblems(
  plan: Plan,
  step: Step,
  index: number,
  op: LinearOp,
  i: number,
  weighted: boolean[],
): string[] {
  const problems: string[] = []
  if (elementCount(op.out) > MAX_ELEMENTS) problems.push(`more than 2^${Math.log2(MAX_ELEMENTS)} elements`)
  const inputs = sourcesOf(op)
  if (inputs.some((of) => of >= i)) return [`operation ${i} reads a later one`]
  const sources = inputs.map((of) => step.linear[of])
  const [source] = sources
  const sorts = inputs.map((of, n) => sources[n].op === 'zero' || weighted[of])
  const negates = op.op === 'scale' && op.factor === -1
  weighted[i] = op.op === 'conv' || op.op === 'lift' || op.op === 'zero' || (sorts.length > 0 && sorts.every(Boolean))
  if (
    (op.op === 'conv' || op.op === 'lift' || (op.op === 'scale' && !negates)) &&
    weighted[inputs[0]] &&
    source.op !== 'zero'
  ) {
    problems.push(`operation ${i} weights a value twice`)
  }
  if (op.op === 'add') {
    if (sorts.some((sort) => sort !== sorts[0])) problems.push(`operation ${i} adds weighted to unweighted values`)
    const alike = (out: MapShape) =>
      sources.length === 1 ? elementCount(out) === elementCount(op.out) : same(out, op.out)
    if (sources.some(({ out }) => !alike(out))) problems.push(`operation ${i} adds unlike shapes`)
  }
  problems.push(...shapeProblems(plan, index, op, i, source))
  return problems
}

function shapeProblems(plan: Plan, index: number, op: LinearOp, i: number, source: LinearOp | undefined): string[] {
  const wrong = [`operation ${i} (${op.op}) has a shape that does not follow from its input`]
  switch (op.op) {
    case 'tensor': {
      const shape = tensorBefore(plan, index, op.tensor)
      return shape && elementCount(shape) === elementCount(op.out) ? [] : wrong
    }
    case 'conv': {
      const { geometry: g } = op
      const problems = geometryProblems(g)
      if (problems.length > 0) return problems
      if (g.cin * g.h * g.w !== elementCount(source!.out)) return wrong
      if (paddedSize(g) > MAX_ELEMENTS)
        return [`operation ${i} pads to more than 2^${Math.log2(MAX_ELEMENTS)} elements`]
      return same([g.cout, ...outputSize(g)], op.out) ? [] : wrong
    }
    case 'lift':
    case 'scale': {
      const perPosition = typeof op.factor === 'number' || op.factor.length === op.out[1] * op.out[2]
      return elementCount(source!.out) === elementCount(op.out) && perPosition ? [] : wrong
    }
    case 'resize': {
      const [c, h, w] = source!.out
      const inside = ([first, second, weight]: Blend, size: number) =>
        first < size && second < size && weight <= 2 ** op.bits
      const fits = op.rows.every((line) => inside(line, h)) && op.columns.every((line) => inside(line, w))
      return fits && same([c, op.rows.length, op.columns.length], op.out) ? [] : wrong
    }
    case 'poolSum': {
      const reach = [0, 1].map((axis) => (op.out[axis + 1] - 1) * op.stride[axis] + op.kernel[axis])
      return source!.out[0] === op.out[0] && Math.max(...reach) <= MAX_ELEMENTS ? [] : wrong
    }
    default:
      return []
  }
}

function activationProblems(ring: number, step: Step, a: Activation): string[] {
  const problems = 'bits' in a ? mccProblems(ring, step, a) : securennProblems(a)
  const shape = reluShape(step)
  if (a.relu.kind === 'block' && a.relu.blocks.length !== shape[0]) problems.push('one block per channel is due')
  if (a.relu.kind === 'mask') {
    const { bits, passed = bits } = a.relu
    const due = Math.ceil(elementCount(shape) / 8)
    if ([bits, passed].some((set) => fromBase64(set).length !== due)) problems.push('one mask bit per element is due')
  }
  if (a.bends) problems.push(...bendProblems(a.bends, shape, 'bits' in a ? 2 ** (a.bits - 1) : MAX_SHIFT))
  return problems
}

function bendProblems({ shifts, sum }: Bends, shape: MapShape, limit: number): string[] {
  const problems: string[] = []
  if (elementCount(shape) > MAX_ELEMENTS) problems.push(`more than 2^${Math.log2(MAX_ELEMENTS)} elements in all copies`)
  if (sum && sum.signs.length !== shifts.length) problems.push(`${sum.signs.length} signs of ${shifts.length} copies`)
  if ([...shifts, sum?.plus ?? 0].some((shift) => Math.abs(shift) >= limit)) {
    problems.push(`shifts stay below ${limit}`)
  }
  return problems
}

const compares = ({ kind }: StepRelu): boolean => kind === 'relu' || kind === 'block' || kind === 'mask'

function mccProblems(ring: number, step: Step, a: MccActivation): string[] {
  const problems: string[] = []
  const area = largestBlock(a.relu, linearShape(step))
  if (a.bits + a.truncate + Math.ceil(Math.log2(area)) > ring) {
    problems.push(
      `${a.bits} opened bits after dropping ${a.truncate} of blocks of ${area} do not fit ${ring} ring bits`,
    )
  }
  const window = a.chunks.reduce((sum, c) => sum + c, 0)
  if (compares(a.relu) && (window !== a.bits - a.lo || window < 1))
    problems.push(`chunks cover ${window} bits of a window of ${a.bits - a.lo}`)
  if (compares(a.relu) && !aligned(a.chunks)) problems.push(`chunks [${a.chunks}] cannot be laid out`)
  if (a.chunks.length > 16) problems.push('more than 16 chunks')
  if (a.curve) problems.push(...curveProblems(ring, step, a, a.curve))
  if (a.quadratic) problems.push(...quadraticProblems(ring, a, a.quadratic))
  if (a.maxPool) problems.push(...maxPoolProblems(step, a))
  if (a.wins) problems.push(...winsProblems(step, a))
  return problems
}

function securennProblems({ ignoredMsb, ignoredLsb }: SecurennActivation): string[] {
  return ignoredLsb <= ignoredMsb
    ? []
    : [`${ignoredLsb} low bits are ignored, at most as many as the ${ignoredMsb} high ones`]
}

const largestBlock = (relu: StepRelu, [, h, w]: MapShape): number =>
  relu.kind === 'block'
    ? relu.blocks.reduce((area, [bh, bw]) => Math.max(area, Math.min(bh, h) * Math.min(bw, w)), 1)
    : 1
