// Nodes of a TF.js graph model that slide a window over a map, multiply by a matrix, or make a map of another size.
import { quote } from '../../../model/json/fields.js'
import type { Pad, Pair } from '../../../model/layers/layers.js'
import { formatShape } from '../../../model/shape.js'
import type { Value } from '../../arch-draft.js'
import { bilinearMode, COORDINATES, isNearest, ROUNDINGS } from '../../resize-sampling.js'
import { reachOf, samePadding } from '../../window-padding.js'
import type { TfWindow } from '../emit.js'
import { fused } from './fused.js'
import { type Blocks, madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

export const conv: NodeRead = (n) => convolution(n, (x, kernel, window, bias) => n.conv(x, kernel, window, bias))

export const depthwise: NodeRead = (n) =>
  convolution(n, (x, kernel, window, bias) => n.depthwise(x, kernel, window, bias))

function convolution(
  n: NodeReader,
  emit: (...given: Parameters<typeof n.conv>) => Value | undefined,
): TfKnown | undefined {
  const kernel = n.floats(1)
  const x = n.value()
  const { bias, activate } = fused(n)
  const window = n.window()
  if (!kernel || !x || !window || n.failed) return undefined
  const blocks = n.blocks()
  if (!blocks) {
    const made = emit(x, kernel, window, bias)
    return made && madeOf(activate(made))
  }
  const dilated = dilatedBy(n, window, blocks, [kernel.shape[0], kernel.shape[1]])
  const made = dilated && emit(blocks.padded?.x ?? x, kernel, dilated, bias)
  const value = made && activate(made)
  return value && { value, blocks: { size: blocks.size } }
}

/** The convolution of the whole map, of which there are every n-th row and column apart. */
function dilatedBy(n: NodeReader, window: TfWindow, { size, padded }: Blocks, kernel: Pair): TfWindow | undefined {
  const { stride, dilation, padding } = window
  if (stride[0] !== 1 || stride[1] !== 1)
    return n.refuse(`strides: expected 1 between SpaceToBatchND and BatchToSpaceND, got ${quote(stride)}`)
  const reach = reachOf(kernel, dilation)
  const own = padding === 'valid' ? [0, 0, 0, 0] : padding === 'same' ? samePadding([1, 1], reach, stride) : padding
  const outer = padded?.pad ?? [0, 0, 0, 0]
  const pad = outer.map((edge, i) => edge + own[i] * size[i % 2]) as unknown as Pad
  return { stride, dilation: [dilation[0] * size[0], dilation[1] * size[1]], padding: pad }
}

export const batchNorm: NodeRead = (n) => {
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => n.floats(index))
  const x = n.value()
  if (n.flag('is_training', true)) return n.refuse('is_training: expected false; save the model for inference')
  if (!n.isChannelsLast() || !gamma || !beta || !mean || !variance || !x) return undefined
  // TF.js takes another number than TensorFlow for the older ops.
  const isOlder = n.node.op !== 'FusedBatchNormV3'
  const eps = n.number('epsilon', isOlder ? undefined : 1e-4)
  const made = n.failed ? undefined : n.batchNorm(x, eps, { gamma, beta, mean, variance })
  const form = n.form()
  return made && { value: made, ...form }
}

export function pool(kind: 'max' | 'avg'): NodeRead {
  return (n) => {
    const x = n.value()
    const kernel = n.spatial('ksize')
    const window = n.window()
    return x && window && !n.failed ? madeOf(n.pool(kind, x, kernel, window)) : undefined
  }
}

/** Padding that no maximum ever is becomes the pool's own. */
export const maxPool: NodeRead = (n) => {
  const { lowest } = n.form() ?? {}
  if (!lowest) return pool('max')(n)
  const x = n.value()
  const kernel = n.spatial('ksize')
  const window = n.window()
  if (!x || !window) return undefined
  const padded: Pair = [x.shape[1] + lowest[0] + lowest[2], x.shape[2] + lowest[1] + lowest[3]]
  const { padding, stride } = window
  const own = padding === 'valid' ? [0, 0, 0, 0] : padding === 'same' ? samePadding(padded, kernel, stride) : padding
  const all = lowest.map((edge, i) => edge + own[i]) as unknown as Pad
  return madeOf(n.pool('max', x, kernel, { ...window, padding: all }))
}

