// Hard-swish as files write it: x times a clip of x. What is added before the clip and divided by behind it are numbers of the
// function, as its bounds are, though a file keeps them among its tensors: told in the architecture, one private step computes
// all of it.
import type { LayerOp } from '../model/layers/layers.js'
import type { TensorName } from '../model/parameters.js'

interface DraftLayer {
  readonly id: string
  op: LayerOp
  readonly in: readonly string[]
  tensors: Readonly<Partial<Record<TensorName, { readonly data: Float32Array }>>>
}

/** A file's numbers are rounded to float32, or to fewer digits. */
const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-5 * Math.abs(b)

/** Makes the constants of every x · clip(x + 3, 0, 6) / 6, and of x · clip(x / 6 + 1 / 2, 0, 1), fields of their layers. */
export function nameHardSwishes(layers: readonly DraftLayer[]): void {
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  for (const { op, in: read } of layers) {
    if (op.op !== 'multiply') continue
    for (const [x, gate] of [read, read.toReversed()]) nameGate(byId, x, gate)
  }
}

function nameGate(byId: ReadonlyMap<string, DraftLayer>, x: string, gate: string): void {
  const top = byId.get(gate)
  const scaled = top && top.op.op !== 'clip' ? numbersOf(top) : undefined
  const clip = scaled ? byId.get(top!.in[0]) : top
  if (clip?.op.op !== 'clip' || clip.op.min !== 0) return
  const ramp = byId.get(clip.in[0])
  const numbers = ramp?.in[0] === x ? numbersOf(ramp) : undefined
  const { max } = clip.op
  const known = max === 6 || (max === 1 && !scaled)
  if (!known || !numbers || !near(6 * numbers.factor, max) || !near(2 * numbers.offset, max)) return
  if (scaled && !(near(scaled.factor, 1 / 6) && scaled.offset === 0)) return
  setNumbers(ramp!, numbers)
  if (scaled) setNumbers(top!, scaled)
}

interface Numbers {
  readonly factor: number
  readonly offset: number
}

function setNumbers(layer: DraftLayer, { factor, offset }: Numbers): void {
  layer.op = { op: 'affine', factor, offset }
  layer.tensors = {}
}

/** What a layer does to every value alike. */
function numbersOf({ op, tensors }: DraftLayer): Numbers | undefined {
  if (op.op === 'affine') return op
  const one = (name: TensorName, otherwise: number): number | undefined => {
    const { data } = tensors[name] ?? {}
    if (!data) return otherwise
    return data.every((value) => value === data[0]) ? data[0] : undefined
  }
  const factor = one('weight', 1)
  if (op.op === 'channelScale') return factor === undefined ? undefined : { factor, offset: 0 }
  if (op.op !== 'batchNorm' || op.eps !== 0 || one('running_mean', 0) !== 0 || one('running_var', 1) !== 1)
    return undefined
  const offset = one('bias', 0)
  return factor === undefined || offset === undefined ? undefined : { factor, offset }
}
