// Reads `arch/1` files: what a network is, before anybody asks whether it can be run.
import { RingfenceError } from '../errors.js'
import { type Choices, checkChoices, keyFault } from './choices.js'
import { expectationProblems } from './count.js'
import { expandFamily } from './families/expand.js'
import { proxylessArchitecture } from './families/proxyless.js'
import { Fields, isObject, type Json, objects, quote } from './json/fields.js'
import { parseObject, summary } from './json/file.js'
import { EVERY_OP } from './layers/grammar.js'
import type { Layer } from './layers/layers.js'
import { readLayers } from './layers/list.js'
import type { Architecture, NetworkInput, Preprocess, WeightNames } from './network.js'
import { readShape, type Shape } from './shape.js'

export type { Architecture, NetworkInput, Preprocess, WeightNames } from './network.js'

/** The file as `arch/1`: a published ProxylessNAS configuration stands for a short one. */
function readRoot(json: unknown, source: string): Json {
  const root = parseObject(json, source)
  return proxylessArchitecture(root) ?? root
}

/**
 * Parses an `arch/1` file, or a published ProxylessNAS configuration. A short form (`family`, `params`, `choices`) is
 * expanded to the explicit one first.
 * @param json the file's text or its parsed JSON
 * @param source the file's name, for messages
 * @param choices those of a choices file, instead of the file's own; every key must be the network's, and none missing
 * @throws RingfenceError BAD_FILE with every problem of the file
 */
export function parseArchitecture(json: unknown, source = 'arch.json', choices?: Choices): Architecture {
  const problems: string[] = []
  const file = new Fields(readRoot(json, source), 'file', problems)
  const arch = isShort(file) ? readShort(file, choices) : readExplicit(file, choices, choices !== undefined)
  if (arch && problems.length === 0) problems.push(...expectationProblems(arch, file.record('expect')))
  if (!arch || problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return arch
}

/**
 * The explicit form of an `arch/1` file as JSON: a short file's expansion, an explicit file as it is. Writing it out
 * gives a file that means the same network.
 * @throws RingfenceError BAD_FILE with every problem of the short file
 */
export function expandArchitecture(json: unknown, source = 'arch.json', choices?: Choices): Json {
  const root = readRoot(json, source)
  const problems: string[] = []
  const file = new Fields(root, 'file', problems)
  if (!isShort(file)) return choices ? { ...root, choices } : root
  const explicit = expandShort(file, choices)
  if (!explicit || problems.length > 0) {
    throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  }
  return explicit
}

function isShort(file: Fields): boolean {
  return file.has('family') && !file.has('layers')
}

function readShort(file: Fields, choices: Choices | undefined): Architecture | undefined {
  const explicit = expandShort(file, choices)
  if (explicit) return readExplicit(new Fields(explicit, 'file', file.problems), undefined, true)
  readWeightNames(file)
  return undefined
}

/** Reads every field of a short file, so that an unknown one is reported. */
function expandShort(file: Fields, given: Choices | undefined): Json | undefined {
  file.oneOf('format', ['arch/1'])
  const name = file.string('name')
  const own = file.has('choices') ? checkChoices(file.value('choices'), file.problems) : {}
  const explicit = expandFamily(file, name, given ?? own)
  for (const field of ['outputs', 'weights', 'labels', 'expect']) file.has(field)
  file.noOthers()
  return file.failed ? undefined : explicit
}

/** @param complete whether every choice must be made; an explicit file may leave some open, to be counted only */
function readExplicit(fields: Fields, given: Choices | undefined, complete: boolean): Architecture {
  const format = fields.oneOf('format', ['arch/1'])
  const name = fields.string('name')
  const family = fields.has('family') ? fields.string('family') : undefined
  const inputs = readInputs(fields)
  const choices = given ?? fields.record('choices')
  fields.has('choices')
  const outputs = fields.strings('outputs')
  const { layers, shapes } = readLayers(EVERY_OP, fields, inputs, choices)
  checkKeys(fields, layers, choices, complete)
  checkOutputs(fields, outputs, shapes)
  const weights = readWeightNames(fields)
  const labels = fields.strings('labels', [])
  fields.record('expect')
  fields.noOthers()
  const last = outputs.length === 1 ? shapes.get(outputs[0]) : undefined
  if (labels.length > 0 && last && labels.length !== last[0]) {
    fields.problem(`labels: expected ${last[0]}, one per element of output ${quote(outputs[0])}, got ${labels.length}`)
  }
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  const arch = { format, name, inputs, outputs, layers, byId, weights, labels }
  return family === undefined ? arch : { ...arch, family }
}

/** No choice may be for a key that no layer has: it would be a file for another network. */
function checkKeys(fields: Fields, layers: readonly Layer[], choices: Json, complete: boolean): void {
  const keys = new Set(layers.flatMap((layer) => (layer.op === 'choice' ? [layer.key] : [])))
  const expected = [...keys].filter((key) => complete || Object.hasOwn(choices, key))
  const fault = fields.failed ? undefined : keyFault(expected, choices)
  if (fault) fields.problem(`choices: ${fault}`)
}

function readInputs(root: Fields): NetworkInput[] {
  const seen = new Set<string>()
  return objects(root, 'inputs').map((entry, i) => {
    const fields = new Fields(entry, `inputs[${i}]`, root.problems)
    const name = fields.string('name')
    if (seen.has(name)) fields.problem(`name: ${quote(name)} is taken by an earlier input`)
    seen.add(name)
    const shape = readShape(fields, 'shape') ?? []
    const isLast = fields.oneOf('layout', ['chw', 'hwc'], 'chw') === 'hwc'
    if (isLast && shape.length !== 3) fields.fault('layout', '"chw" for an input that is no map')
    const preprocess = readPreprocess(fields, shape)
    fields.noOthers()
    return { name, shape, ...(isLast ? { layout: 'hwc' } : {}), preprocess }
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
  const isBgr = fields.oneOf('order', ['rgb', 'bgr'], 'rgb') === 'bgr'
  if (isBgr && channels !== 3) fields.fault('order', '"rgb" for an input of other than 3 channels')
  const preprocess: Preprocess = {
    ...{ scale: fields.number('scale', 1), mean: perChannel('mean', 0), std: perChannel('std', 1) },
    ...(isBgr ? { order: 'bgr' } : {}),
  }
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
