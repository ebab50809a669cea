// Plans around a single gadget, and what has to come out of it, in BigInt, straight from docs/protocol.md.
import type { ConvGeometry } from '../../../src/kernels/geometry.js'
import type { ReluLayout } from '../../../src/model/relu/layout.js'
import { checkPlan } from '../../../src/plan/check.js'
import { chunksOf } from '../../../src/plan/compile/chunks.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import {
  type Bends,
  elementCount,
  type LinearOp,
  type MapShape,
  type MccPlan,
  type StepRelu,
  stepLayout,
} from '../../../src/plan/plan.js'
import type { MccMasks } from '../../../src/plan/reference/reference.js'

export type Draw = () => number

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function drawFrom(seed: number): Draw {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An integer in [low, high]. */
export const whole = (draw: Draw, low: number, high: number): number => low + Math.floor(draw() * (high - low + 1))

export interface ReluGadget {
  ring: number
  bits: number
  lo: number
  /** Number of chunks, or their widths. */
  chunks: number | readonly number[]
  truncate: number
  shape: MapShape
  /** Over all copies where there are `bends`. */
  relu: StepRelu
  bends?: Bends
}

/** 1×1 depthwise: every element times its channel's weight. */
export function perChannel([c, h, w]: MapShape): ConvGeometry {
  const unit = [1, 1] as const
  return { cin: c, h, w, cout: c, kernel: unit, stride: unit, pad: [0, 0, 0, 0], dilation: unit, groups: c }
}

/** y = x + bias, the gadget, and its result as the network's output. */
export function reluPlan(gadget: ReluGadget, bias: Int32Array): Compiled<MccPlan> {
  const { ring, bits, lo, truncate, shape, relu, bends } = gadget
  const [c, h, w] = shape
  const out: MapShape = bends?.sum === null ? [c * bends.shifts.length, h, w] : shape
  const compares = relu.kind !== 'identity' && relu.kind !== 'zero'
  const chunks = typeof gadget.chunks === 'number' ? chunksOf(bits - lo, gadget.chunks)! : gadget.chunks
  const plan: MccPlan = {
    ...around(shape, ring),
    steps: [
      {
        id: 'y',
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'y', geometry: perChannel(shape), scale: 0, out: shape },
        ],
        out,
        scale: 0,
        activation: { truncate, bits, lo, chunks: compares ? chunks : [], relu, ...(bends && { bends }) },
      },
      {
        id: 'z',
        linear: [
          { op: 'tensor', tensor: 1, out },
          { op: 'lift', of: 0, factor: 1, out },
        ],
        out,
        scale: 0,
        activation: null,
      },
    ],
  }
  const weights = new Map([['0.1', new Int32Array(shape[0]).fill(1)]])
  return { plan: checkPlan(plan) as MccPlan, model: { weights, bias: [bias, new Int32Array(elementCount(out))] } }
}

const around = (shape: readonly number[], ring: number) =>
  ({
    format: 'plan/1',
    backend: 'mcc',
    network: 'gadget',
    ring,
    rounds: 12,
    input: { shape, scale: 0, bits: 20, preprocess: { scale: 1, mean: [0], std: [1] } },
    labels: [],
  }) as const

/** One linear step whose y is the output; `weights` per conv, in the order of the operations. */
export function linearPlan(ring: number, shape: readonly number[], linear: LinearOp[], draw: Draw): Compiled<MccPlan> {
  const { out } = linear[linear.length - 1]
  const step = { id: 'y', linear, out, scale: 0, activation: null }
  const weights = new Map<string, Int32Array>()
  linear.forEach((op, i) => {
    if (op.op !== 'conv') return
    const { cout, cin, groups, kernel } = op.geometry
    const length = cout * (cin / groups) * kernel[0] * kernel[1]
    weights.set(
      `0.${i}`,
      Int32Array.from({ length }, () => whole(draw, -32767, 32767)),
    )
  })
  const bias = [Int32Array.from({ length: elementCount(out) }, () => whole(draw, -(2 ** 31), 2 ** 31 - 1))]
  return { plan: checkPlan({ ...around(shape, ring), steps: [step] }) as MccPlan, model: { weights, bias } }
}

const mod = (x: bigint, bits: number): bigint => BigInt.asUintN(bits, x)

/** One opened value, from y and its masks: what the server opens, what hides it, what the two add up to. */
export interface OpenedValue {
  e: number
  r: number
  /** e + r, signed. */
  v: number
  /** The carry that truncate-reduce loses (E3). */
  carry: number
}

