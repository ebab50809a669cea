// `distortion/1` files: how much the outputs of a network change when one channel of one activation layer uses a block.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { Fields, isObject, type Json, quote } from '../../model/json/fields.js'
import { parseObject, summary } from '../../model/json/file.js'
import { isActivation, type Layer, type Pair } from '../../model/layers/layers.js'
import { asMap, elementCount, formatShape, type Shape, sameShape } from '../../model/shape.js'
import { shortened } from '../knapsack/problem.js'
import { type LayerMasks, masksJson, readMasks } from './nested-masks.js'

/** The measurements of one activation layer. */
export interface LayerDistortion {
  readonly shape: Shape
  /** The candidates: [height, width], [0,1] identity, [1,0] zero. */
  readonly blocks: readonly Pair[]
  /**
   * Mean squared change of the outputs, one row per channel, one column per candidate: value c * blocks.length + j. NaN
   * where a block does not fit into the map, and, in a table that is not finished, where nothing was measured yet.
   */
  readonly values: Float64Array
  /** The change when the whole layer is replaced by the identity at once. */
  readonly identity?: number
  /** Masks of single elements as candidates, where they were measured. */
  readonly masks?: LayerMasks
}

/** A `distortion/1` file: how much a network's outputs change when channels share signs by blocks. */
export interface DistortionTable {
  readonly format: 'distortion/1'
  readonly network: string
  /** How many images were measured; 0 when the file does not say. */
  readonly images: number
  /** By the name under which a ReLU spec knows the layer. */
  readonly layers: ReadonlyMap<string, LayerDistortion>
}

/** How strictly a table is read. */
export interface DistortionTableOptions {
  /** The file's name, for messages. */
  readonly source?: string
  /** Accepts a table with layers and values missing, as an interrupted measurement leaves it. */
  readonly partial?: boolean
}

/** The name under which ReLU specs and distortion tables know an activation layer. */
export function specNameOf(layer: Layer): string {
  return layer.specName ?? layer.id
}

/** The activation layers of a network that have elements. */
export function activationLayers(arch: Architecture): readonly Layer[] {
  return arch.layers.filter((layer) => isActivation(layer) && elementCount(layer.out) > 0)
}

/** Channels of a layer's map; a vector is that many channels of one element. */
export function channelCount(shape: Shape): number {
  return asMap(shape)[0]
}

/** Whether the candidate may be left out of a table: its block is larger than the map. */
export function isTooLarge([bh, bw]: Pair, shape: Shape): boolean {
  const [, h, w] = asMap(shape)
  return bh > h || bw > w
}

/**
 * Parses a `distortion/1` file for a given network. The file's `palette` holds for all layers but those with an entry of
 * their own in `palettes`; `layers` has one row of numbers per channel, null where a block is larger than the map. A file
 * without `format` is read as `distortion/1`.
 * @param json the file's text or its parsed JSON
 * @throws RingfenceError BAD_FILE with the problems of the file: another network, layers that are missing, unknown or of
 *   another shape, holes, values that are not finite numbers >= 0
 */
export function parseDistortionTable(
  json: unknown,
  arch: Architecture,
  { source = 'distortion.json', partial = false }: DistortionTableOptions = {},
): DistortionTable {
  const problems: string[] = []
  const fields = new Fields(parseObject(json, source), 'file', problems)
  fields.oneOf('format', ['distortion/1'], 'distortion/1')
  const network = fields.string('network')
  if (network !== arch.name && network !== '') {
    fields.problem(`network: expected ${quote(arch.name)}, the network it is used with, got ${quote(network)}`)
  }
  const images = fields.integer('images', { min: 0 }, 0)
  if (!fields.has('layers')) fields.fault('layers', 'an object')
  const parts = {
    palette: fields.value('palette'),
    palettes: fields.record('palettes'),
    shapes: fields.record('shapes'),
    identity: fields.record('identity'),
    masks: fields.record('masks'),
    layers: fields.record('layers'),
  }
  fields.noOthers()
  const layers = readLayers(parts, arch, partial, problems)
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), shortened(problems))
  return { format: 'distortion/1', network, images, layers }
}

interface Parts {
  readonly palette: unknown
  readonly palettes: Json
  readonly shapes: Json
  readonly identity: Json
  readonly masks: Json
  readonly layers: Json
}

function readLayers(
  parts: Parts,
  arch: Architecture,
  partial: boolean,
  problems: string[],
): Map<string, LayerDistortion> {
  const layers = new Map<string, LayerDistortion>()
  const known = new Map(activationLayers(arch).map((layer) => [specNameOf(layer), layer.out]))
  const named = [parts.layers, parts.palettes, parts.shapes, parts.identity, parts.masks].flatMap(Object.keys)
  for (const name of new Set(named)) {
    if (!known.has(name))
      problems.push(`layer ${quote(name)}: network ${quote(arch.name)} has no activation of this name`)
  }
  for (const [name, shape] of known) {
    const report = (text: string) => problems.push(`layer ${quote(name)}: ${text}`)
    const stated = Object.hasOwn(parts.shapes, name) ? parts.shapes[name] : undefined
    if (stated !== undefined && !(Array.isArray(stated) && sameShape(stated, shape))) {
      report(`shape: expected ${formatShape(shape)} as the network has it, got ${quote(stated)}`)
    }
    if (!Object.hasOwn(parts.layers, name)) {
      if (!partial) report('not measured')
      continue
    }
    const blocks = readBlocks(Object.hasOwn(parts.palettes, name) ? parts.palettes[name] : parts.palette, report)
    const values = readRows(parts.layers[name], blocks, shape, partial, report)
    const identity = Object.hasOwn(parts.identity, name) ? parts.identity[name] : undefined
    if (identity !== undefined && !isDistortion(identity))
      report(`identity: expected a number >= 0, got ${quote(identity)}`)
    const masks = readMasksOf(name, parts.masks, shape, partial, problems)
    const whole = isDistortion(identity) ? { identity } : {}
    layers.set(name, { shape, blocks, values, ...whole, ...(masks ? { masks } : {}) })
  }
  return layers
}

