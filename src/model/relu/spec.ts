// Reads `relu-spec/1` files: which activations of a network are kept, shared by a block, or replaced.
import { RingfenceError } from '../../errors.js'
import { Fields, isObject, type Json, quote } from '../json/fields.js'
import { parseObject, summary } from '../json/file.js'
import { isActivation, type Layer, type Pair } from '../layers/layers.js'
import type { Architecture } from '../network.js'
import { asMap, elementCount, formatShape, readShape, type Shape, sameShape } from '../shape.js'
import { type ComparisonWindow, dreluCount, type LayerRelu } from './layout.js'
import { readMaskBits } from './mask-bits.js'

export type { ComparisonWindow, LayerRelu } from './layout.js'

/** A `relu-spec/1` file for a network. */
export interface ReluSpec {
  readonly format: 'relu-spec/1'
  readonly network?: string
  readonly comparison?: ComparisonWindow
  /** One entry for every activation layer of the architecture, by layer id; the file's default is filled in. */
  readonly layers: ReadonlyMap<string, LayerRelu>
  /** Comparisons of the whole network under this spec. */
  readonly drelus: number
}

const PLAIN: LayerRelu = { kind: 'relu' }

/** What the activation `layer` does under `spec`; a plain ReLU when there is no spec. */
export function resolveRelu(spec: Pick<ReluSpec, 'layers'> | undefined, layer: Layer): LayerRelu {
  return spec?.layers.get(layer.id) ?? PLAIN
}

/**
 * Parses a `relu-spec/1` file for a given network.
 * @param json the file's text or its parsed JSON
 * @throws RingfenceError BAD_FILE with every problem of the file
 */
export function parseReluSpec(json: unknown, arch: Architecture, source = 'relu-spec.json'): ReluSpec {
  const root = parseObject(json, source)
  const problems: string[] = []
  const fields = new Fields(root, 'file', problems)
  const format = fields.oneOf('format', ['relu-spec/1'])
  const network = fields.has('network') ? fields.string('network') : undefined
  if (network !== undefined && network !== arch.name) {
    fields.problem(`network: expected ${quote(arch.name)}, the network it is used with, got ${quote(network)}`)
  }
  const comparison = readWindow(fields)
  const fallback = fields.has('default') ? fields.record('default') : { kind: 'relu' }
  if (!fields.has('layers')) fields.fault('layers', 'an object')
  const entries = fields.record('layers')
  const expect = fields.record('expect')
  fields.noOthers()
  const layers = readEntries(entries, fallback, comparison, arch, problems)
  let drelus = 0
  for (const [id, relu] of layers) drelus += dreluCount(relu, arch.byId.get(id)!.out)
  if (problems.length === 0 && expect.drelus !== undefined && expect.drelus !== drelus) {
    problems.push(`expect.drelus: the layers make ${drelus}, the file says ${quote(expect.drelus)}`)
  }
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return { format, layers, drelus, ...(network ? { network } : {}), ...(comparison ? { comparison } : {}) }
}

function readEntries(
  entries: Json,
  fallback: Json,
  window: ComparisonWindow | undefined,
  arch: Architecture,
  problems: string[],
): Map<string, LayerRelu> {
  const layers = new Map<string, LayerRelu>()
  const used = new Set<string>()
  for (const layer of arch.layers) {
    if (!isActivation(layer)) continue
    const name = layer.specName ?? layer.id
    const own = Object.hasOwn(entries, name)
    used.add(name)
    const where = own ? `layer ${quote(name)}` : `default, for layer ${quote(layer.id)}`
    const entry = own ? entries[name] : fallback
    if (isObject(entry)) layers.set(layer.id, readRelu(new Fields(entry, where, problems), layer.out, window))
    else problems.push(`${where}: expected an object, got ${quote(entry)}`)
  }
  for (const name of Object.keys(entries)) if (!used.has(name)) problems.push(unknownLayer(name, arch))
  return layers
}

function unknownLayer(name: string, arch: Architecture): string {
  const layer = arch.byId.get(name)
  const what = layer
    ? isActivation(layer)
      ? `a relu named ${quote(layer.specName)} here`
      : `a ${layer.op}`
    : 'no layer'
  return `layer ${quote(name)}: expected a relu of network ${quote(arch.name)}, but this is ${what}`
}

