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
