// The integer reference: runs a plan in plain text, step by step as the formulas stand (docs/protocol.md), with none of
// the kernels. Given the masks of a private run, its result equals the private one bit for bit.
import type { QuantizedModel } from './compile.js'
import { weightKey } from './compile.js'
import { embed } from './lower.js'
import { type Activation, type LinearOp, type MapShape, mapSize, type Plan, type Step, stepLayout } from './plan.js'

/** The masks a private inference used, as the parties derive them. */
export interface Masks {
  /** m of a step, one word per element. */
  output(step: number): Uint32Array
  /** a' of a step: one word per opened value, switched ones first, then passed ones, then one per patch. */
  opening(step: number): Uint32Array
}

export interface ReferenceRun {
  /** y of the last step, signed, at its scale. */
  readonly output: Int32Array
  /** Values that left (-2^(bits-2), 2^(bits-2)): the calibrated range was too small for this input. */
  readonly overflows: number
}

/**
 * @param input fixed-point input, signed, CHW
 * @param masks of one private run; without them carries are zero and windows are exact
 */
export function runReference(plan: Plan, model: QuantizedModel, input: Int32Array, masks?: Masks): ReferenceRun {
  const tensors: Int32Array[] = [input]
  let overflows = 0
  let output: Int32Array = new Int32Array(0)
  plan.steps.forEach((step, index) => {
    const y = linear(step, index, model, tensors)
    for (let i = 0; i < y.length; i++) y[i] = signed(y[i], plan.ring)
    if (!step.activation) {
      output = y
      return
    }
    const run = activate(
      step,
      step.activation,
      plan.ring,
      y,
      masks && { m: masks.output(index), a: masks.opening(index) },
    )
    overflows += run.overflows
    tensors.push(run.out)
  })
  return { output, overflows }
}

const signed = (word: number, bits: number): number => (word << (32 - bits)) >> (32 - bits)

function linear(step: Step, index: number, model: QuantizedModel, tensors: readonly Int32Array[]): Int32Array {
  const values: Int32Array[] = []
  step.linear.forEach((op, i) => {
    values.push(apply(op, values, tensors, model.weights.get(weightKey(index, i)), step.linear))
  })
  const y = values[values.length - 1].slice()
  model.bias[index].forEach((b, i) => {
    y[i] += b
  })
  return y
}

function apply(
  op: LinearOp,
  values: readonly Int32Array[],
  tensors: readonly Int32Array[],
  weights: Int32Array | undefined,
  ops: readonly LinearOp[],
): Int32Array {
  const out = new Int32Array(mapSize(op.out))
  switch (op.op) {
    case 'tensor':
      return tensors[op.tensor]
    case 'zero':
      return out
    case 'conv':
      convolve(op, values[op.of], weights!, out)
      return out
    case 'lift':
    case 'scale': {
      const plane = op.out[1] * op.out[2]
      const { factor } = op
      return values[op.of].map((x, i) => Math.imul(x, typeof factor === 'number' ? factor : factor[i % plane]))
    }
    case 'poolSum':
      poolSum(op, values[op.of], ops[op.of].out, out)
      return out
    case 'embed':
      embed(values[op.of], ops[op.of].out, out, { ...op, shape: op.out })
      return out
    case 'add':
      for (const of of op.of) for (let i = 0; i < out.length; i++) out[i] += values[of][i]
      return out
  }
}

function convolve(
  { geometry: g, out: [, oh, ow] }: Extract<LinearOp, { op: 'conv' }>,
  x: Int32Array,
  w: Int32Array,
  out: Int32Array,
): void {
  const [kh, kw] = g.kernel
  const perGroup = g.cin / g.groups
  for (let c = 0; c < g.cout; c++) {
    const first = Math.floor((c * g.groups) / g.cout) * perGroup
    for (let ci = 0; ci < perGroup; ci++) {
      for (let ky = 0; ky < kh; ky++) {
        for (let kx = 0; kx < kw; kx++) {
          const weight = w[((c * perGroup + ci) * kh + ky) * kw + kx]
          for (let i = 0; i < oh; i++) {
            const y = i * g.stride[0] - g.pad[0] + ky * g.dilation[0]
            if (y < 0 || y >= g.h) continue
            const row = ((first + ci) * g.h + y) * g.w
            const at = (c * oh + i) * ow
            for (let j = 0; j < ow; j++) {
              const z = j * g.stride[1] - g.pad[1] + kx * g.dilation[1]
              if (z >= 0 && z < g.w) out[at + j] += Math.imul(weight, x[row + z])
            }
          }
        }
      }
    }
  }
}