export function openedValue(
  y: bigint,
  m: bigint,
  a: number,
  { ring, bits }: ReluGadget,
  truncate: number,
): OpenedValue {
  const f = BigInt(truncate)
  const share = mod(y - m, ring)
  const mask = mod(m, ring)
  const e = mod((share >> f) - BigInt(a), bits)
  const r = mod((mask >> f) + BigInt(a), bits)
  const low = (1n << f) - 1n
  const carry = (share & low) + (mask & low) > low ? 1 : 0
  return { e: Number(e), r: Number(r), v: Number(BigInt.asIntN(bits, e + r)), carry }
}

/** Whether a window [lo, bits) that is centred by `add` calls e + r negative although it is not, or the reverse (E2). */
export function windowErrs({ e, r, v }: OpenedValue, bits: number, lo: number, add: number): boolean {
  const unit = 2 ** lo
  const moved = (e + add) % 2 ** bits
  const carry = (moved % unit) + (r % unit) >= unit
  // The window sees ⌊(v + add) / 2^lo⌋ less the carry.
  return v >= 0 ? v + add < unit && carry && lo > 0 : v + add >= 0 && !carry
}

export interface ExpectedRun {
  z: number[]
  /** Values of E2: the comparison came out wrong, and how many could have. */
  wrong: number
  atRisk: number
}

/** The same opened value, seen by a copy that is moved by a public shift. */
function moved({ e, r, carry }: OpenedValue, by: number, { bits }: ReluGadget): OpenedValue {
  const there = Number(mod(BigInt(e + by), bits))
  return { e: there, r, v: Number(BigInt.asIntN(bits, BigInt(there + r))), carry }
}

/** z of every element by E1 … E5, from y and the masks of the run. */
export function expectedRelu(
  gadget: ReluGadget,
  compiled: Compiled<MccPlan>,
  y: readonly number[],
  masks: MccMasks,
): ExpectedRun {
  const { bits, lo, truncate, ring, bends } = gadget
  const layout: ReluLayout = stepLayout(compiled.plan.steps[0])!
  const [m, a] = [masks.output(0), masks.opening(0)]
  const size = elementCount(gadget.shape)
  const shiftOf = (copy: number) => (bends?.shifts ?? [0])[Math.floor(copy / size)]
  const big = (i: number) => BigInt(y[i])
  const z = new Array<number>(layout.elements).fill(0)
  const run = { z, wrong: 0, atRisk: 0 }
  const add = lo > 0 ? 2 ** (lo - 1) : 0
  const decide = (value: OpenedValue): boolean => {
    const errs = windowErrs(value, bits, lo, add)
    if (value.v + add >= 0 && value.v + add < 2 ** lo && lo > 0) run.atRisk++
    if (errs) run.wrong++
    return value.v >= 0 !== errs
  }
  // An element is opened once, when the first of its copies needs it.
  const positions = new Map<number, number>()
  const activated = [...layout.switched, ...layout.identity].map((copy) => {
    const i = copy % size
    if (!positions.has(i)) positions.set(i, positions.size)
    const opened = openedValue(big(i), BigInt(m[i]), a[positions.get(i)!], gadget, truncate)
    return moved(opened, shiftOf(copy), gadget)
  })
  const b = new Map<number, boolean>()
  layout.group.forEach((g, s) => {
    if (g < layout.singles) b.set(g, decide(activated[s]))
  })
  const sums = new Map<string, number>()
  for (let p = 0; p < layout.patches; p++) {
    const copies = [...layout.patchElements.subarray(layout.patchStart[p], layout.patchStart[p + 1])]
    const members = copies.map((copy) => copy % size)
    const key = `${members} / ${layout.patchShift[p]}`
    if (!sums.has(key)) sums.set(key, positions.size + sums.size)
    const ySum = members.reduce((sum, i) => sum + big(i), 0n)
    const mSum = members.reduce((sum, i) => sum + BigInt(m[i]), 0n)
    const f = truncate + layout.patchShift[p]
    const opened = openedValue(BigInt.asIntN(ring, ySum), mSum, a[sums.get(key)!], gadget, f)
    const offset = Math.round((members.length * shiftOf(copies[0])) / 2 ** layout.patchShift[p])
    b.set(layout.singles + p, decide(moved(opened, offset, gadget)))
  }
  layout.switched.forEach((copy, s) => {
    if (b.get(layout.group[s])) z[copy] = activated[s].v
  })
  layout.identity.forEach((copy, d) => {
    z[copy] = activated[layout.switched.length + d].v
  })
  const { sum } = bends ?? {}
  if (!sum) return run
  const total = Array.from({ length: size }, (_, i) =>
    sum.signs.reduce((all, sign, j) => all + sign * z[j * size + i], positions.has(i) ? sum.plus : 0),
  )
  return { ...run, z: total }
}
