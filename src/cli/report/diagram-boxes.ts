// The boxes of a layer diagram: what belongs together in one network, however many layers it is written in.
import type { Architecture } from '../../model/architecture.js'
import { effectiveOp, isActivation, type Layer, type Op } from '../../model/layers/layers.js'
import { layerWords } from '../../model/layers/words.js'
import type { Shape } from '../../model/shape.js'

export interface Box {
  /** Id of the last layer, whose value leaves the box. */
  id: string
  readonly kind: 'input' | 'linear' | 'pool' | 'sum'
  /** Layers one after another. */
  readonly layers: Layer[]
  /** Branches of a sum, in words; zeros are only counted. */
  readonly branches: readonly string[]
  readonly zeros: number
  /** Places of the boxes it reads. */
  readonly from: readonly number[]
  out: Shape
}

const SUMS: ReadonlySet<Op> = new Set(['weightedSum', 'concat', 'add'])
const POOLS: ReadonlySet<Op> = new Set(['avgPool', 'maxPool', 'globalAvgPool'])
/** These begin a box; everything else goes on with the one before, where nobody else reads that. */
const STARTS: ReadonlySet<Op> = new Set([...SUMS, ...POOLS, 'conv2d', 'linear'])
/** A longer chain before a sum is drawn in boxes of its own. */
const LONGEST_BRANCH = 10

const opOf = (layer: Layer): Op => effectiveOp(layer).op

/** In an order in which they can be computed, the inputs first. */
export function diagramBoxes(arch: Architecture): Box[] {
  const readers = new Map<string, number>()
  for (const layer of arch.layers) for (const id of new Set(layer.in)) readers.set(id, (readers.get(id) ?? 0) + 1)
  for (const id of arch.outputs) readers.set(id, (readers.get(id) ?? 0) + 1)
  const branches = inlineBranches(arch, readers)
  const inside = new Set([...branches.values()].flat(2).map(({ id }) => id))
  const boxes: Box[] = []
  const places = new Map<string, number>()
  for (const { name, shape } of arch.inputs) {
    places.set(
      name,
      boxes.push({ id: name, kind: 'input', layers: [], branches: [], zeros: 0, from: [], out: shape }) - 1,
    )
  }
  for (const layer of arch.layers) {
    if (inside.has(layer.id)) continue
    const place = places.get(layer.in[0])
    const before = place === undefined ? undefined : boxes[place]
    const goesOn = layer.in.length === 1 && !STARTS.has(opOf(layer)) && before?.kind !== 'input'
    if (goesOn && before?.id === layer.in[0] && readers.get(before.id) === 1) {
      before.layers.push(layer)
      Object.assign(before, { id: layer.id, out: layer.out })
      places.set(layer.id, place!)
    } else places.set(layer.id, boxes.push(newBox(layer, branches.get(layer.id) ?? [], places)) - 1)
  }
  return boxes
}

function newBox(layer: Layer, branches: readonly (readonly Layer[])[], places: ReadonlyMap<string, number>): Box {
  const op = opOf(layer)
  const heads = branches.length === 0 ? layer.in : branches.map((branch, i) => branch[0]?.in[0] ?? layer.in[i])
  const words = branches.map(branchWords)
  return {
    id: layer.id,
    kind: SUMS.has(op) ? 'sum' : POOLS.has(op) ? 'pool' : 'linear',
    layers: [layer],
    branches: words.filter((text) => text !== ''),
    zeros: words.filter((text) => text === '').length,
    from: [...new Set(heads.map((id) => places.get(id)).filter((place) => place !== undefined))],
    out: layer.out,
  }
}

/** By the id of a sum: the layers of each of its branches, in their order, back to where others read too. */
function inlineBranches(arch: Architecture, readers: ReadonlyMap<string, number>): Map<string, Layer[][]> {
  const found = new Map<string, Layer[][]>()
  for (const layer of arch.layers) {
    const op = opOf(layer)
    if (op !== 'weightedSum' && !(op === 'concat' && layer.in.length > 2)) continue
    const branches = layer.in.map((id) => branchBehind(arch, id, readers))
    if (branches.every((branch) => branch.length <= LONGEST_BRANCH)) found.set(layer.id, branches)
  }
  return found
}

function branchBehind(arch: Architecture, end: string, readers: ReadonlyMap<string, number>): Layer[] {
  const branch: Layer[] = []
  for (let layer = arch.byId.get(end); layer; layer = arch.byId.get(layer.in[0])) {
    if (layer.in.length !== 1 || readers.get(layer.id) !== 1 || branch.length > LONGEST_BRANCH) break
    branch.unshift(layer)
  }
  return branch
}

/** `dw 3×3 › 1×1`; empty for a branch of zeros. */
function branchWords(branch: readonly Layer[]): string {
  if (branch.some((layer) => opOf(layer) === 'zero')) return ''
  const words = branch.map(shortWords).filter((text) => text !== '')
  const half = words.length / 2
  const twice = half >= 1 && Number.isInteger(half) && words.slice(0, half).join() === words.slice(half).join()
  if (twice) return `2×(${words.slice(0, half).join(' › ')})`
  return words.length === 0 ? 'skip' : words.join(' › ')
}

function shortWords(layer: Layer): string {
  const op = effectiveOp(layer)
  if (op.op === 'identity' || op.op === 'batchNorm' || op.op === 'flatten') return ''
  if (op.op === 'avgPool') return `avg ${op.kernel.join('×')}`
  return layerWords(layer)
    .replace(/^conv in (\d+) groups/, 'g$1')
    .replace(/^(dw )?conv /, '$1')
    .replace(', dilated ', ' d')
}

/** What a box is called: its layers without those that only pass on. */
export function boxWords({ kind, layers }: Box): readonly { readonly text: string; readonly isActivation: boolean }[] {
  if (kind === 'input') return [{ text: 'input', isActivation: false }]
  const quiet: ReadonlySet<Op> = new Set(['identity', 'flatten'])
  const telling = layers.filter((layer) => !quiet.has(opOf(layer)))
  return (telling.length > 0 ? telling : layers).map((layer) => ({
    text: opOf(layer) === 'batchNorm' ? 'BN' : layerWords(layer),
    isActivation: isActivation(layer),
  }))
}
