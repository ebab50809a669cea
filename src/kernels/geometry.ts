// The shape of a convolution: what packing, kernels and cost formulas agree on.

export interface ConvGeometry {
  /** Input channels. */
  cin: number
  /** Input height. */
  h: number
  /** Input width. */
  w: number
  /** Output channels. */
  cout: number
  /** Kernel height and width. */
  kernel: readonly [number, number]
  stride: readonly [number, number]
  /** Zeros around the image: top, left, bottom, right. */
  pad: readonly [number, number, number, number]
  dilation: readonly [number, number]
  /** Channel groups; divides cin and cout. groups = cin is depthwise. */
  groups: number
}

/** What a window that slides over a map needs to know; one without dilation is as wide as its kernel. */
type Window = Pick<ConvGeometry, 'h' | 'w' | 'kernel' | 'stride' | 'pad'> & Partial<Pick<ConvGeometry, 'dilation'>>

/** Output height and width: ⌊(size + pads - dilation·(kernel - 1) - 1) / stride⌋ + 1 for both axes. */
export function outputSize({ dilation = [1, 1], ...g }: Window): [oh: number, ow: number] {
  const along = (size: number, pads: number, axis: 0 | 1) =>
    Math.max(0, Math.floor((size + pads - dilation[axis] * (g.kernel[axis] - 1) - 1) / g.stride[axis]) + 1)
  return [along(g.h, g.pad[0] + g.pad[2], 0), along(g.w, g.pad[1] + g.pad[3], 1)]
}

/** Elements of the image with its padding, which kernels write out. */
export function paddedSize({ cin, h, w, pad: [top, left, bottom, right] }: ConvGeometry): number {
  return cin * (h + top + bottom) * (w + left + right)
}

/**
 * Rows of 4×4 output tiles and tiles in a row, where a convolution of 32-bit words is quicker by tiles (assembly/ring/conv3x3.ts):
 * kernels of 3×3 and stride 1, enough channels to pay for the sums, little that tiles stick out, and sums of weights (four
 * times as many words) that are read for many tiles or stay in a cache. docs/kernels.md has the measurements.
 */
export function tilesOf(g: ConvGeometry): { readonly high: number; readonly wide: number } | null {
  if (g.groups !== 1 || g.kernel.some((size) => size !== 3) || [...g.stride, ...g.dilation].some((by) => by !== 1))
    return null
  const [oh, ow] = outputSize(g)
  const [high, wide] = [(oh + 3) >> 2, (ow + 3) >> 2]
  const tiles = high * wide
  const channels = Math.min(g.cin, g.cout)
  if (channels < 12 || tiles * channels < 256 || 9 * oh * ow < 1.7 * 64 * tiles) return null
  return tiles >= 16 || 36 * g.cin * g.cout <= 2 ** 20 ? { high, wide } : null
}

/** Words of a filter as convolutions read it, at most: panels of four rows, and the sums of a filter for tiles. */
export function packedWords(g: ConvGeometry, bits: 32 | 64): number {
  const each = bits === 32 && tilesOf(g) ? 36 : g.kernel[0] * g.kernel[1]
  return Math.ceil(g.cout / g.groups / 4) * 4 * g.cin * each
}

/** Rows of tiles at a time: what lies between the sums and the outputs stays in a cache of the second level. */
export const bandOf = ({ cin, cout }: ConvGeometry, { high, wide }: { high: number; wide: number }): number =>
  Math.min(high, Math.max(1, Math.floor(2 ** 21 / (256 * (cin + cout) * wide))))

/** Bytes of the image in its padding, and of scratch, of a convolution by tiles. */
export function tiledBytes(g: ConvGeometry): { readonly image: number; readonly scratch: number } {
  const tiles = tilesOf(g)
  if (!tiles) return { image: 0, scratch: 0 }
  const { high, wide } = tiles
  const band = bandOf(g, tiles)
  return {
    image: 4 * g.cin * (4 * high + 2) * (4 * wide + 2) + 8,
    scratch: 8320 + 128 * wide + 768 + 256 * (g.cin + g.cout) * wide * band + 16,
  }
}

/** Every reason why `g` is no convolution; empty when it is one. */
export function geometryProblems(g: ConvGeometry): string[] {
  const problems: string[] = []
  const whole = (name: string, value: number, low: number) => {
    if (!Number.isSafeInteger(value) || value < low) {
      problems.push(`${name}: expected an integer of at least ${low}, got ${value}`)
    }
  }
  for (const name of ['cin', 'h', 'w', 'cout', 'groups'] as const) whole(name, g[name], 1)
  for (const name of ['kernel', 'stride', 'dilation'] as const) {
    for (const value of g[name]) whole(name, value, 1)
  }
  for (const value of g.pad) whole('pad', value, 0)
  if (problems.length > 0) return problems
  if (g.cin % g.groups !== 0) problems.push(`groups: ${g.groups} does not divide ${g.cin} input channels`)
  if (g.cout % g.groups !== 0) problems.push(`groups: ${g.groups} does not divide ${g.cout} output channels`)
  const [oh, ow] = outputSize(g)
  if (oh < 1 || ow < 1) problems.push(`kernel: ${g.kernel.join('×')} does not fit into the padded ${g.h}×${g.w} image`)
  return problems
}
