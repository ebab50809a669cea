// Ties tensors as they were found to a network as it was found: checkpoints around state dicts, pruned supernets.
import { RingfenceError, throwIfAny } from '../../errors.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import type { Choices } from '../../model/choices.js'
import { proxylessArchitecture } from '../../model/families/proxyless.js'
import { withKeptBranches } from '../../model/families/seesaw/pruned.js'
import { type Json, quote } from '../../model/json/fields.js'
import { parseObject } from '../../model/json/file.js'
import type { Tensor } from '../../model/safetensors.js'
import { bindWeights, requiredNames, type Weights } from '../../model/weights.js'
import { likelyPrefix, stripped, withoutPrefix } from './prefix.js'
import { tensorsBelow } from './read.js'

/** How tensors are matched with an architecture. */
export interface FitOptions {
  /** Names of the two files, for messages. */
  readonly archSource?: string
  readonly source?: string
  /** Those of a choices file, instead of the architecture's own. */
  readonly choices?: Choices
  /** Tensors whose names start with one of these are left out: what only training needs. */
  readonly drop?: readonly string[]
  /** Takes only the tensors whose names start so, and takes it off them. */
  readonly stripPrefix?: string
  /** Whether a failure says which of these options may help. Default false. */
  readonly advice?: boolean
}

/** Weights that fit, and the architecture they fit. */
export interface FittedWeights {
  /** The file of the network, without the branches that the tensors do not have; `expandArchitecture` takes it. */
  readonly json: Json
  readonly arch: Architecture
  readonly weights: Weights
  /** What a reader should know. */
  readonly notes: readonly string[]
}

/**
 * Finds every tensor of a network. A checkpoint's entry that the network names (`weights.unwrap`) is looked into where
 * it is there. Branches of a Seesaw supernet of which no tensor is there were pruned: they are zeros.
 * @param json an `arch/1` file, explicit or short, or a published ProxylessNAS configuration
 * @throws RingfenceError BAD_FILE with every problem of the network's file, or else of the tensors; BAD_INPUT for a
 *   `drop` that no name starts with
 */
export function fitWeights(
  json: unknown,
  tensors: ReadonlyMap<string, Tensor>,
  { archSource, source = 'weights', choices, drop = [], stripPrefix, advice = false }: FitOptions = {},
): FittedWeights {
  const given = stripPrefix === undefined ? tensors : stripped(tensors, stripPrefix)
  const root = parseObject(json, archSource ?? 'arch.json')
  const short = proxylessArchitecture(root) ?? root
  const kept = withKeptBranches(short, given.keys())
  const arch = parseArchitecture(kept, archSource, choices)
  const { unwrap } = arch.weights
  const inner = unwrap === undefined ? undefined : tensorsBelow(given, unwrap)
  const own = inner && inner.size > 0 ? inner : given
  const found = hasAll(arch, own) ? { tensors: own, notes: [] } : withoutPrefix(own, requiredNames(arch), source)
  const dropped = without(found.tensors, drop, arch.weights.stripPrefix)
  const notes = [...found.notes, ...dropped.notes]
  const bind = () => bindWeights(arch, dropped.rest, source)
  const weights = advice ? hinted(arch, dropped.rest, bind) : bind()
  const gone = kept === short ? 0 : zeros(arch) - zeros(parseArchitecture(short, archSource, choices))
  return { json: kept, arch, weights, notes: gone > 0 ? [...notes, prunedNote(gone)] : notes }
}

/** Whether every tensor is there under its name, or that with the network's own prefix. */
function hasAll(arch: Architecture, tensors: ReadonlyMap<string, Tensor>): boolean {
  const { stripPrefix = '' } = arch.weights
  return requiredNames(arch).every((name) => tensors.has(name) || tensors.has(stripPrefix + name))
}

/** What the binder says, and what helps: tensors that nothing uses, or that lie under another name. */
function hinted<T>(arch: Architecture, tensors: ReadonlyMap<string, Tensor>, bind: () => T): T {
  try {
    return bind()
  } catch (error) {
    if (!(error instanceof RingfenceError) || error.code !== 'BAD_FILE') throw error
    const front = likelyPrefix(tensors, requiredNames(arch))
    const unused = error.problems.some((problem) => /: no layer of network .* uses it$/.test(problem))
    const hint = front
      ? `stripPrefix: some of the names fit behind ${quote(front)}`
      : unused && 'drop: the start of the names of tensors that only training needs leaves them out'
    if (!hint) throw error
    const [message] = error.message.split('\n', 1)
    throw new RingfenceError(error.code, message, [...error.problems, hint], { cause: error })
  }
}

/** What is left, and what is not. */
function without(tensors: ReadonlyMap<string, Tensor>, drop: readonly string[], stripPrefix = '') {
  const begins = (name: string, front: string) => name.startsWith(front) || name.startsWith(stripPrefix + front)
  const names = [...tensors.keys()]
  const idle = drop.filter((front) => !names.some((name) => begins(name, front)))
  throwIfAny(
    'BAD_INPUT',
    'there is nothing to drop',
    idle.map((front) => `no tensor's name starts with ${quote(front)}`),
  )
  const dropped = names.filter((name) => drop.some((front) => begins(name, front)))
  const rest = new Map([...tensors].filter(([name]) => !dropped.includes(name)))
  const more = dropped.length > LISTED ? ` and ${dropped.length - LISTED} more` : ''
  const list = `${dropped.slice(0, LISTED).join(', ')}${more}`
  return { rest, notes: dropped.length > 0 ? [`${dropped.length} tensors dropped: ${list}`] : [] }
}

const LISTED = 8

function prunedNote(count: number): string {
  return count === 1
    ? '1 branch has no tensors: taken as pruned, so it is zero'
    : `${count} branches have no tensors: taken as pruned, so they are zero`
}

const zeros = ({ layers }: Architecture): number => layers.filter(({ op }) => op === 'zero').length
