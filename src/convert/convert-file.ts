// What a file of another program becomes: which converter reads it, and what comes out.
import { RingfenceError, throwIfAny } from '../errors.js'
import { type Architecture, expandArchitecture, parseArchitecture } from '../model/architecture.js'
import type { Choices } from '../model/choices.js'
import { Fields, isObject, quote } from '../model/json/fields.js'
import { parseObject, summary } from '../model/json/file.js'
import { type Publisher, rangeNotes, type TensorOf } from '../model/pictures/range.js'
import { parseReluSpec } from '../model/relu/spec.js'
import { type Tensor, writeSafetensors } from '../model/safetensors.js'
import { elementCount, type Shape } from '../model/shape.js'
import { namedTensors } from '../model/weights.js'
import type { ConvertedNetwork } from './arch-draft.js'
import { detectFormat, type FileFormat } from './detect.js'
import { convertOnnx } from './onnx/onnx.js'
import { externalLocations } from './onnx/proto.js'
import { convertReluSpec } from './pickle/relu-spec.js'
import { type PictureOptions, withPictureOptions } from './preprocess.js'
import { reluMasks } from './relu-masks.js'
import { convertTfjs } from './tfjs/tfjs.js'
import { fitWeights } from './weights/fit.js'
import { stripped } from './weights/prefix.js'
import { otherFormat, readWeights, WEIGHT_FORMATS } from './weights/read.js'

/** What a file can become: weights, a `relu-spec/1` file, an `arch/1` file. */
export const TARGETS = ['safetensors', 'relu-spec', 'arch'] as const
/** One of `TARGETS`. */
export type Target = (typeof TARGETS)[number]

/** What is known beside the file's bytes. */
export interface ConvertOptions extends PictureOptions {
  /** Names the file in errors, and where it lies for what it names in turn. Default `input`. */
  readonly source?: string
  /** Only this; all that the file becomes without it. */
  readonly to?: Target
  /** The network: weights are checked against it, a ReLU spec needs it. */
  readonly arch?: { readonly json: unknown; readonly path: string }
  readonly choices?: Choices
  /** Channels first, where an ONNX or TensorFlow.js file leaves it open. */
  readonly inputShape?: Shape
  /** Of an ONNX or TensorFlow.js file: what the network gives, by the names of nodes or tensors; what is behind is left out. */
  readonly outputs?: readonly string[]
  /** Takes the tensors of this entry only, such as `state_dict`. */
  readonly unwrap?: string
  /** Takes only the tensors whose names start so, and takes it off them. */
  readonly stripPrefix?: string
  /** Tensors whose names start with one of these are left out. */
  readonly drop?: readonly string[]
  /** Tensors whose names end so are factors of ReLUs, which become a ReLU spec. */
  readonly masks?: string
  /** Whether weights that were checked against `arch` bring it along, written out layer by layer. */
  readonly withArchitecture?: boolean
  /** Reads a file that the input names, by its path relative to it: weights of a TensorFlow.js or ONNX model. */
  readonly readBeside?: (path: string) => Promise<Uint8Array | undefined>
}

type Order = ConvertOptions & { readonly source: string; readonly file: Uint8Array }

/** One file's worth of bytes. */
export interface Product {
  readonly target: Target
  readonly bytes: Uint8Array
}

/** What was found in a file. */
export interface ConvertedCounts {
  readonly layers?: number
  readonly tensors?: number
  /** Of all tensors together. */
  readonly elements?: number
  readonly drelus?: number
}

/** What a file became. */
export interface Conversion {
  readonly format: FileFormat
  readonly products: readonly Product[]
  readonly counts: ConvertedCounts
  /** What a reader should know. */
  readonly notes: readonly string[]
}

/**
 * Converts one file of another program by what its bytes are. Nothing in it is run.
 * @throws RingfenceError as the converters do; BAD_INPUT, with a problem per option, for a target that the file cannot
 *   become, or without an architecture where one is needed; UNSUPPORTED, with what to do instead, for a format that is not
 *   read
 */
