// ONNX nodes that slide a window over a map: convolutions and pools.
import { quote } from '../../../model/json/fields.js'
import type { Pad, Pair } from '../../../model/layers/layers.js'
import type { Shape } from '../../../model/shape.js'
import type { DraftTensor } from '../../arch-draft.js'
import { reachOf, samePadding } from '../../window-padding.js'
import { unshuffled } from '../blocks.js'
import type { Known, OnnxNodeReader, OnnxRead } from '../node.js'

const ONE: Pair = [1, 1]
const NONE: Pad = [0, 0, 0, 0]

/** Height and width of a kernel, as the node may state them, too. */
function kernelOf(n: OnnxNodeReader, { shape, from }: DraftTensor, expected: string): Pair | undefined {
  if (shape.length !== 4) return n.refuse(`tensor ${from}: expected a 2-D ${expected}, got ${quote(shape)}`)
  const kernel: Pair = [shape[2], shape[3]]
  const declared = n.pair('kernel_shape', kernel)
  if (declared[0] === kernel[0] && declared[1] === kernel[1]) return kernel
  return n.fault(`kernel_shape: expected ${quote(kernel)} as tensor ${from} has it, got ${quote(declared)}`)
}

/** Conv: weight [cout, cin/group, kh, kw] is PyTorch's layout already. */
export const conv: OnnxRead = (n) => {
  const weight = n.floats(1)
  const bias = n.floats(2, false)
  const x = n.value()
  const kernel = weight && kernelOf(n, weight, "convolution's [cout,cin/group,kh,kw]")
  if (!weight || !kernel || !x || n.failed) return undefined
  const stride = n.pair('strides', ONE)
  const dilation = n.pair('dilations', ONE)
  const groups = n.integer('group', 1)
  const pad = padding(n, x.shape, reachOf(kernel, dilation), stride)
  if (!pad) return undefined
  if (!(groups >= 1) || weight.shape[1] * groups !== x.shape[0]) {
    const expected = `expected [cout,${x.shape[0]}/group,kh,kw] with group ${groups}`
    return n.fault(`tensor ${weight.from}: ${expected}, got ${quote(weight.shape)}`)
  }
  const op = { op: 'conv2d', cout: weight.shape[0], kernel, stride, pad, dilation, groups, bias: !!bias } as const
  return n.made(n.draft.layer(n.where, n.name, op, [x], bias ? { weight, bias } : { weight }))
}

/** ConvTranspose: weight [cin, cout/group, kh, kw] is PyTorch's layout already. */
export const convTranspose: OnnxRead = (n) => {
  const weight = n.floats(1)
  const bias = n.floats(2, false)
  const x = n.value()
  const kernel = weight && kernelOf(n, weight, 'kernel [cin,cout/group,kh,kw]')
  if (!weight || !kernel || !x || n.failed) return undefined
  const stride = n.pair('strides', ONE)
  const dilation = n.pair('dilations', ONE)
  const groups = n.integer('group', 1)
  const extra = n.integerList('output_padding') ?? [0, 0]
  const cut = cutOf(n, x.shape, reachOf(kernel, dilation), stride, extra)
  if (!cut || n.failed) return undefined
  const fields = { cout: weight.shape[1] * groups, kernel, stride, dilation, groups, bias: !!bias }
  const op = { op: 'convTranspose2d', ...fields, ...cut } as const
  return n.made(n.draft.layer(n.where, n.name, op, [x], bias ? { weight, bias } : { weight }))
}

/** What is cut off the full result: `pads`, or what output_shape or auto_pad leaves (ConvTranspose in Operators.md). */
function cutOf(n: OnnxNodeReader, shape: Shape, reach: Pair, stride: Pair, extra: readonly number[]) {
  if (shape.length !== 3) return n.fault(`expected a map [c,h,w], got ${quote(shape)}`)
  const auto = n.text('auto_pad', 'NOTSET')
  const wanted = n.integerList('output_shape')?.slice(-2)
  const outputPad: Pair = [extra[0] ?? 0, extra[1] ?? 0]
  if (extra.length !== 2 || extra.some((size) => !(size >= 0 && size < 2 ** 24))) {
    return n.fault(`output_padding: expected two integers >= 0, got ${quote(extra)}`)
  }
  if (!wanted && (auto === 'NOTSET' || auto === 'VALID')) {
    const pad = padding(n, shape, reach, stride)
    return pad && { pad, outputPad }
  }
  const halves = ([0, 1] as const).map((axis) => {
    const full = (shape[axis + 1] - 1) * stride[axis] + reach[axis] + outputPad[axis]
    const all = full - (wanted?.[axis] ?? shape[axis + 1] * stride[axis])
    const small = Math.floor(all / 2)
    // The odd one goes to the end for SAME_UPPER alone, to the front without auto_pad as well.
    return auto === 'SAME_UPPER' ? [small, all - small] : [all - small, small]
  })
  const [[top, bottom], [left, right]] = halves
  if ([top, left, bottom, right].every((size) => size >= 0))
    return { pad: [top, left, bottom, right] as Pad, outputPad }
  return n.fault(`output_shape: expected at most the full result, got ${quote(wanted ?? auto)}`)
}

