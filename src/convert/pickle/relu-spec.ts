// Turns the published relu-specs, pickles of a dict from layer name to one block size per channel, into `relu-spec/1`.
// Source: Gorski et al., secure_inference (research/distortion/knapsack, research/bReLU.py).
import type { Architecture } from '../../model/architecture.js'
import { quote } from '../../model/json/fields.js'
import { summary } from '../../model/json/file.js'
import { isActivation, type Layer, type Pair } from '../../model/layers/layers.js'
import { parseReluSpec, type ReluSpec } from '../../model/relu/spec.js'
import { formatShape } from '../../model/shape.js'
import { Budget } from '../weights/budget.js'
import { elementNumbers } from '../weights/stored-tensor.js'
import { NUMPY_GLOBALS, NumpyArray } from './numpy.js'
import { ORDERED_DICT } from './torch.js'
import { unpickle } from './unpickle.js'
import type { Global, Pickled } from './values.js'

/** How a file is named in messages, and what it leaves open. */
export interface ReluSpecOptions {
  /** The file's name, for messages. */
  readonly source?: string
  /** Names of the pickle to layer ids, for layers it calls otherwise than the architecture does. */
  readonly names?: Readonly<Record<string, string>>
}

/** The `relu-spec/1` that a pickle amounts to. */
export interface ConvertedReluSpec {
  /** The `relu-spec/1` file, ready for `JSON.stringify`. */
  readonly json: Readonly<Record<string, unknown>>
  /** The same, read for the architecture. */
  readonly spec: ReluSpec
  /** Ids of activation layers the pickle does not name; they stay plain ReLUs. */
  readonly unnamed: readonly string[]
}

const GLOBALS: ReadonlyMap<string, Global> = new Map(
  [...NUMPY_GLOBALS, ORDERED_DICT].map((known) => [known.name, known]),
)

/**
 * Reads a relu-spec pickle (protocols 2 to 5) for a network. Block sizes may be lists or NumPy arrays of [height, width]
 * per channel, or a pair of indices and the sizes they point to; [0,1] is identity, [1,0] zero, [1,1] a plain ReLU.
 * @throws RingfenceError BAD_FILE with every name that fits no layer and every wrong size
 */
export function convertReluSpec(
  file: Uint8Array,
  arch: Architecture,
  { source = 'relu-spec.pickle', names = {} }: ReluSpecOptions = {},
): ConvertedReluSpec {
  const budget: Budget = new Budget(file.length, source)
  const { value, end } = unpickle(file, { budget, globals: GLOBALS })
  if (end !== file.length) budget.fail(`expected the end of the file at byte ${end}, got ${file.length} bytes`)
  if (!(value instanceof Map)) budget.fail('expected a dict from layer names to block sizes')
  const find = layerFinder(arch, names)
  const problems: string[] = []
  const layers = new Map<string, unknown>()
  const named = new Set<Layer>()
  for (const [name, sizes] of value) {
    const layer = find(`${name}`)
    const blocks = readBlocks(sizes, budget)
    if (!blocks) problems.push(`layer ${quote(name)}: expected one [height, width] for each channel`)
    else if (layer && named.has(layer))
      problems.push(`layer ${quote(name)}: another entry is for layer ${quote(layer.id)} too`)
    else layers.set(layer ? (layer.specName ?? layer.id) : `${name}`, entry(layer, blocks))
    if (layer) named.add(layer)
  }
  if (problems.length > 0) budget.fail(summary('the pickle', problems.length).replace(/:$/, ''), problems)
  const draft = {
    format: 'relu-spec/1',
    network: arch.name,
    default: { kind: 'relu' },
    layers: Object.fromEntries(layers),
  }
  const spec = parseReluSpec(draft, arch, source)
  const unnamed = arch.layers.filter((layer) => isActivation(layer) && !named.has(layer)).map(({ id }) => id)
  return { json: { ...draft, expect: { drelus: spec.drelus } }, spec, unnamed }
}

/** By the caller's names, by the name specs know the layer by, by id, and last by what the name comes down to. */
function layerFinder(arch: Architecture, names: Readonly<Record<string, string>>): (name: string) => Layer | undefined {
  const activations = arch.layers.filter(isActivation)
  const exact = new Map(activations.flatMap((layer) => [[layer.id, layer] as const]))
  for (const layer of activations) if (layer.specName !== undefined) exact.set(layer.specName, layer)
  const loose = new Map<string, Layer | undefined>()
  for (const layer of activations) {
    const core = coreName(layer.id)
    loose.set(core, loose.has(core) ? undefined : layer)
  }
  return (name) => exact.get(Object.hasOwn(names, name) ? names[name] : name) ?? loose.get(coreName(name))
}

/** `layer1.0.relu_1` and `layer1_0_1` are one name; the stem's activation is `relu` in one habit, `stem` in the other. */
function coreName(name: string): string {
  const core = name.replace(/relu/gi, '').replace(/[._]+/g, '_').replace(/^_|_$/g, '')
  return core === '' ? 'stem' : core
}

function entry(layer: Layer | undefined, blocks: readonly Pair[]): Readonly<Record<string, unknown>> {
  const shape = layer ? { shape: layer.out } : {}
  const palette = new Map<string, number>()
  const index = blocks.map((block) => {
    const key = formatShape(block)
    if (!palette.has(key)) palette.set(key, palette.size)
    return palette.get(key)!
  })
  const channels = layer?.out[0]
  const only = palette.size === 1 && blocks.length === channels ? KINDS[[...palette.keys()][0]] : undefined
  if (only) return { kind: only, ...shape }
  if (palette.size === blocks.length) return { kind: 'block', ...shape, blocks }
  return { kind: 'block', ...shape, palette: [...palette.keys()].map((key) => JSON.parse(key)), index }
}

const KINDS: Readonly<Record<string, string>> = { '[1,1]': 'relu', '[0,1]': 'identity', '[1,0]': 'zero' }

/** One pair per channel, or undefined when the value is no such thing. */
function readBlocks(value: Pickled, budget: Budget): Pair[] | undefined {
  const direct = readPairs(value, budget)
  if (direct) return direct
  if (!Array.isArray(value) || value.length !== 2) return undefined
  const index = readNumbers(value[0], budget)
  const palette = readPairs(value[1], budget)
  if (!index || !palette || !index.every((i) => palette[i] !== undefined)) return undefined
  return index.map((i) => palette[i])
}

function readPairs(value: Pickled, budget: Budget): Pair[] | undefined {
  if (value instanceof NumpyArray) {
    if (value.tensor?.shape.length !== 2 || value.tensor.shape[1] !== 2) return undefined
    const numbers = elementNumbers(value.tensor, budget)
    budget.spend(64 * numbers.length, 'the block sizes')
    return Array.from({ length: numbers.length / 2 }, (_, c) => [numbers[2 * c], numbers[2 * c + 1]])
  }
  if (!Array.isArray(value) || value.length === 0) return undefined
  const pairs = value.map((pair) => readNumbers(pair, budget))
  return pairs.every((pair) => pair?.length === 2) ? (pairs as unknown as Pair[]) : undefined
}

function readNumbers(value: Pickled, budget: Budget): number[] | undefined {
  if (value instanceof NumpyArray) {
    if (value.tensor?.shape.length !== 1) return undefined
    const numbers = elementNumbers(value.tensor, budget)
    budget.spend(64 * numbers.length, 'the block sizes')
    return Array.from(numbers)
  }
  return Array.isArray(value) && value.every((x) => typeof x === 'number') ? value : undefined
}