export async function convertFile(file: Uint8Array, options: ConvertOptions = {}): Promise<Conversion> {
  const order: Order = { source: 'input', ...options, file }
  const { source, to, masks } = order
  const format = detectFormat(file)
  const targets = [...targetsOf(format), ...(masks === undefined ? [] : ['relu-spec' as const])]
  if (format === undefined || targets.length === 0) {
    const code = format === undefined ? 'BAD_FILE' : 'UNSUPPORTED'
    throw new RingfenceError(code, `${source}: this is ${otherFormat(format, source)}`)
  }
  if (to !== undefined && !targets.includes(to)) throw refused(order, `to: expected ${targets.join(' or ')}, got ${to}`)
  const conversion = { format, ...(await convertKnown(order, format)) }
  const products = conversion.products.filter(({ target }) => to === undefined || target === to)
  return { ...conversion, products }
}

/** About an option, which comes first in the problem. */
const refused = ({ source }: Order, problem: string): RingfenceError =>
  new RingfenceError('BAD_INPUT', `${source} cannot be converted like this:`, [problem])

function targetsOf(format: FileFormat | undefined): readonly Target[] {
  if (format === 'pickle') return ['relu-spec']
  if (format === 'json') return ['arch']
  if (format === 'onnx' || format === 'tfjs') return ['arch', 'safetensors']
  const holdsWeights = format === 'safetensors-index' || (format !== undefined && WEIGHT_FORMATS.has(format))
  return holdsWeights ? ['safetensors', 'arch'] : []
}

type Converted = Omit<Conversion, 'format'>

async function convertKnown(order: Order, format: FileFormat): Promise<Converted> {
  const { source, file, inputShape, outputs } = order
  switch (format) {
    case 'pickle':
      return reluSpec(order)
    case 'json':
      return expanded(order)
    case 'onnx':
      return network(
        order,
        convertOnnx(file, { source, inputShape, outputs, externalData: await readExternal(order) }),
        'torch',
      )
    case 'tfjs':
      return network(order, convertTfjs(file, await readShards(order), { source, inputShape, outputs }), 'keras')
    default: {
      const read = format === 'safetensors-index' ? await readShardedTensors(order) : readOwnTensors(order)
      return order.arch ? checkedWeights(order, order.arch, read) : bareWeights(order, read)
    }
  }
}