function poolSum(op: Extract<LinearOp, { op: 'poolSum' }>, x: Int32Array, [, h, w]: MapShape, out: Int32Array): void {
  const [channels, oh, ow] = op.out
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < oh; i++) {
      for (let j = 0; j < ow; j++) {
        let sum = 0
        for (let ky = 0; ky < op.kernel[0]; ky++) {
          for (let kx = 0; kx < op.kernel[1]; kx++) {
            const y = i * op.stride[0] - op.pad[0] + ky
            const z = j * op.stride[1] - op.pad[1] + kx
            if (y >= 0 && y < h && z >= 0 && z < w) sum += x[(c * h + y) * w + z]
          }
        }
        out[(c * oh + i) * ow + j] = sum
      }
    }
  }
}

interface StepMasks {
  m: Uint32Array
  a: Uint32Array
}

/** ⌊y / 2^f⌋ less the carry that the two shifted parts of y lose (E3), as a signed integer of `bits` bits. */
function truncated(y: number, m: number | undefined, f: number, { bits }: Activation): number {
  const low = f === 32 ? -1 : (1 << f) - 1
  const carry = m === undefined ? 0 : (((y - m) & low) >>> 0) + ((m & low) >>> 0) >= 2 ** f ? 1 : 0
  return signed((y >> f) - carry, bits)
}

/** b of E1 and E2: the sign as the window sees it. `r` is what the opened value was masked with. */
function sign(v: number, r: number | undefined, { bits, lo }: Activation): boolean {
  if (lo === 0 || r === undefined) return v >= 0
  const e = ((v - r) & (2 ** bits - 1)) + 2 ** (lo - 1)
  const carry = (e % 2 ** lo) + (r % 2 ** lo) >= 2 ** lo ? 1 : 0
  const centred = v + 2 ** (lo - 1)
  return signed(Math.floor(centred / 2 ** lo) - carry, bits - lo) >= 0
}

function activate(
  step: Step,
  a: Activation,
  ring: number,
  y: Int32Array,
  masks?: StepMasks,
): { out: Int32Array; overflows: number } {
  const layout = stepLayout(step)!
  const low = 2 ** a.bits - 1
  const out = new Int32Array(layout.elements)
  const limit = 2 ** (a.bits - 2)
  let overflows = 0
  const value = (i: number): number => {
    const v = truncated(y[i], masks?.m[i], a.truncate, a)
    if (v >= limit || v < -limit) overflows++
    return v
  }
  const mask = (i: number, position: number): number | undefined =>
    masks && ((masks.m[i] >>> a.truncate) + masks.a[position]) & low
  const b = new Array<boolean>(layout.singles + layout.patches)
  const values = Array.from(layout.switched, value)
  layout.group.forEach((g, s) => {
    if (g < layout.singles) b[g] = sign(values[s], mask(layout.switched[s], s), a)
  })
  const opened = layout.switched.length + layout.identity.length
  for (let p = 0; p < layout.patches; p++) {
    const members = layout.patchElements.subarray(layout.patchStart[p], layout.patchStart[p + 1])
    const sum = signed(
      members.reduce((s, i) => (s + y[i]) | 0, 0),
      ring,
    )
    const m = masks && members.reduce((s, i) => (s + masks.m[i]) | 0, 0)
    const f = a.truncate + layout.patchShift[p]
    const r = masks && ((m! >>> f) + masks.a[opened + p]) & low
    b[layout.singles + p] = sign(truncated(sum, m, f, a), r, a)
  }
  layout.switched.forEach((i, s) => {
    out[i] = b[layout.group[s]] ? values[s] : 0
  })
  for (const i of layout.identity) out[i] = value(i)
  return { out, overflows }
}
