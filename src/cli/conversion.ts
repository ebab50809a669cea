// What a file of another program becomes: which converter reads it, and what comes out.
import { dirname, isAbsolute, join, normalize } from 'node:path'
import type { ConvertedNetwork } from '../convert/arch-draft.js'
import { detectFormat, type FileFormat } from '../convert/detect.js'
import { convertOnnx } from '../convert/onnx/onnx.js'
import { convertReluSpec } from '../convert/pickle/relu-spec.js'
import { reluMasks } from '../convert/relu-masks.js'
import { convertTfjs } from '../convert/tfjs/tfjs.js'
import { fitWeights } from '../convert/weights/fit.js'
import { otherFormat, readWeights, WEIGHT_FORMATS } from '../convert/weights/read.js'
import { RingfenceError } from '../errors.js'
import type { JsonFile } from '../files/architecture-file.js'
import { readWhole } from '../files/whole-files.js'
import { expandArchitecture, parseArchitecture } from '../model/architecture.js'
import type { Choices } from '../model/choices.js'
import { isObject, quote } from '../model/json/fields.js'
import { parseObject, summary } from '../model/json/file.js'
import { parseReluSpec } from '../model/relu/spec.js'
import { type Tensor, writeSafetensors } from '../model/safetensors.js'
import { elementCount, type Shape } from '../model/shape.js'
import { namedTensors } from '../model/weights.js'

export const TARGETS = ['safetensors', 'relu-spec', 'arch'] as const
export type Target = (typeof TARGETS)[number]

export interface ConversionOrder {
  /** Path of the input. */
  readonly input: string
  readonly file: Uint8Array
  readonly to: Target | undefined
  readonly arch: JsonFile | undefined
  readonly choices: Choices | undefined
  /** Channels first. */
  readonly inputShape: Shape | undefined
  readonly unwrap: string | undefined
  /** Tensors whose names start with one of these are left out. */
  readonly drop: readonly string[]
  /** Tensors whose names end so are factors of ReLUs, which become a ReLU spec. */
  readonly masks: string | undefined
  /** Whether the output is a folder, which has room for the architecture beside the weights. */
  readonly intoFolder: boolean
}

export interface Product {
  readonly target: Target
  readonly bytes: Uint8Array
}

/** What was found. */
export interface Counts {
  readonly layers?: number
  readonly tensors?: number
  /** Of all tensors together. */
  readonly elements?: number
  readonly drelus?: number
}

export interface Conversion {
  readonly format: FileFormat
  readonly products: readonly Product[]
  readonly counts: Counts
  /** What a reader should know. */
  readonly notes: readonly string[]
}

/**
 * Converts one file by what its bytes are.
 * @throws RingfenceError as the converters do; BAD_INPUT for a target that the file cannot become, or without an
 *   architecture where one is needed; UNSUPPORTED, with what to do instead, for a format that is not read
 */
export async function convertFile(order: ConversionOrder): Promise<Conversion> {
  const format = detectFormat(order.file)
  const targets = [...targetsOf(format), ...(order.masks === undefined ? [] : ['relu-spec' as const])]
  if (format === undefined || targets.length === 0) {
    const code = format === undefined ? 'BAD_FILE' : 'UNSUPPORTED'
    throw new RingfenceError(code, `${order.input}: this is ${otherFormat(format, order.input)}`)
  }
  if (order.to !== undefined && !targets.includes(order.to)) {
    throw new RingfenceError('BAD_INPUT', `--to: ${order.input} becomes ${targets.join(' or ')}, not ${order.to}`)
  }
  const conversion = { format, ...(await convertKnown(order, format)) }
  const products = conversion.products.filter(({ target }) => order.to === undefined || target === order.to)
  return { ...conversion, products }
}

function targetsOf(format: FileFormat | undefined): readonly Target[] {
  if (format === 'pickle') return ['relu-spec']
  if (format === 'json') return ['arch']
  if (format === 'onnx' || format === 'tfjs') return ['arch', 'safetensors']
  return format !== undefined && WEIGHT_FORMATS.has(format) ? ['safetensors', 'arch'] : []
}

type Converted = Omit<Conversion, 'format'>

async function convertKnown(order: ConversionOrder, format: FileFormat): Promise<Converted> {
  const { input: source, file, inputShape } = order
  switch (format) {
    case 'pickle':
      return reluSpec(order)
    case 'json':
      return expanded(order)
    case 'onnx':
      return network(convertOnnx(file, { source, inputShape }))
    case 'tfjs':
      return network(convertTfjs(file, await readShards(source, file), { source, inputShape }))
    default:
      return order.arch ? checkedWeights(order, order.arch) : bareWeights(order)
  }
}

