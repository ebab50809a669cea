// The transposes of linear steps: from vectors γ over a step's result to Lᵀγ over the tensors it reads, so that
// ⟨γ, L(x)⟩ = ⟨Lᵀγ, x⟩ mod 2^32. A convolution's transpose is a convolution of γ, spread by the stride, with the flipped
// filters of exchanged channels: the ring's own kernel does it. The other operations are short loops: this runs once per
// registration, not per inference.
import { conv32, packConvWeights32 } from '../kernels/conv.js'
import type { ConvGeometry } from '../kernels/geometry.js'
import type { Kernels, Region } from '../kernels/instance.js'
import { add32 } from '../kernels/ring.js'
import { elementCount, type LinearOp, type MapShape } from '../plan/plan.js'
import type { StepLayout } from './layout.js'

/** Where a step's transposes read weights and leave their sums. */
export interface AdjointTarget {
  /** Words of operation `operation`'s filter: [cout, cin/groups, kh, kw]; stays the target's. */
  weights(operation: number): Region
  /** One sum per γ, a u32 word per element of tensor `index`; stays the target's. */
  tensor(index: number): readonly Region[]
}

/**
 * For every γ and every tensor that the step reads: target += Lᵀγ mod 2^32, public factors (`lift`) included.
 * @param gammas one u32 word per element of the step's result each; not changed
 */
export function accumulateAdjoint(
  k: Kernels,
  { step }: Pick<StepLayout, 'step'>,
  gammas: readonly Region[],
  target: AdjointTarget,
): void {
  const ops = step.linear
  const held: (readonly Region[] | undefined)[] = ops.map(() => undefined)
  const last = ops.length - 1
  /** The sums that operation `of` collects from those that read it. */
  const sumsOf = (of: number): readonly Region[] => {
    const op = ops[of]
    if (op.op === 'tensor') return target.tensor(op.tensor)
    held[of] ??= gammas.map(() => k.memory.allocZero(elementCount(op.out) * 4))
    return held[of]
  }
  for (let i = last; i >= 0; i--) {
    const op = ops[i]
    const from = i === last ? gammas : held[i]
    if (!from) continue // nobody reads it, or it is a tensor, whose sums are the target's
    if (op.op === 'tensor') addAll(k, from, target.tensor(op.tensor), op.out)
    else pullBack(k, op, ops, from, sumsOf, () => target.weights(i))
    for (const sum of held[i] ?? []) sum.release(true)
  }
}

function pullBack(
  k: Kernels,
  op: Exclude<LinearOp, { op: 'tensor' }>,
  ops: readonly LinearOp[],
  from: readonly Region[],
  sumsOf: (of: number) => readonly Region[],
  weights: () => Region,
): void {
  switch (op.op) {
    case 'zero':
      break
    case 'add':
      for (const of of op.of) addAll(k, from, sumsOf(of), op.out)
      break
    case 'conv':
      convolveBack(k, op.geometry, op.out, weights(), from, sumsOf(op.of))
      break
    default: {
      const to = sumsOf(op.of)
      from.forEach((gamma, n) => {
        moveBack(op, ops[op.of].out, gamma.u32(), to[n].u32())
      })
    }
  }
}

function addAll(k: Kernels, from: readonly Region[], to: readonly Region[], shape: MapShape): void {
  from.forEach((gamma, n) => {
    add32(k, to[n], gamma, to[n], elementCount(shape))
  })
}

/** to += the transposed convolution of each γ. */
function convolveBack(
  k: Kernels,
  g: ConvGeometry,
  [, oh, ow]: MapShape,
  weights: Region,
  from: readonly Region[],
  to: readonly Region[],
): void {
  const [kh, kw] = g.kernel
  // γ lies in a map so large that a convolution without padding gives the input's size.
  const [above, left] = [g.dilation[0] * (kh - 1) - g.pad[0], g.dilation[1] * (kw - 1) - g.pad[1]]
  const [h, w] = [g.h + g.dilation[0] * (kh - 1), g.w + g.dilation[1] * (kw - 1)]
  const back: ConvGeometry = {
    ...{ cin: g.cout, h, w, cout: g.cin, kernel: g.kernel, stride: [1, 1], pad: [0, 0, 0, 0] },
    ...{ dilation: g.dilation, groups: g.groups },
  }
  const flipped = flip(k, g, weights)
  const packed = packConvWeights32(k, back, flipped)
  const spread = k.memory.alloc(g.cout * h * w * 4)
  from.forEach((gamma, n) => {
    const [source, map] = [gamma.u32(), spread.u32()]
    map.fill(0)
    for (let c = 0; c < g.cout; c++) {
      for (let i = 0, y = above; i < oh; i++, y += g.stride[0]) {
        if (y < 0 || y >= h) continue // read nothing of the map but zeros around it
        for (let j = 0, x = left; j < ow; j++, x += g.stride[1]) {
          if (x >= 0 && x < w) map[(c * h + y) * w + x] = source[(c * oh + i) * ow + j]
        }
      }
    }
    conv32(k, back, spread, packed, to[n], true)
  })
  spread.release(true)
  packed.release(true)
  flipped.release(true)
}