function readRelu(fields: Fields, shape: Shape, inherited: ComparisonWindow | undefined): LayerRelu {
  const kind = fields.oneOf('kind', ['relu', 'identity', 'zero', 'block', 'mask'])
  const declared = fields.has('shape') ? readShape(fields, 'shape') : undefined
  if (declared && !sameShape(declared, shape)) {
    fields.problem(`shape: expected ${formatShape(shape)} as the network has it, got ${formatShape(declared)}`)
  }
  const own = readWindow(fields, asMap(shape)[0])
  const comparison = own || inherited ? { comparison: { ...inherited, ...own } } : {}
  const relu = readKind(kind, fields, shape, comparison)
  fields.noOthers()
  return relu
}

function readKind(
  kind: LayerRelu['kind'],
  fields: Fields,
  shape: Shape,
  comparison: { comparison?: ComparisonWindow },
): LayerRelu {
  switch (kind) {
    case 'block':
      return { kind, blocks: readBlocks(fields, asMap(shape)[0]), ...comparison }
    case 'mask': {
      const off = fields.oneOf('off', ['identity', 'zero'])
      fields.oneOf('encoding', ['base64-bits-lsb-first'])
      const bits = readMaskBits(fields, 'bits', elementCount(shape))
      return { kind, bits, off, ...comparison }
    }
    case 'relu':
      return { kind, ...comparison }
    default:
      return { kind }
  }
}

/** One block per channel, either written out or as indices into a palette. */
function readBlocks(fields: Fields, channels: number): readonly Pair[] {
  const direct = fields.has('blocks')
  if (direct === (fields.has('palette') || fields.has('index'))) {
    fields.problem('expected either blocks, or palette and index')
    return []
  }
  const blocks = readPairs(fields, direct ? 'blocks' : 'palette')
  if (!direct) return pick(fields, blocks, channels)
  if (blocks.length !== channels) fields.problem(`blocks: expected ${channels}, one per channel, got ${blocks.length}`)
  return blocks
}

function pick(fields: Fields, palette: readonly Pair[], channels: number): readonly Pair[] {
  const index = fields.numbers('index')
  if (index.length !== channels) fields.problem(`index: expected ${channels}, one per channel, got ${index.length}`)
  const outside = index.flatMap((entry, c) => (palette[entry] === undefined ? [`${quote(entry)} (channel ${c})`] : []))
  if (outside.length > 0) {
    fields.problem(`index: expected integers from 0 to ${palette.length - 1}, got ${shorten(outside)}`)
  }
  return index.map((entry) => palette[entry] ?? [1, 1])
}

function readPairs(fields: Fields, name: string): readonly Pair[] {
  const list = fields.value(name)
  if (!Array.isArray(list)) {
    fields.fault(name, 'a list of [height, width]')
    return []
  }
  const wrong = list.flatMap((block, i) => (isBlock(block) ? [] : [`${quote(block)} (entry ${i})`]))
  if (wrong.length > 0) {
    fields.problem(`${name}: expected [height, width] >= 1, [0,1] (identity) or [1,0] (zero), got ${shorten(wrong)}`)
  }
  return list.map((block) => (isBlock(block) ? block : [1, 1]))
}

function isBlock(block: unknown): block is Pair {
  if (!Array.isArray(block) || block.length !== 2 || !block.every((x) => Number.isSafeInteger(x) && x >= 0))
    return false
  const [h, w] = block
  return h >= 1 && w >= 1 ? h < 2 ** 16 && w < 2 ** 16 : h + w === 1
}

function shorten(list: readonly string[]): string {
  return list.length > 8 ? `${list.slice(0, 8).join(', ')} and ${list.length - 8} more` : list.join(', ')
}

/** @param channels of the layer, where the window is a layer's: its ignored bits then may be a list */
function readWindow(parent: Fields, channels?: number): ComparisonWindow | undefined {
  if (!parent.has('comparison')) return undefined
  const fields = new Fields(parent.record('comparison'), `${parent.where}: comparison`, parent.problems)
  const range = { min: 0, max: 63 }
  const window: Record<string, number | readonly number[]> = {}
  if (fields.has('fractionBits')) window.fractionBits = fields.integer('fractionBits', range)
  for (const name of ['lsbIgnored', 'msbIgnored'] as const) {
    if (!fields.has(name)) continue
    const listed = channels !== undefined && Array.isArray(fields.value(name))
    window[name] = listed ? fields.integers(name, channels, range) : fields.integer(name, range)
  }
  fields.noOthers()
  return window
}
