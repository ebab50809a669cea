// The integer reference of `mcc`: runs a plan in plain text, step by step as the formulas stand (docs/protocol.md), with none of
// the kernels. Given the masks of a private run, its result equals the private one bit for bit.
import type { QuantizedModel } from '../compile/compile.js'
import { weightKey } from '../compile/compile.js'
import { bentResult, openings } from '../openings.js'
import { type MccActivation, type MccPlan, type Step, stepLayout } from '../plan.js'
import { type CurveMasks, followCurve } from './curve.js'
import { int32, linearReference } from './linear.js'
import { maximaOf, winsOf } from './max-pool.js'
import { multiply, type ProductMasks } from './product.js'
import { type QuadraticMasks, sumQuadratics } from './quadratic.js'

/** The masks a private inference on `mcc` used, as the parties derive them. */
export interface MccMasks extends ProductMasks, CurveMasks, QuadraticMasks {
  /** m of a step, one word per element. */
  output(step: number): Uint32Array
  /** a' of a step: one word per opened value, in the order of `openings`, then one per opened patch sum. */
  opening(step: number): Uint32Array
}

/** What a plain run of a plan gives. */
export interface ReferenceRun {
  /** y of the last step, signed, at its scale. */
  readonly output: Int32Array
  /** Values that left (-2^(bits-2), 2^(bits-2)): the calibrated range was too small for this input. */
  readonly overflows: number
  /** The input and the result of every step but the last, signed; on `mcc` alone. */
  readonly tensors?: readonly Int32Array[]
}

/**
 * @param input fixed-point input, signed, CHW
 * @param masks of one private run; without them carries are zero and windows are exact
 */
export function runMccReference(
  plan: MccPlan,
  model: QuantizedModel<MccPlan>,
  input: Int32Array,
  masks?: MccMasks,
): ReferenceRun {
  const tensors: Int32Array[] = [input]
  let overflows = 0
  let output: Int32Array = new Int32Array(0)
  plan.steps.forEach((step, index) => {
    if (step.product) {
      const run = multiply(step, plan.ring, tensors, masks, index)
      overflows += run.overflows
      tensors.push(run.out)
      return
    }
    const y = linearReference(int32, step, tensors, (i) => model.weights.get(weightKey(index, i))!)
    const bias = model.bias[index]
    const share = y.length / bias.length
    for (let i = 0; i < y.length; i++) y[i] = signed(y[i] + bias[Math.floor(i / share)], plan.ring)
    if (!step.activation) {
      output = y
      return
    }
    const run = activate(
      step,
      step.activation,
      plan.ring,
      y,
      masks && {
        ...{ m: masks.output(index), a: masks.opening(index) },
        halves: (entries) => masks.curve(index, entries),
        fresh: () => masks.fresh(index),
      },
    )
    overflows += run.overflows
    tensors.push(run.out)
  })
  return { output, overflows, tensors }
}

const signed = (word: number, bits: number): number => (word << (32 - bits)) >> (32 - bits)

interface StepMasks {
  m: Uint32Array
  a: Uint32Array
  halves(entries: Uint32Array): Uint32Array
  fresh(): Uint32Array
}

/** ⌊y / 2^f⌋ less the carry that the two shifted parts of y lose (E3), as a signed integer of `bits` bits. */
function truncated(y: number, m: number | undefined, f: number, { bits }: MccActivation): number {
  const low = f === 32 ? -1 : (1 << f) - 1
  const carry = m === undefined ? 0 : (((y - m) & low) >>> 0) + ((m & low) >>> 0) >= 2 ** f ? 1 : 0
  return signed((y >> f) - carry, bits)
}

/** b of E1 and E2: the sign as the window sees it. `r` is what the opened value was masked with. */
function sign(v: number, r: number | undefined, { bits, lo }: MccActivation): boolean {
  if (lo === 0 || r === undefined) return v >= 0
  const e = ((v - r) & (2 ** bits - 1)) + 2 ** (lo - 1)
  const carry = (e % 2 ** lo) + (r % 2 ** lo) >= 2 ** lo ? 1 : 0
  const centred = v + 2 ** (lo - 1)
  return signed(Math.floor(centred / 2 ** lo) - carry, bits - lo) >= 0
}

function activate(
  step: Step,
  a: MccActivation,
  ring: number,
  y: Int32Array,
  masks?: StepMasks,
): { out: Int32Array; overflows: number } {
  const layout = stepLayout(step)!
  const open = openings(step, layout)
  const low = 2 ** a.bits - 1
  const limit = 2 ** (a.bits - 2)
  const beyond = (values: ArrayLike<number>) => Array.from(values).filter((v) => v >= limit || v < -limit).length
  const values = open.elements.map((i) => truncated(y[i], masks?.m[i], a.truncate, a))
  const r = (position: number): number | undefined =>
    masks && ((masks.m[open.elements[position]] >>> a.truncate) + masks.a[position]) & low
  if (a.curve) {
    const masked = masks && { r: values.map((_, position) => r(position)!), halves: masks.halves }
    return followCurve(values, a, a.curve, ring, masked)
  }
  if (a.maxPool) {
    const unlike = (i: number, j: number) => masks && (r(i)! - r(j)!) & low
    return maximaOf(step, a, values, (i, j) => sign(signed(values[i] - values[j], a.bits), unlike(i, j), a))
  }
  if (a.wins) return { out: winsOf(step, a, values), overflows: beyond(values) }
  const shifts = open.runs.flatMap(({ count, shift }) => new Array<number>(count).fill(shift))
  const copies = Array.from(open.openedOf, (position, copy) => signed(values[position] + shifts[copy], a.bits))
  const b = new Array<boolean>(layout.singles + layout.patches)
  layout.group.forEach((g, s) => {
    if (g < layout.singles) b[g] = sign(copies[s], r(open.openedOf[s]), a)
  })
  if (a.quadratic) {
    const size = values.length
    const on = (value: number, copy: number) => b[layout.group[copy * size + value]]
    const given = { values, r: masks && ((i: number) => r(i)!), on, fresh: masks?.fresh() }
    const out = sumQuadratics(given, { ...a, bends: a.bends! }, a.quadratic, ring)
    return { out, overflows: beyond(values) }
  }
  const sums = Array.from(open.patchShift, (shift, p) => {
    const members = open.patchElements.subarray(open.patchStart[p], open.patchStart[p + 1])
    const sum = signed(
      members.reduce((s, i) => (s + y[i]) | 0, 0),
      ring,
    )
    const m = masks && members.reduce((s, i) => (s + masks.m[i]) | 0, 0)
    const f = a.truncate + shift
    return { v: truncated(sum, m, f, a), r: masks && ((m! >>> f) + masks.a[values.length + p]) & low }
  })
  open.patchOf.forEach((sum, p) => {
    b[layout.singles + p] = sign(signed(sums[sum].v + open.patchOffset[p], a.bits), sums[sum].r, a)
  })
  const out = new Int32Array(layout.elements)
  layout.switched.forEach((i, s) => {
    out[i] = b[layout.group[s]] ? copies[s] : 0
  })
  layout.identity.forEach((i, s) => {
    out[i] = copies[layout.switched.length + s]
  })
  return { out: bentResult(step, out, layout), overflows: beyond(copies) }
}
