// ONNX nodes whose result is known while converting: constants, and the small integer arithmetic on shapes that
// exporters leave in the graph in front of a Reshape or Resize.
import { quote } from '../../model/json/fields.js'
import type { Pad } from '../../model/layers/layers.js'
import { elementCount, formatShape } from '../../model/shape.js'
import type { Value } from '../arch-draft.js'
import { concat as concatValues } from './layers.js'
import { type Known, made, type OnnxNodeReader, type OnnxRead } from './node.js'
import { identityOrder } from './shapes.js'
import { decodeTensor, MOST_INTEGERS, transposed } from './tensor.js'

export const constant: OnnxRead = (n) => {
  const { attributes } = n.node
  const tensor = attributes.get('value')?.tensor
  if (tensor) {
    const claim = (elements: number) => n.draft.claim(elements)
    const decoded = decodeTensor(tensor, 'value', claim, (problem) => n.fault(problem))
    return decoded && { constant: decoded }
  }
  const float = attributes.get('value_float')?.float
  const int = attributes.get('value_int')?.int
  const floats = float === undefined ? attributes.get('value_floats')?.floats : [float]
  const integers = int === undefined ? attributes.get('value_ints')?.ints : [int]
  const list = floats ?? integers
  if (!list) return n.fault('expected a value, value_float(s) or value_int(s)')
  const shape = float === undefined && int === undefined ? [list.length] : []
  if (floats) return { constant: { name: n.name, shape, floats: Float32Array.from(floats) } }
  return { constant: { name: n.name, shape, integers: list } }
}

/** Sizes of a value, the batch as declared. */
export const shape: OnnxRead = (n) => {
  const known = n.known(0)
  if (!known) return undefined
  const dims = 'constant' in known ? known.constant.shape : [n.scope.batch, ...known.value.shape]
  const [start, end] = [n.integer('start', 0), n.integer('end', dims.length)]
  return integers(n, dims.slice(start, end))
}

/** Elements of a list of integers, by index. */
export const gather: OnnxRead = (n) => {
  const list = integerInput(n, 0)
  const index = n.has(1) ? n.constant(1) : undefined
  if (!list || !index) return n.failed ? undefined : n.fault('expected a list of integers and indices')
  const picked = index.integers?.map((i) => list[i < 0 ? i + list.length : i])
  if (!picked || picked.some((x) => x === undefined))
    return n.fault(`indices: expected places in a list of ${list.length}`)
  return { constant: { name: n.name, shape: index.shape, integers: picked } }
}

/** Of lists of integers here, of values along the channels elsewhere. */
export const concat: OnnxRead = (n) => {
  const lists = n.node.inputs.map((name) => n.scope.find(name))
  if (!lists.some((known) => known && known !== 'broken' && 'constant' in known)) return concatValues(n)
  const all: number[] = []
  for (let i = 0; i < lists.length; i++) {
    const list = integerInput(n, i)
    if (!list) return undefined
    if (all.length + list.length > MOST_INTEGERS) return n.fault(`expected at most ${MOST_INTEGERS} integers`)
    all.push(...list)
  }
  return integers(n, all)
}

/** Slice of a list of integers, or of the rows and columns of a map. */
export const slice: OnnxRead = (n) => {
  const starts = n.integerList('starts', 1)
  const ends = n.integerList('ends', 2)
  const axes = n.integerList('axes', 3) ?? starts?.map((_, i) => i)
  const steps = n.integerList('steps', 4) ?? starts?.map(() => 1)
  const known = n.known(0)
  if (!known || n.failed) return undefined
  const rank = ('constant' in known ? known.constant.shape : known.value.shape).length + ('constant' in known ? 0 : 1)
  const lists = [starts, ends, axes, steps]
  if (!starts || !ends || !axes || !steps || lists.some((list) => list?.length !== starts.length || list.length > 8)) {
    return n.fault('expected starts, ends, axes and steps of one length')
  }
  const cuts = starts.map((start, i) => ({
    start,
    end: ends[i],
    step: steps[i],
    axis: axes[i] < 0 ? axes[i] + rank : axes[i],
  }))
  if (cuts.some(({ step }) => !(step >= 1 && step < 2 ** 24)))
    return n.fault(`steps: expected integers >= 1, got ${quote(steps)}`)
  if ('value' in known) return sliceMap(n, known.value, cuts)
  const list = integerInput(n, 0)
  if (!list || cuts.length !== 1 || cuts[0].axis !== 0)
    return n.failed ? undefined : n.fault('expected a list of integers')
  const [from, to] = span(cuts[0], list.length)
  return integers(
    n,
    list.slice(from, to).filter((_, i) => i % cuts[0].step === 0),
  )
}