/** Conv2DBackpropInput: the sizes that its result has, the kernel, the value. */
export const convTranspose: NodeRead = (n) => {
  const sizes = n.integers(0)
  const kernel = n.floats(1)
  const x = n.value(2)
  const window = n.window()
  if (!sizes || !kernel || !x || !window || n.failed) return undefined
  // Of four sizes or the two of rows and columns.
  const [height, width] = sizes.length === 4 ? sizes.slice(1) : sizes
  if (!(height >= 1 && width >= 1 && height < 2 ** 24 && width < 2 ** 24)) {
    return n.fault(`input_sizes: expected [batch,height,width,channels], got ${quote(sizes)}`)
  }
  const { padding, stride, dilation } = window
  const reach = reachOf([kernel.shape[0], kernel.shape[1]], dilation)
  // As many steps of the convolution, whose gradient it is, as there are rows and columns.
  const fits = [height, width].every((size, i) => {
    const edges = typeof padding === 'string' ? 0 : padding[i] + padding[i + 2]
    const steps = padding === 'same' ? size / stride[i] : (size + edges - reach[i] + 1) / stride[i]
    return Math.ceil(steps) === x.shape[i + 1]
  })
  const isKernel = kernel.shape.length === 4 && x.shape.length === 3
  if (isKernel && !fits)
    return n.fault(
      `input_sizes: ${quote(sizes)} do not fit padding, strides and dilations over ${formatShape(x.shape)}`,
    )
  return madeOf(n.convTranspose(x, kernel, window, [height, width]))
}

/** From this size on a number is one that no maximum ever is. */
const LOWEST = -3e38

export const pad: NodeRead = (n) => {
  const edges = n.integers(1)
  const fill = n.count > 2 ? n.scalar(2) : 0
  const given = n.value()
  if (!edges || fill === undefined || !given) return undefined
  const rank = given.shape.length
  const fits = edges.length === 2 * (rank + 1) && edges.every((size) => size >= 0 && size < 2 ** 24)
  if (!fits || edges[0] + edges[1] !== 0 || rank > 3)
    return n.refuse(`paddings: expected two sizes >= 0 per axis behind the batch of at most 3, got ${quote(edges)}`)
  const sides = edges.slice(2)
  // A vector is a column of its elements, rows one of pixels.
  const [tall, wide, deep] = rank === 3 ? [0, 2, 4] : rank === 2 ? [0, -1, 2] : [0, -1, -1]
  const [c, h] = rank === 3 ? given.shape : rank === 2 ? [given.shape[1], given.shape[0]] : [1, given.shape[0]]
  const x = rank === 3 ? given : n.reshape(given, [h, 1, c])
  const of = (place: number, side: 0 | 1) => (place < 0 ? 0 : sides[place + side])
  const channels: Pair = [of(deep, 0), of(deep, 1)]
  const around: Pad = [of(tall, 0), of(wide, 0), of(tall, 1), of(wide, 1)]
  if (fill !== 0 && channels[0] + channels[1] > 0)
    return n.refuse(`paddings: expected channels of zeros, got some of ${fill}`)
  if (fill <= LOWEST) {
    return rank === 3
      ? { value: given, lowest: around }
      : n.refuse(`constant_values: expected a map around which is ${fill}`)
  }
  const more = x && n.padChannels(x, channels)
  const made = more && n.padMap(more, around, fill)
  if (!made || rank === 3) return madeOf(made)
  return madeOf(n.reshape(made, rank === 2 ? [made.shape[1], made.shape[0]] : [made.shape[1]]))
}