/** [cin, cout/groups, kh, kw] from [cout, cin/groups, kh, kw], every kernel turned by half a turn. */
function flip(k: Kernels, { cin, cout, groups, kernel }: ConvGeometry, weights: Region): Region {
  const [rows, columns, taps] = [cout / groups, cin / groups, kernel[0] * kernel[1]]
  const out = k.memory.alloc(cout * columns * taps * 4)
  const [from, to] = [weights.u32(), out.u32()]
  for (let g = 0; g < groups; g++) {
    for (let o = 0; o < rows; o++) {
      for (let i = 0; i < columns; i++) {
        const [at, end] = [((g * rows + o) * columns + i) * taps, ((g * columns + i) * rows + o + 1) * taps - 1]
        for (let t = 0; t < taps; t++) to[end - t] = from[at + t]
      }
    }
  }
  return out
}

type Move = Extract<LinearOp, { op: 'lift' | 'scale' | 'poolSum' | 'resize' | 'embed' }>

/** to += the transpose of a public operation, whose source has the shape `shape`. */
function moveBack(op: Move, shape: MapShape, gamma: Uint32Array, to: Uint32Array): void {
  const [, h, w] = shape
  const [channels, oh, ow] = op.out
  switch (op.op) {
    case 'poolSum':
      for (let c = 0, at = 0; c < channels; c++) {
        for (let i = 0; i < oh; i++) {
          for (let j = 0; j < ow; j++, at++) poolBack(op, c, i, j, shape, gamma[at], to)
        }
      }
      break
    case 'resize': {
      const unit = 2 ** op.bits
      let at = 0
      for (let c = 0; c < channels; c++) {
        for (const [upper, lower, down] of op.rows) {
          for (const [left, right, across] of op.columns) {
            const word = gamma[at++]
            for (const [row, weight] of [[upper, unit - down] as const, [lower, down] as const]) {
              const line = (c * h + row) * w
              const part = Math.imul(word, weight)
              to[line + left] += Math.imul(part, unit - across)
              to[line + right] += Math.imul(part, across)
            }
          }
        }
      }
      break
    }
    case 'embed': {
      const [c0, top, left] = op.at
      for (let c = Math.max(0, -c0); c < shape[0] && c + c0 < channels; c++) {
        for (let i = 0, y = op.from[0]; y < h && i + top < oh; i++, y += op.stride[0]) {
          if (y < 0 || i + top < 0) continue
          for (let j = 0, x = op.from[1]; x < w && j + left < ow; j++, x += op.stride[1]) {
            if (x < 0 || j + left < 0) continue
            to[(c * h + y) * w + x] += gamma[((c + c0) * oh + i + top) * ow + j + left]
          }
        }
      }
      break
    }
    default: {
      const { factor } = op
      const plane = oh * ow
      for (let i = 0; i < channels * plane; i++) {
        to[i] += Math.imul(gamma[i], typeof factor === 'number' ? factor : factor[i % plane])
      }
    }
  }
}

function poolBack(
  { kernel, stride, pad }: Extract<LinearOp, { op: 'poolSum' }>,
  c: number,
  i: number,
  j: number,
  [, h, w]: MapShape,
  word: number,
  to: Uint32Array,
): void {
  const [top, left] = [i * stride[0] - pad[0], j * stride[1] - pad[1]]
  for (let y = Math.max(0, top); y < Math.min(h, top + kernel[0]); y++) {
    for (let x = Math.max(0, left); x < Math.min(w, left + kernel[1]); x++) to[(c * h + y) * w + x] += word
  }
}
