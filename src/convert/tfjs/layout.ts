// From TensorFlow's channels-last arrays to PyTorch's channels-first ones.
import type { Shape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, Value, VectorPart } from '../arch-draft.js'

/** Convolution kernel [kh,kw,cin,cout] to [cout,cin,kh,kw]. */
export function convKernel(draft: ArchDraft, kernel: DraftTensor): DraftTensor {
  const [kh, kw, cin, cout] = kernel.shape
  return { ...kernel, shape: [cout, cin, kh, kw], data: turned(draft, kernel.data, kh * kw, cin, cout) }
}

/** Depthwise kernel [kh,kw,cin,times] to [cin * times,1,kh,kw]; output channel c * times + m reads channel c. */
export function depthwiseKernel(draft: ArchDraft, kernel: DraftTensor): DraftTensor {
  const [kh, kw, cin, times] = kernel.shape
  return { ...kernel, shape: [cin * times, 1, kh, kw], data: turned(draft, kernel.data, kh * kw, 1, cin * times) }
}

/** [taps,cin,cout] to [cout,cin,taps]. */
function turned(draft: ArchDraft, data: Float32Array, taps: number, cin: number, cout: number): Float32Array {
  const out = draft.floats(data.length)
  for (let t = 0, from = 0; t < taps; t++) {
    for (let i = 0; i < cin; i++) for (let o = 0; o < cout; o++) out[(o * cin + i) * taps + t] = data[from++]
  }
  return out
}

/** Matrix [n,cout] to [cout,n], its rows put in the order of `x`. */
export function denseKernel(draft: ArchDraft, kernel: DraftTensor, x: Value): DraftTensor {
  const [n, cout] = kernel.shape
  const out = draft.floats(kernel.data.length)
  const rows = sourceOrder(draft, x)
  for (let i = 0; i < n; i++) {
    const from = (rows ? rows[i] : i) * cout
    for (let o = 0; o < cout; o++) out[o * n + i] = kernel.data[from + o]
  }
  return { ...kernel, shape: [cout, n], data: out }
}

/** One number per channel of `x`; of a flattened map, one per element, put in its order here. */
export function inOrder(draft: ArchDraft, tensor: DraftTensor, x: Value): DraftTensor {
  if (tensor.data.length !== x.shape[0]) return tensor
  const order = sourceOrder(draft, x)
  if (!order) return tensor
  const data = draft.floats(order.length)
  for (let i = 0; i < order.length; i++) data[i] = tensor.data[order[i]]
  return { ...tensor, data }
}

/** Where the channels of a map are in the file. */
export type Layout = 'channels_last' | 'channels_first'

/** Where element i of the vector stands in TensorFlow's order; undefined when both orders are one. */
function sourceOrder(draft: ArchDraft, { parts }: Value): Int32Array | undefined {
  if (!parts) return undefined
  const sizes = parts.map((part) => part.reduce((product, [size]) => product * size, 1))
  const count = sizes.reduce((sum, size) => sum + size, 0)
  draft.claim(count)
  const order = new Int32Array(count)
  let start = 0
  for (const [i, part] of parts.entries()) {
    const at = part.map(() => 0)
    for (let place = 0, here = 0; place < sizes[i]; place++) {
      order[start + here] = start + place
      for (let axis = part.length - 1; axis >= 0; axis--) {
        const [size, step] = part[axis]
        here += step
        if (++at[axis] < size) break
        here -= step * size
        at[axis] = 0
      }
    }
    start += sizes[i]
  }
  return order
}

/** For every element of `host`, which one of `value`, a vector as long, stands at the same place in TensorFlow. */
export function orderOf(draft: ArchDraft, value: Value, host: Value): Int32Array {
  const [count] = value.shape
  const identity = () => Int32Array.from({ length: count }, (_, i) => i)
  const places = sourceOrder(draft, value)
  const inverse = identity()
  places?.forEach((place, i) => {
    inverse[place] = i
  })
  return (sourceOrder(draft, host) ?? identity()).map((place) => inverse[place])
}

/** More parts of one vector than this are taken for damage. */
const MOST_PARTS = 4096

/** Parts of vectors put one after another; undefined when no order changes, null when there are too many. */
export function joinedParts(values: readonly Value[]): readonly VectorPart[] | undefined | null {
  if (!values.some(({ parts }) => parts)) return undefined
  const count = values.reduce((sum, { parts }) => sum + (parts?.length ?? 1), 0)
  if (count > MOST_PARTS) return null
  return values.flatMap(({ parts, shape }) => parts ?? [[[shape[0], 1]]])
}

/** The parts of a map that becomes a vector, counted along `axes` (of c, h, w); undefined when both orders are one. */
export function partsOf([c, h, w]: Shape, axes: string): readonly VectorPart[] | undefined {
  const steps: Readonly<Record<string, readonly [number, number]>> = { c: [c, h * w], h: [h, w], w: [w, 1] }
  const part = [...axes].map((axis) => steps[axis]).filter(([size]) => size > 1)
  const isOne = part.every(
    ([size, step], i) => step === (i + 1 < part.length ? part[i + 1][0] * part[i + 1][1] : 1) && size > 1,
  )
  return isOne ? undefined : [part]
}

/** Whether two vectors count their elements in the same order. */
export function sameOrder(a: Value, b: Value): boolean {
  const text = ({ parts }: Value) => JSON.stringify(parts ?? [])
  return text(a) === text(b)
}
