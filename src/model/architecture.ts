// Reads `arch/1` files: what a network is, before anybody asks whether it can be run.
import { RingfenceError } from '../errors.js'
import { expectationProblems } from './count.js'
import { Fields, isObject, objects, quote } from './fields.js'
import { parseObject, summary } from './json-file.js'
import { readLayers } from './layer-list.js'
import type { Layer } from './layers.js'
import { readShape, type Shape } from './shape.js'

/** How a picture of values 0..255 becomes an input: `(value * scale - mean[channel]) / std[channel]`. */
export interface Preprocess {
  readonly scale: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

export interface NetworkInput {
  readonly name: string
  readonly shape: Shape
  readonly preprocess: Preprocess
}

export interface WeightNames {
  readonly layout: 'torch' | 'keras' | 'onnx' | 'tfjs'
  /** Taken off the front of every tensor name of the weight file, where it is there. */
  readonly stripPrefix?: string
  /** Name of the entry of a checkpoint that holds the tensors; in a flat file it is a prefix `<unwrap>.`. */
  readonly unwrap?: string
  /** `<layer id>` or `<layer id>.<tensor>` to the name (or the name's front part) in the weight file. */
  readonly map: Readonly<Record<string, string>>
}

export interface Architecture {
  readonly format: 'arch/1'
  readonly name: string
  readonly inputs: readonly NetworkInput[]
  /** Layer ids. */
  readonly outputs: readonly string[]
  /** In an order in which they can be computed. */
  readonly layers: readonly Layer[]
  readonly byId: ReadonlyMap<string, Layer>
  readonly weights: WeightNames
  /** One name per output element; empty when the file gives none. */
  readonly labels: readonly string[]
}

/**
 * Parses an `arch/1` file in its explicit form.
 * @param json the file's text or its parsed JSON
 * @param source the file's name, for messages
 * @throws RingfenceError BAD_FILE with every problem of the file; UNSUPPORTED for the short `family` form
 */
export function parseArchitecture(json: unknown, source = 'arch.json'): Architecture {
  const root = parseObject(json, source)
  const problems: string[] = []
  const fields = new Fields(root, 'file', problems)
  const format = fields.oneOf('format', ['arch/1'])
  const name = fields.string('name')
  if (fields.has('family') && !fields.has('layers')) refuseFamily(fields, source)
  const inputs = readInputs(fields)
  const choices = fields.record('choices')
  const outputs = fields.strings('outputs')
  const { layers, shapes } = readLayers(fields, inputs, choices)
  checkOutputs(fields, outputs, shapes)
  const weights = readWeightNames(fields)
  const labels = fields.strings('labels', [])
  const expect = fields.record('expect')
  fields.noOthers()
  const last = outputs.length === 1 ? shapes.get(outputs[0]) : undefined
  if (labels.length > 0 && last && labels.length !== last[0]) {
    fields.problem(`labels: expected ${last[0]}, one per element of output ${quote(outputs[0])}, got ${labels.length}`)
  }
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  const arch: Architecture = { format, name, inputs, outputs, layers, byId, weights, labels }
  if (problems.length === 0) problems.push(...expectationProblems(arch, expect))
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return arch
}

function refuseFamily(fields: Fields, source: string): never {
  const family = quote(fields.value('family'))
  const message = `${source}: the short form (family ${family}) cannot be read by this version; give the network's layers`
  throw new RingfenceError('UNSUPPORTED', `${message} in full as inputs, outputs and layers`)
}

function readInputs(root: Fields): NetworkInput[] {
  const seen = new Set<string>()
  return objects(root, 'inputs').map((entry, i) => {
    const fields = new Fields(entry, `inputs[${i}]`, root.problems)
    const name = fields.string('name')
    if (seen.has(name)) fields.problem(`name: ${quote(name)} is taken by an earlier input`)
    seen.add(name)
    const shape = readShape(fields, 'shape') ?? []
    const preprocess = readPreprocess(fields, shape)
    fields.noOthers()
    return { name, shape, preprocess }
  })
}

function readPreprocess(parent: Fields, shape: Shape): Preprocess {
  const fields = new Fields(parent.record('preprocess'), `${parent.where}: preprocess`, parent.problems)
  const channels = shape[0] ?? 1
  const perChannel = (name: string, fallback: number): readonly number[] => {
    const list = fields.numbers(name, [fallback])
    if (list.length === 1) return Array<number>(channels).fill(list[0])
    if (list.length !== channels) fields.fault(name, `1 or ${channels} numbers, one per channel`)
    return list
  }
  const preprocess = { scale: fields.number('scale', 1), mean: perChannel('mean', 0), std: perChannel('std', 1) }
  if (preprocess.std.some((std) => std <= 0)) fields.fault('std', 'numbers > 0')
  fields.noOthers()
  return preprocess
}

function checkOutputs(fields: Fields, outputs: readonly string[], shapes: ReadonlyMap<string, Shape>): void {
  const list = fields.object.layers
  const ids = new Set(Array.isArray(list) ? list.map((layer) => (isObject(layer) ? layer.id : undefined)) : [])
  if (outputs.length === 0 && Array.isArray(fields.object.outputs)) fields.fault('outputs', 'at least one layer id')
  for (const id of outputs) {
    if (!ids.has(id))
      fields.problem(`outputs: expected a layer id, got ${quote(id)}${shapes.has(id) ? ', an input' : ''}`)
  }
}

function readWeightNames(root: Fields): WeightNames {
  const fields = new Fields(root.record('weights'), 'weights', root.problems)
  const layout = fields.oneOf('layout', ['torch', 'keras', 'onnx', 'tfjs'], 'torch')
  const stripPrefix = fields.has('stripPrefix') ? fields.string('stripPrefix') : undefined
  const unwrap = fields.has('unwrap') ? fields.string('unwrap') : undefined
  const map = fields.texts('map')
  fields.noOthers()
  return { layout, map, ...(stripPrefix ? { stripPrefix } : {}), ...(unwrap ? { unwrap } : {}) }
}