function readMasksOf(
  name: string,
  entries: Json,
  shape: Shape,
  partial: boolean,
  problems: string[],
): LayerMasks | undefined {
  if (!Object.hasOwn(entries, name)) return undefined
  const where = `layer ${quote(name)}: masks`
  const entry = entries[name]
  if (isObject(entry)) return readMasks(new Fields(entry, where, problems), shape, partial)
  problems.push(`${where}: expected an object, got ${quote(entry)}`)
  return undefined
}

function isDistortion(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

type Report = (text: string) => void

/** [height, width] >= 1, [0,1] identity or [1,0] zero. */
export function isCandidate(block: unknown): block is Pair {
  if (!Array.isArray(block) || block.length !== 2 || !block.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    return false
  }
  return (block[0] >= 1 && block[1] >= 1) || block[0] + block[1] === 1
}

function readBlocks(palette: unknown, report: Report): readonly Pair[] {
  if (Array.isArray(palette) && palette.length > 0 && palette.every(isCandidate)) return palette
  report(`palette: expected a list of [height, width] >= 1, [0,1] (identity) or [1,0] (zero), got ${quote(palette)}`)
  return []
}

function readRows(
  rows: unknown,
  blocks: readonly Pair[],
  shape: Shape,
  partial: boolean,
  report: Report,
): Float64Array {
  const channels = channelCount(shape)
  const values = new Float64Array(channels * blocks.length).fill(Number.NaN)
  if (!Array.isArray(rows) || rows.length !== channels) {
    report(`expected ${channels} rows, one per channel, got ${Array.isArray(rows) ? rows.length : quote(rows)}`)
    return values
  }
  for (const [c, row] of rows.entries()) {
    if (partial && row === null) continue
    if (!Array.isArray(row) || row.length !== blocks.length) {
      const got = Array.isArray(row) ? row.length : quote(row)
      report(`channel ${c}: expected ${blocks.length} numbers, one per candidate, got ${got}`)
      continue
    }
    for (const [j, value] of row.entries()) {
      if (isDistortion(value)) values[c * blocks.length + j] = value
      else if (value !== null || !(partial || isTooLarge(blocks[j], shape))) {
        report(`channel ${c}, block ${formatShape(blocks[j])}: expected a number >= 0, got ${quote(value)}`)
      }
    }
  }
  return values
}

/** The text of a `distortion/1` file: one line per channel, null for NaN; reading it gives the same table. */
export function formatDistortionTable({ network, images, layers }: DistortionTable): string {
  const names = [...layers.keys()]
  const each = (of: (layer: LayerDistortion) => unknown) =>
    JSON.stringify(Object.fromEntries(names.map((name) => [name, of(layers.get(name)!)])))
  const masked = names.flatMap((name) => {
    const { masks, shape } = layers.get(name)!
    return masks ? [`    ${JSON.stringify(name)}: ${JSON.stringify(masksJson(masks, channelCount(shape)))}`] : []
  })
  const rows = names.map((name) => `    ${JSON.stringify(name)}: [\n${rowLines(layers.get(name)!)}\n    ]`)
  const lines = [
    '  "format": "distortion/1"',
    `  "network": ${JSON.stringify(network)}`,
    ...(images > 0 ? [`  "images": ${images}`] : []),
    `  "palettes": ${each(({ blocks }) => blocks)}`,
    `  "shapes": ${each(({ shape }) => shape)}`,
    // JSON leaves out what is undefined.
    `  "identity": ${each(({ identity }) => identity)}`,
    ...(masked.length > 0 ? [`  "masks": {\n${masked.join(',\n')}\n  }`] : []),
    `  "layers": {\n${rows.join(',\n')}\n  }`,
  ]
  return `{\n${lines.join(',\n')}\n}\n`
}

function rowLines({ shape, blocks, values }: LayerDistortion): string {
  const row = (c: number) => JSON.stringify([...values.subarray(c * blocks.length, (c + 1) * blocks.length)])
  return Array.from({ length: channelCount(shape) }, (_, c) => `      ${row(c)}`).join(',\n')
}

/** Whether every candidate that fits into the map, and every mask, was measured in every channel. */
export function isComplete(layer: LayerDistortion): boolean {
  const { blocks, shape, values, masks } = layer
  if (masks?.values.some(Number.isNaN)) return false
  return values.every((value, i) => !Number.isNaN(value) || isTooLarge(blocks[i % blocks.length], shape))
}
