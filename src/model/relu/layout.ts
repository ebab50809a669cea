// Where the comparisons of one activation layer lie: which elements each one tests and which it switches.
import type { Pair } from '../layers/layers.js'
import { asMap, elementCount, type Shape } from '../shape.js'

/** Which bits of a 64-bit value the published approximate comparison looks at. */
export interface ComparisonWindow {
  readonly fractionBits?: number
  /** Low bits it does not look at; of all channels, or one number for each. */
  readonly lsbIgnored?: number | readonly number[]
  /** High bits it does not look at; of all channels, or one number for each. */
  readonly msbIgnored?: number | readonly number[]
}

/** What an activation layer does. */
export type LayerRelu =
  | { readonly kind: 'relu'; readonly comparison?: ComparisonWindow }
  | { readonly kind: 'identity' }
  | { readonly kind: 'zero' }
  /** One [height, width] per channel; [1,1] plain ReLU, [0,1] identity, [1,0] zero. */
  | { readonly kind: 'block'; readonly blocks: readonly Pair[]; readonly comparison?: ComparisonWindow }
  /** One byte per element, CHW: 1 for a ReLU, 0 for what `off` says. */
  | {
      readonly kind: 'mask'
      readonly bits: Uint8Array
      readonly off: 'identity' | 'zero'
      /** One byte per element: 1 where an element passes unchanged although it has no ReLU and `off` says zero. */
      readonly passed?: Uint8Array
      readonly comparison?: ComparisonWindow
    }

/** Elements are numbered in CHW order. */
export interface ReluLayout {
  readonly elements: number
  /** Elements multiplied by a comparison's bit, ascending. */
  readonly switched: Int32Array
  /** The comparison of each switched element. */
  readonly group: Int32Array
  /** Elements passed on unchanged, ascending; all elements in neither list become zero. */
  readonly identity: Int32Array
  /** Comparisons 0 … singles-1 test one element each, in ascending element order. */
  readonly singles: number
  /** Comparisons singles … singles+patches-1 test the sum of a patch of more than one element. */
  readonly patches: number
  /** Compressed rows over `patchElements`: patches + 1 entries. */
  readonly patchStart: Int32Array
  readonly patchElements: Int32Array
  /** Per patch ceil(log2(area)) of a whole block, cut to the map: patch sum >> shift has the range of a mean. */
  readonly patchShift: Uint8Array
}

const Part = {
  zero: 0,
  identity: 1,
  switched: 2,
} as const

/** Comparisons an activation of this shape needs; a block counts ceil(h/bh) * ceil(w/bw) per channel. */
export function dreluCount(relu: LayerRelu, shape: Shape): number {
  switch (relu.kind) {
    case 'relu':
      return elementCount(shape)
    case 'block': {
      const [, h, w] = asMap(shape)
      return relu.blocks.reduce((sum, block) => sum + blockCount(block, h, w), 0)
    }
    case 'mask':
      return relu.bits.reduce((sum, bit) => sum + bit, 0)
    default:
      return 0
  }
}

/** Number of blocks that cover an h x w map; none for [0,1] and [1,0]. */
export function blockCount([bh, bw]: Pair, h: number, w: number): number {
  return bh === 0 || bw === 0 ? 0 : Math.ceil(h / bh) * Math.ceil(w / bw)
}

/** Lays out the comparisons of an activation of shape [c,h,w] or [n]. */
export function reluLayout(relu: LayerRelu, shape: Shape): ReluLayout {
  const elements = elementCount(shape)
  const role = new Uint8Array(elements)
  const patchOf = new Int32Array(elements).fill(-1)
  const shifts: number[] = []
  if (relu.kind === 'block') markBlocks(relu.blocks, asMap(shape), role, patchOf, shifts)
  else if (relu.kind === 'mask') {
    const off = relu.off === 'identity' ? Part.identity : Part.zero
    for (let i = 0; i < elements; i++) {
      role[i] = relu.bits[i] === 1 ? Part.switched : relu.passed?.[i] === 1 ? Part.identity : off
    }
  } else if (relu.kind !== 'zero') role.fill(relu.kind === 'relu' ? Part.switched : Part.identity)
  return assemble(role, patchOf, Uint8Array.from(shifts))
}

function markBlocks(
  blocks: readonly Pair[],
  [channels, h, w]: readonly [number, number, number],
  role: Uint8Array,
  patchOf: Int32Array,
  shifts: number[],
): void {
  for (let c = 0; c < channels; c++) {
    const [bh, bw] = blocks[c]
    const start = c * h * w
    if (bw === 0) continue
    role.fill(bh === 0 ? Part.identity : Part.switched, start, start + h * w)
    if (bh === 0 || bh * bw === 1) continue
    const shift = Math.ceil(Math.log2(Math.min(bh, h) * Math.min(bw, w)))
    for (let top = 0; top < h; top += bh) {
      for (let left = 0; left < w; left += bw) {
        const bottom = Math.min(top + bh, h)
        const right = Math.min(left + bw, w)
        if ((bottom - top) * (right - left) === 1) continue
        for (let y = top; y < bottom; y++) patchOf.fill(shifts.length, start + y * w + left, start + y * w + right)
        shifts.push(shift)
      }
    }
  }
}

function assemble(role: Uint8Array, patchOf: Int32Array, patchShift: Uint8Array): ReluLayout {
  const elements = role.length
  const patches = patchShift.length
  const patchStart = new Int32Array(patches + 1)
  const counts = [0, 0, 0]
  let singles = 0
  for (let i = 0; i < elements; i++) {
    counts[role[i]]++
    if (role[i] !== Part.switched) continue
    if (patchOf[i] < 0) singles++
    else patchStart[patchOf[i] + 1]++
  }
  for (let p = 0; p < patches; p++) patchStart[p + 1] += patchStart[p]
  const patchElements = new Int32Array(patchStart[patches])
  const fill = patchStart.slice(0, patches)
  const switched = new Int32Array(counts[Part.switched])
  const group = new Int32Array(counts[Part.switched])
  const identity = new Int32Array(counts[Part.identity])
  let s = 0
  let d = 0
  let single = 0
  for (let i = 0; i < elements; i++) {
    if (role[i] === Part.identity) identity[d++] = i
    if (role[i] !== Part.switched) continue
    const patch = patchOf[i]
    switched[s] = i
    group[s++] = patch < 0 ? single++ : singles + patch
    if (patch >= 0) patchElements[fill[patch]++] = i
  }
  return { elements, switched, group, identity, singles, patches, patchStart, patchElements, patchShift }
}