const jsonBytes = (json: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(json, null, 2)}\n`)

function reluSpec(order: Order): Converted {
  const { source, file, arch, choices } = order
  if (!arch) {
    throw refused(order, 'arch: expected the network that this ReLU spec is for, got none')
  }
  const network = parseArchitecture(arch.json, arch.path, choices)
  const { json, spec, unnamed } = convertReluSpec(file, network, { source })
  const more = unnamed.length > 8 ? ` and ${unnamed.length - 8} more` : ''
  const notes = unnamed.length === 0 ? [] : [`not named, so plain ReLUs: ${unnamed.slice(0, 8).join(', ')}${more}`]
  const { drelus } = spec
  return { products: [{ target: 'relu-spec', bytes: jsonBytes(json) }], counts: { drelus }, notes }
}

/** A short file or a published configuration, written out layer by layer. */
function expanded({ source, file, choices }: Order): Converted {
  const json = expandArchitecture(parseObject(new TextDecoder().decode(file), source), source, choices)
  const { layers } = parseArchitecture(json, source)
  return { products: [{ target: 'arch', bytes: jsonBytes(json) }], counts: { layers: layers.length }, notes: [] }
}

function network(
  order: Order,
  { arch: bare, tensors, notes: told }: ConvertedNetwork,
  publisher: Publisher,
): Converted {
  const arch = withPictureOptions(bare, order)
  const tensorOf: TensorOf = (layer, tensor) => tensors.get(`${layer}.${tensor}`)?.data
  const notes = [...told, ...pictureNotes(order, parseArchitecture(arch, order.source), tensorOf, publisher)]
  const floats = [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data! }] as const)
  const { layers } = arch
  const counts = { layers: Array.isArray(layers) ? layers.length : 0, ...tensorCounts(floats) }
  const weights: Product = { target: 'safetensors', bytes: writeSafetensors(new Map(floats)) }
  return { products: [{ target: 'arch', bytes: jsonBytes(arch) }, weights], counts, notes }
}

/** What pictures will be to the network. */
function pictureNotes(
  { scale, mean, std }: Order,
  arch: Architecture,
  tensorOf: TensorOf,
  publisher?: Publisher,
): string[] {
  const isSaid = scale !== undefined || mean !== undefined || std !== undefined
  return rangeNotes(arch, tensorOf, { publisher, isSaid: isSaid || undefined })
}

function tensorCounts(tensors: readonly (readonly [string, { readonly shape: Shape }])[]): ConvertedCounts {
  const elements = tensors.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0)
  return { tensors: tensors.length, elements }
}

function bareWeights(order: Order, { all, told }: ReadTensors): Converted {
  const { source, stripPrefix, to } = order
  if (to === 'arch') {
    throw refused(order, 'arch: expected the network that these weights are for, got none')
  }
  const tensors = [...(stripPrefix === undefined ? all : stripped(all, stripPrefix))]
  const floats = tensors.flatMap(([name, { shape, data }]) => (data ? [[name, { shape, data }] as const] : []))
  const others = tensors.filter(([, { data }]) => !data)
  const notes = [...told, ...widened(tensors), ...leftOut(others)]
  if (floats.length === 0) {
    throw new RingfenceError('BAD_FILE', `${source}: expected tensors of floats, found ${others.length} of other types`)
  }
  const bytes = writeSafetensors(new Map(floats))
  return { products: [{ target: 'safetensors', bytes }], counts: tensorCounts(floats), notes }
}

function widened(tensors: readonly (readonly [string, Tensor])[]): string[] {
  const types = [...new Set(tensors.flatMap(([, { dtype, data }]) => (data && dtype !== 'F32' ? [dtype] : [])))]
  return types.length > 0 ? [`elements of ${types.join(', ')} are now float32`] : []
}

function leftOut(tensors: readonly (readonly [string, Tensor])[]): string[] {
  if (tensors.length === 0) return []
  const [[name, { dtype }]] = tensors
  const others = tensors.length > 1 ? ` and ${tensors.length - 1} like it` : ''
  return [`left out, for its elements are no floats: ${quote(name)} (${dtype})${others}`]
}

/** Only what the network uses, under the names that its file gives. */
function checkedWeights(
  order: Order,
  { json, path }: NonNullable<Order['arch']>,
  { all, told }: ReadTensors,
): Converted {
  const { source, choices, drop = [], masks, stripPrefix } = order
  const isMask = (name: string) => masks !== undefined && name.endsWith(masks)
  const tensors = new Map([...all].filter(([name]) => !isMask(name)))
  const fitted = fitWeights(json, tensors, { archSource: path, source, choices, drop, stripPrefix, advice: true })
  const named = namedTensors(fitted.arch, fitted.weights)
  const weights: Product = { target: 'safetensors', bytes: writeSafetensors(named) }
  const explicit = withPictureOptions(expandArchitecture(fitted.json, path, choices), order)
  const tensorOf: TensorOf = (layer, tensor) => fitted.weights.get(layer)?.[tensor]
  const arch: Product = { target: 'arch', bytes: jsonBytes(explicit) }
  const both = order.withArchitecture || order.to !== undefined
  const notes = [
    ...told,
    `every tensor of ${quote(fitted.arch.name)} is there`,
    ...widened([...tensors]),
    ...fitted.notes,
    ...(both
      ? pictureNotes(order, { ...parseArchitecture(explicit, path), family: fitted.arch.family }, tensorOf)
      : []),
  ]
  const products = both ? [arch, weights] : [weights]
  const counts = tensorCounts([...named])
  if (masks === undefined) return { products, counts, notes }
  const alphas = new Map([...all].filter(([name]) => isMask(name)))
  const spec = reluMasks(fitted.arch, alphas, source)
  const { drelus } = parseReluSpec(spec, fitted.arch, source)
  const note = `ReLU spec from ${alphas.size} tensors: a ReLU where a factor is above 0.01, else unchanged`
  products.push({ target: 'relu-spec', bytes: jsonBytes(spec) })
  return { products, counts: { ...counts, drelus }, notes: [...notes, note] }
}

/** Tensors of one file or of several, and what was left out of them. */
interface ReadTensors {
  readonly all: ReadonlyMap<string, Tensor>
  readonly told: readonly string[]
}

function readOwnTensors({ source, file, unwrap }: Order): ReadTensors {
  const told: string[] = []
  return { all: readWeights(file, source, { unwrap, onNote: (note) => told.push(note) }), told }
}

/** The tensors of all files that `model.safetensors.index.json` lists. */
async function readShardedTensors(order: Order): Promise<ReadTensors> {
  const { source, file } = order
  const map = new Fields(parseObject(new TextDecoder().decode(file), source), source, []).texts('weight_map')
  const shards = await readBesides(order, [...Object.values(map)], 'weight_map')
  const all = new Map<string, Tensor>()
  const problems: string[] = []
  const read = new Map([...shards].map(([path, bytes]) => [path, readWeights(bytes, path)]))
  for (const [name, path] of Object.entries(map)) {
    const tensor = read.get(path)?.get(name)
    if (tensor) all.set(name, tensor)
    else if (read.has(path)) problems.push(`weight_map: expected a tensor ${quote(name)} in ${quote(path)}, found none`)
  }
  for (const path of new Set(Object.values(map))) {
    if (!read.has(path)) problems.push(`weight_map: expected the file ${quote(path)} beside the index, found none`)
  }
  if (all.size === 0 && problems.length === 0) problems.push('weight_map: expected tensors and their files, found none')
  throwIfAny('BAD_FILE', summary(source, problems.length), problems)
  return { all, told: [`read from ${read.size} file${read.size === 1 ? '' : 's'}`] }
}

/** The files that hold tensors of an ONNX model. */
async function readExternal(order: Order): Promise<ReadonlyMap<string, Uint8Array>> {
  return readBesides(order, externalLocations(order.file), 'external_data')
}

/** The weight files that a TF.js model names, by those names; missing ones are the converter's to report. */
async function readShards(order: Order): Promise<ReadonlyMap<string, Uint8Array>> {
  const { source, file } = order
  const { weightsManifest } = parseObject(new TextDecoder().decode(file), source)
  const groups: unknown[] = Array.isArray(weightsManifest) ? weightsManifest : []
  const paths = groups.flatMap((group) => (isObject(group) && Array.isArray(group.paths) ? group.paths : []))
  const names = paths.filter((path): path is string => typeof path === 'string')
  return readBesides(order, names, 'weightsManifest')
}

/** The files that are there, by the names that the input gives them; missing ones are the converter's to report. */
async function readBesides(order: Order, names: readonly string[], field: string): Promise<Map<string, Uint8Array>> {
  const outside = [...new Set(names)].filter((path) => !liesBeside(path))
  const problems = outside.map((path) => `${field}: expected a file beside the model, got ${quote(path)}`)
  throwIfAny('BAD_FILE', summary(order.source, problems.length), problems)
  const files = new Map<string, Uint8Array>()
  for (const path of new Set(names)) {
    const bytes = await order.readBeside?.(path)
    if (bytes) files.set(path, bytes)
  }
  return files
}

/** Whether a path stays below the folder that it is relative to, on any system. */
function liesBeside(path: string): boolean {
  if (/^([\\/]|[a-z]:)/i.test(path)) return false
  let depth = 0
  for (const part of path.split(/[\\/]/)) {
    if (part === '..') depth--
    else if (part !== '.' && part !== '') depth++
    if (depth < 0) return false
  }
  return true
}
