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

/** How much an activation of one shape compares, switches and passes on, as numbers: no list is made for them. */
export interface ReluCounts {
  /** Elements that a comparison's bit multiplies, and that pass unchanged. */
  readonly switched: number
  readonly passed: number
  /** Comparisons of one element, and of the sum of a patch. */
  readonly singles: number
  readonly patches: number
  /** Elements in patches. */
  readonly patchElements: number
  /** Whether every element comes on, all switched ones before all passed ones. */
  readonly inOrder: boolean
}

/** Counts without laying out: a block layer takes a few steps per channel, a mask one pass over its bits. */
export function reluCounts(relu: LayerRelu, shape: Shape): ReluCounts {
  const elements = elementCount(shape)
  const counts = { switched: 0, passed: 0, singles: 0, patches: 0, patchElements: 0, inOrder: relu.kind !== 'zero' }
  const add = (part: number, count: number) => {
    if (part === Part.switched) counts.switched += count
    else if (part === Part.identity) counts.passed += count
    if (part === Part.zero || (part === Part.switched && counts.passed > 0)) counts.inOrder = false
  }
  if (relu.kind === 'block') {
    const [, h, w] = asMap(shape)
    for (const block of relu.blocks) {
      add(block[1] === 0 ? Part.zero : block[0] === 0 ? Part.identity : Part.switched, h * w)
      const blocks = blockCount(block, h, w)
      const singles = blocks === 0 ? 0 : spansOfOne(block[0], h) * spansOfOne(block[1], w)
      counts.singles += singles
      counts.patches += blocks - singles
      if (blocks > 0) counts.patchElements += h * w - singles
    }
    return counts
  }
  if (relu.kind === 'mask') {
    const partOf = maskParts(relu)
    for (let i = 0; i < elements; i++) add(partOf(i), 1)
  } else if (relu.kind !== 'zero') add(relu.kind === 'relu' ? Part.switched : Part.identity, elements)
  return { ...counts, singles: counts.switched }
}

/** How many of the spans of `length` that cover `size` are one long. */
const spansOfOne = (length: number, size: number): number => (length === 1 ? size : size % length === 1 ? 1 : 0)

function maskParts({ bits, off, passed }: LayerRelu & { kind: 'mask' }): (element: number) => number {
  const rest = off === 'identity' ? Part.identity : Part.zero
  return (i) => (bits[i] === 1 ? Part.switched : passed?.[i] === 1 ? Part.identity : rest)
}

/** Comparisons an activation of this shape needs; a block counts ceil(h/bh) * ceil(w/bw) per channel. */
export function dreluCount(relu: LayerRelu, shape: Shape): number {
  const { singles, patches } = reluCounts(relu, shape)
  return singles + patches
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
    const partOf = maskParts(relu)
    for (let i = 0; i < elements; i++) role[i] = partOf(i)
  } else if (relu.kind !== 'zero') role.fill(relu.kind === 'relu' ? Part.switched : Part.identity)
  return assemble(reluCounts(relu, shape), role, patchOf, Uint8Array.from(shifts))
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

function assemble(counts: ReluCounts, role: Uint8Array, patchOf: Int32Array, patchShift: Uint8Array): ReluLayout {
  const elements = role.length
  const { singles, patches } = counts
  const patchStart = new Int32Array(patches + 1)
  for (const patch of patchOf) if (patch >= 0) patchStart[patch + 1]++
  for (let p = 0; p < patches; p++) patchStart[p + 1] += patchStart[p]
  const patchElements = new Int32Array(counts.patchElements)
  const fill = patchStart.slice(0, patches)
  const switched = new Int32Array(counts.switched)
  const group = new Int32Array(counts.switched)
  const identity = new Int32Array(counts.passed)
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