const jsonBytes = (json: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(json, null, 2)}\n`)

function reluSpec({ input, file, arch, choices }: ConversionOrder): Converted {
  if (!arch) {
    throw new RingfenceError('BAD_INPUT', `${input} is a ReLU spec: --arch must name the network that it is for`)
  }
  const network = parseArchitecture(arch.json, arch.path, choices)
  const { json, spec, unnamed } = convertReluSpec(file, network, { source: input })
  const more = unnamed.length > 8 ? ` and ${unnamed.length - 8} more` : ''
  const notes = unnamed.length === 0 ? [] : [`not named, so plain ReLUs: ${unnamed.slice(0, 8).join(', ')}${more}`]
  const { drelus } = spec
  return { products: [{ target: 'relu-spec', bytes: jsonBytes(json) }], counts: { drelus }, notes }
}

/** A short file or a published configuration, written out layer by layer. */
function expanded({ input, file, choices }: ConversionOrder): Converted {
  const json = expandArchitecture(parseObject(new TextDecoder().decode(file), input), input, choices)
  const { layers } = parseArchitecture(json, input)
  return { products: [{ target: 'arch', bytes: jsonBytes(json) }], counts: { layers: layers.length }, notes: [] }
}

function network({ arch, tensors, notes }: ConvertedNetwork): Converted {
  const floats = [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data! }] as const)
  const { layers } = arch
  const counts = { layers: Array.isArray(layers) ? layers.length : 0, ...tensorCounts(floats) }
  const weights: Product = { target: 'safetensors', bytes: writeSafetensors(new Map(floats)) }
  return { products: [{ target: 'arch', bytes: jsonBytes(arch) }, weights], counts, notes }
}

function tensorCounts(tensors: readonly (readonly [string, { readonly shape: Shape }])[]): Counts {
  const elements = tensors.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0)
  return { tensors: tensors.length, elements }
}

function bareWeights({ input, file, unwrap, to }: ConversionOrder): Converted {
  if (to === 'arch') {
    throw new RingfenceError('BAD_INPUT', `--to arch: ${input} holds weights; --arch must name the network`)
  }
  const tensors = [...readWeights(file, input, { unwrap })]
  const floats = tensors.flatMap(([name, { shape, data }]) => (data ? [[name, { shape, data }] as const] : []))
  const others = tensors.filter(([, { data }]) => !data)
  const notes = [...widened(tensors), ...leftOut(others)]
  if (floats.length === 0) {
    throw new RingfenceError('BAD_FILE', `${input}: expected tensors of floats, found ${others.length} of other types`)
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
function checkedWeights(order: ConversionOrder, { json, path }: JsonFile): Converted {
  const { input, file, unwrap, choices, drop, masks } = order
  const all = readWeights(file, input, { unwrap })
  const isMask = (name: string) => masks !== undefined && name.endsWith(masks)
  const tensors = new Map([...all].filter(([name]) => !isMask(name)))
  const fitted = hinted(() => fitWeights(json, tensors, { archSource: path, source: input, choices, drop }))
  const named = namedTensors(fitted.arch, fitted.weights)
  const weights: Product = { target: 'safetensors', bytes: writeSafetensors(named) }
  const arch: Product = { target: 'arch', bytes: jsonBytes(expandArchitecture(fitted.json, path, choices)) }
  const both = order.intoFolder || order.to !== undefined
  const notes = [`every tensor of ${quote(fitted.arch.name)} is there`, ...widened([...tensors]), ...fitted.notes]
  const products = both ? [arch, weights] : [weights]
  const counts = tensorCounts([...named])
  if (masks === undefined) return { products, counts, notes }
  const alphas = new Map([...all].filter(([name]) => isMask(name)))
  const spec = reluMasks(fitted.arch, alphas, input)
  const { drelus } = parseReluSpec(spec, fitted.arch, input)
  const note = `ReLU spec from ${alphas.size} tensors: a ReLU where a factor is above 0.01, else unchanged`
  products.push({ target: 'relu-spec', bytes: jsonBytes(spec) })
  return { products, counts: { ...counts, drelus }, notes: [...notes, note] }
}

/** Says of tensors that no layer uses how to leave them out. */
function hinted<T>(bind: () => T): T {
  try {
    return bind()
  } catch (error) {
    const unused =
      error instanceof RingfenceError && error.problems.some((p) => /: no layer of network .* uses it$/.test(p))
    if (!unused) throw error
    const [message] = error.message.split('\n', 1)
    const hint = 'tensors that only training needs are left out by --drop with the start of their names'
    throw new RingfenceError(error.code, message, [...error.problems, hint], { cause: error })
  }
}

/** The weight files that a TF.js model names, by those names; missing ones are the converter's to report. */
async function readShards(input: string, file: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
  const { weightsManifest } = parseObject(new TextDecoder().decode(file), input)
  const groups: unknown[] = Array.isArray(weightsManifest) ? weightsManifest : []
  const paths = groups.flatMap((group) => (isObject(group) && Array.isArray(group.paths) ? group.paths : []))
  const names = paths.filter((path): path is string => typeof path === 'string')
  const outside = names.filter((path) => isAbsolute(path) || /^\.\.([\\/]|$)/.test(normalize(path)))
  if (outside.length > 0) {
    const problems = outside.map((path) => `weightsManifest: expected a file beside the model, got ${quote(path)}`)
    throw new RingfenceError('BAD_FILE', summary(input, problems.length), problems)
  }
  const shards = new Map<string, Uint8Array>()
  for (const path of new Set(names)) {
    const shard = await readWhole(join(dirname(input), path)).catch(() => undefined)
    if (shard) shards.set(path, shard)
  }
  return shards
}
