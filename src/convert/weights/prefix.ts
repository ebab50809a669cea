// Under which front part of their names a checkpoint keeps a network's tensors: DataParallel's `module.`, torch.compile's
// `_orig_mod.`, a wrapper's `model.` or `backbone.`, entries such as `state_dict`, and any of these within another.
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import type { Tensor } from '../../model/safetensors.js'

type Tensors = ReadonlyMap<string, Tensor>

/** The tensors below one front part, without it, and what a reader should know. */
export interface Unprefixed {
  readonly tensors: Tensors
  readonly notes: readonly string[]
}

/**
 * The tensors as they are where they fit, or those below the only front part under which all expected names are there.
 * Where nothing fits they come back as they are: which names are missing is the binder's to tell.
 * @param expected names of the tensors that the network needs
 * @throws RingfenceError BAD_FILE when several front parts fit
 */
export function withoutPrefix(tensors: Tensors, expected: readonly string[], source: string): Unprefixed {
  const fronts = frontsOf(tensors, expected)
  if (fronts.length === 0 || fronts.includes('')) return { tensors, notes: [] }
  if (fronts.length > 1) {
    const what = `${source}: all tensors of the network are there several times; say which ones`
    const entries = fronts.map((front) => front.split('.')[0])
    const ways = fronts.map((front, i) => {
      const isOne = entries.indexOf(entries[i]) === entries.lastIndexOf(entries[i])
      return isOne
        ? `unwrap: ${quote(entries[i])}, for the names that begin with ${quote(front)}`
        : `stripPrefix: ${quote(front)}`
    })
    throw new RingfenceError('BAD_FILE', `${what}:`, ways)
  }
  const [front] = fronts
  const rest = [...tensors.keys()].filter((name) => !name.startsWith(front))
  const entries = [...new Set(rest.map((name) => name.split('.')[0]))]
  const left =
    rest.length > 0
      ? [`${rest.length} tensors beside them left out, of ${entries.slice(0, 8).map(quote).join(', ')}`]
      : []
  return { tensors: below(tensors, front), notes: [`the tensors are those below ${quote(front)}`, ...left] }
}

/** The front part under which most names are, when only some of them are. */
export function likelyPrefix(tensors: Tensors, expected: readonly string[]): string | undefined {
  const counts = new Map<string, number>()
  for (const name of expected.slice(0, 64)) {
    for (const front of frontsOf(tensors, [name])) counts.set(front, (counts.get(front) ?? 0) + 1)
  }
  const [best] = [...counts].sort(([, a], [, b]) => b - a)
  return best && best[0] !== '' && best[1] > 1 ? best[0] : undefined
}

/** Front parts, each ending in a dot or empty, that all of `expected` have behind them. */
function frontsOf(tensors: Tensors, expected: readonly string[]): string[] {
  const [first] = expected
  if (first === undefined) return ['']
  const fronts = [...tensors.keys()].flatMap((name) => (name.endsWith(first) ? [name.slice(0, -first.length)] : []))
  const isFront = (front: string) => front === '' || front.endsWith('.')
  return fronts.filter((front) => isFront(front) && expected.every((name) => tensors.has(front + name)))
}

function below(tensors: Tensors, front: string): Tensors {
  return new Map(
    [...tensors].flatMap(([name, tensor]) => (name.startsWith(front) ? [[name.slice(front.length), tensor]] : [])),
  )
}

/** The tensors whose names begin so, without it. @throws RingfenceError BAD_INPUT when there are none */
export function stripped(tensors: Tensors, front: string): Tensors {
  const inside = below(tensors, front)
  if (inside.size > 0) return inside
  const text = `stripPrefix: no tensor's name begins with ${quote(front)}; the first is ${quote([...tensors.keys()][0])}`
  throw new RingfenceError('BAD_INPUT', text)
}