/** Rows and columns mirrored at the edge: the map between zeros, and each of its first and last ones moved out there. */
export const mirrorPad: NodeRead = (n) => {
  const edges = n.integers(1)
  const mode = n.text('mode', '')
  const x = n.value()
  if (!edges || !x) return undefined
  if (mode !== 'REFLECT' && mode !== 'SYMMETRIC')
    return n.fault(`mode: expected REFLECT or SYMMETRIC, got ${quote(mode)}`)
  const isMap = x.shape.length === 3 && edges.length === 8 && [0, 1, 6, 7].every((i) => edges[i] === 0)
  if (!isMap) return n.refuse(`paddings: expected some of rows and columns of a map, got ${quote(edges)}`)
  const skipped = mode === 'REFLECT' ? 1 : 0
  let made: Value | undefined = x
  for (const axis of [1, 2] as const) {
    const [before, after] = [edges[2 * axis], edges[2 * axis + 1]]
    const size = x.shape[axis]
    if (Math.max(before, after) > Math.min(size - skipped, 64))
      return n.refuse(`paddings: expected at most ${Math.min(size - skipped, 64)}, got ${quote([before, after])}`)
    if (before + after === 0 || !made) continue
    const whole: Value = made
    const placed = (from: number, to: number, at: number, suffix: string) => {
      const part = to - from === size ? whole : n.slice(whole, axis, from, to, 1, `${suffix}/part`)
      const rest = size + before + after - at - (to - from)
      const pad: Pad = axis === 1 ? [at, 0, rest, 0] : [0, at, 0, rest]
      return part && n.layer({ op: 'pad', pad, fill: 0 }, [part], {}, suffix)
    }
    const name = `/axis${axis}`
    const first = Array.from({ length: before }, (_, i) => {
      const from = before - 1 - i + skipped
      return placed(from, from + 1, i, `${name}/before${i}`)
    })
    const last = Array.from({ length: after }, (_, i) => {
      const from = size - 1 - i - skipped
      return placed(from, from + 1, before + size + i, `${name}/after${i}`)
    })
    const all = [...first, placed(0, size, before, `${name}/map`), ...last]
    made = all.some((part) => !part) ? undefined : n.add(all as Value[], `${name}/sum`)
  }
  return madeOf(made)
}

/** TensorFlow's half-pixel nearest reads the element under the centre: no half is taken off. */
const CENTRE = (scale: number) => (i: number) => (i + 0.5) / scale

export function resize(mode: 'nearest' | 'bilinear'): NodeRead {
  return (n) => {
    const size = n.integers(1)
    const x = n.value()
    if (!size || !x) return undefined
    if (size.length !== 2 || !size.every((side) => side >= 1 && side < 2 ** 24) || x.shape.length !== 3) {
      return n.fault(`size: expected [height,width] for a map, got ${quote(size)}`)
    }
    const [corners, half] = [n.flag('align_corners'), n.flag('half_pixel_centers')]
    const axes = size.map((resized, i) => ({ size: x.shape[i + 1], resized }))
    const place = COORDINATES[corners ? 'align_corners' : half ? 'half_pixel' : 'asymmetric']
    if (mode === 'bilinear') {
      const found = bilinearMode(axes, place)
      if (found) return madeOf(n.resize(x, [size[0], size[1]], found))
    }
    const round = ROUNDINGS[corners ? 'round_prefer_ceil' : 'floor']
    const isNearestHere = axes.every((axis) => {
      const at = half && !corners ? CENTRE(axis.resized / axis.size) : place(axis)
      return axis.size === 1 || isNearest(axis, at, round)
    })
    if (mode === 'nearest' && isNearestHere) return madeOf(n.resize(x, [size[0], size[1]], mode))
    return n.refuse(`expected nearest (floor) or bilinear, got align_corners ${corners}, half_pixel_centers ${half}`)
  }
}

export const depthToSpace: NodeRead = (n) => {
  const x = n.value()
  const block = n.integer('block_size')
  if (!n.isChannelsLast()) return undefined
  if (!(block >= 1 && block <= 64)) return n.fault(`block_size: expected an integer from 1 to 64, got ${block}`)
  return x && madeOf(n.layer({ op: 'depthToSpace', block, order: 'dcr' }, [x]))
}