interface Cut {
  readonly start: number
  readonly end: number
  readonly step: number
  readonly axis: number
}

function span({ start, end }: Cut, size: number): readonly [number, number] {
  const place = (x: number) => Math.min(Math.max(x < 0 ? x + size : x, 0), size)
  return [place(start), place(end)]
}

/** A crop where the cut starts late or ends early, then every step-th row and column. */
function sliceMap(n: OnnxNodeReader, x: Value, cuts: readonly Cut[]): Known | undefined {
  const dims = [n.scope.batch, ...x.shape]
  const pad = [0, 0, 0, 0]
  const stride: [number, number] = [1, 1]
  for (const cut of cuts) {
    const [from, to] = span(cut, dims[cut.axis] ?? 0)
    if (from === 0 && to === dims[cut.axis] && cut.step === 1) continue
    if (dims.length !== 4 || (cut.axis !== 2 && cut.axis !== 3)) {
      return n.fault(`expected a slice of rows or columns, got one along axis ${cut.axis} of ${formatShape(dims)}`)
    }
    pad[cut.axis - 2] = -from
    pad[cut.axis] = to - dims[cut.axis]
    stride[cut.axis - 2] = cut.step
  }
  let value: Value | undefined = x
  if (pad.some((size) => size !== 0)) {
    const op = { op: 'pad', pad: pad.map((size) => size || 0) as unknown as Pad, fill: 0 } as const
    value = n.draft.layer(n.where, `${n.name}.crop`, op, [value])
  }
  if (!value || stride.every((step) => step === 1)) return made(value)
  return made(n.draft.layer(n.where, n.name, { op: 'subsample', stride, offset: [0, 0] }, [value]))
}

/** Of a constant; of a value only where the order of its elements stays. */
export const transpose: OnnxRead = (n) => {
  const known = n.known(0)
  if (!known) return undefined
  const dims = 'constant' in known ? known.constant.shape : [n.scope.batch, ...known.value.shape]
  const order = n.integerList('perm') ?? dims.map((_, i) => dims.length - 1 - i)
  if (order.length !== dims.length || dims.some((_, axis) => !order.includes(axis))) {
    return n.fault(`perm: expected the axes of ${formatShape(dims)}, got ${quote(order)}`)
  }
  if ('value' in known) {
    if (order.every((axis, i) => axis === i)) return known
    return n.fault(`perm: expected an order that changes nothing of ${formatShape(dims)}, got ${quote(order)}`)
  }
  const { floats, integers: list } = known.constant
  const shape = order.map((axis) => dims[axis])
  if (floats && !identityOrder(order, dims)) {
    return { constant: transposed(known.constant, order, n.draft.floats(elementCount(shape))) }
  }
  if (list && !identityOrder(order, dims)) return n.fault('expected floats, got integers')
  return { constant: { ...known.constant, shape } }
}

function integerInput(n: OnnxNodeReader, index: number): readonly number[] | undefined {
  const constant = n.has(index) ? n.constant(index) : undefined
  if (!constant) return n.failed ? undefined : n.fault(`expected a list of integers as input ${index}, got none`)
  return constant.integers ?? n.fault(`input ${index}: expected integers, got floats ${formatShape(constant.shape)}`)
}

function integers(n: OnnxNodeReader, list: readonly number[]): Known {
  return { constant: { name: n.name, shape: [list.length], integers: list } }
}