/** DepthToSpace: `DCR` counts blocks before channels, `CRD` channels before blocks. */
export const depthToSpace: OnnxRead = (n) => {
  const x = n.value()
  const block = n.integer('blocksize', 0)
  const mode = n.text('mode', 'DCR')
  if (mode !== 'DCR' && mode !== 'CRD') return n.fault(`mode: expected DCR or CRD, got ${quote(mode)}`)
  if (!(block >= 1 && block <= 64)) return n.fault(`blocksize: expected an integer from 1 to 64, got ${block}`)
  const op = { op: 'depthToSpace', block, order: mode === 'DCR' ? 'dcr' : 'crd' } as const
  return x && n.made(n.draft.layer(n.where, n.name, op, [x]))
}

/** Every pixel of a block gets channels of its own: those of its first row first, as `DCR` counts them. */
export const spaceToDepth: OnnxRead = (n) => {
  const x = n.value()
  const block = n.integer('blocksize', 0)
  const mode = n.text('mode', 'DCR')
  if (mode !== 'DCR') return n.refuse(`mode: expected DCR, got ${quote(mode)}`)
  if (!(block >= 1 && block <= 64)) return n.fault(`blocksize: expected an integer from 1 to 64, got ${block}`)
  if (!x) return undefined
  if (x.shape.length !== 3 || x.shape[1] % block !== 0 || x.shape[2] % block !== 0) {
    return n.fault(`expected a map of rows and columns that ${block} divides, got ${quote(x.shape)}`)
  }
  return n.made(unshuffled(n.draft, n.where, n.name, x, block))
}

export const maxPool: OnnxRead = (n) => {
  if (n.pair('dilations', ONE).some((d) => d !== 1))
    return n.refuse('dilations: expected [1,1]; arch/1 has no dilated pool')
  const outside = n.scope.maxPoolPads.get(n.node.inputs[0]) ?? NONE
  return pool(n, ({ pad, ...fields }) => {
    return { op: 'maxPool', ...fields, pad: pad.map((size, i) => size + outside[i]) as unknown as Pad }
  })
}

export const averagePool: OnnxRead = (n) => {
  if (n.pair('dilations', ONE).some((d) => d !== 1))
    return n.refuse('dilations: expected [1,1]; arch/1 has no dilated pool')
  const countPad = n.integer('count_include_pad', 0) !== 0
  return pool(n, (fields) => ({ op: 'avgPool', ...fields, countPad }))
}

interface PoolFields {
  readonly kernel: Pair
  readonly stride: Pair
  readonly pad: Pad
  readonly ceil: boolean
}

function pool(n: OnnxNodeReader, op: (fields: PoolFields) => Parameters<typeof n.draft.layer>[2]): Known | undefined {
  const x = n.value()
  if (!n.attribute('kernel_shape', 'ints')) return n.fault('kernel_shape: expected two integers, got none')
  const kernel = n.pair('kernel_shape', ONE)
  const stride = n.pair('strides', ONE)
  if (!x || n.failed) return undefined
  const pad = padding(n, x.shape, kernel, stride)
  const ceil = n.integer('ceil_mode', 0) !== 0
  return pad && n.made(n.draft.layer(n.where, n.name, op({ kernel, stride, pad, ceil }), [x]))
}

export const globalAveragePool: OnnxRead = (n) => {
  const x = n.value()
  return x && n.made(n.draft.layer(n.where, n.name, { op: 'globalAvgPool' }, [x]))
}

export const globalMaxPool: OnnxRead = (n) => {
  const x = n.value()
  if (!x) return undefined
  if (x.shape.length !== 3) return n.fault(`expected a map [c,h,w], got ${quote(x.shape)}`)
  const whole = { kernel: [x.shape[1], x.shape[2]], stride: ONE, pad: [0, 0, 0, 0], ceil: false } as const
  return n.made(n.draft.layer(n.where, n.name, { op: 'maxPool', ...whole }, [x]))
}

/** Explicit `pads` [top, left, bottom, right], or what `auto_pad` makes of the sizes. */
function padding(n: OnnxNodeReader, shape: Shape, reach: Pair, stride: Pair): Pad | undefined {
  if (shape.length !== 3) return n.fault(`expected a map [c,h,w], got ${quote(shape)}`)
  const auto = n.text('auto_pad', 'NOTSET')
  const pads = n.integerList('pads') ?? [0, 0, 0, 0]
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    return samePadding([shape[1], shape[2]], reach, stride, auto === 'SAME_LOWER')
  }
  if (auto === 'VALID') return [0, 0, 0, 0]
  if (auto !== 'NOTSET') {
    return n.fault(`auto_pad: expected NOTSET, SAME_UPPER, SAME_LOWER or VALID, got ${quote(auto)}`)
  }
  if (pads.length === 4 && pads.every((x) => Number.isSafeInteger(x) && x >= 0 && x < 2 ** 24)) {
    return [pads[0], pads[1], pads[2], pads[3]]
  }
  return n.fault(`pads: expected four integers >= 0, got ${quote(pads)}`)
}
