// A Keras model config as one flat list of layer calls: nested models are unfolded, shared layers called as often as
// they are used. Configs of Keras 1 to 3 differ in how they write calls; all are read.
import { isObject, type Json, quote } from '../../model/json/fields.js'

export interface KerasCall {
  /** Path of the layer in the file. */
  readonly where: string
  readonly name: string
  /** Name under which its weights are kept. */
  readonly layer: string
  readonly className: string
  readonly config: Json
  /** The calls whose outputs it reads. */
  inputs: readonly number[]
}

export interface KerasTopology {
  readonly calls: readonly KerasCall[]
  /** The calls that are the network's inputs and outputs. */
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
}

/** Deeper nesting, or more calls once unfolded, is taken for damage. */
const DEEPEST = 16
const MOST_CALLS = 20_000

type Report = (problem: string) => void

/** @returns undefined after reporting why there is none */
export function readKerasTopology(topology: unknown, report: Report): KerasTopology | undefined {
  const outer = isObject(topology) && isObject(topology.model_config) ? topology.model_config : topology
  const unfolding = new Unfolding(report)
  const model = unfolding.model(outer, '', 0)
  return model && { calls: unfolding.calls, ...model }
}

interface Ends {
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
}

class Unfolding {
  readonly calls: KerasCall[] = []
  constructor(readonly report: Report) {}

  fault(text: string): undefined {
    this.report(`modelTopology: ${text}`)
    return undefined
  }

  /** Unfolds a model; `path` is the path of the layer that it is, empty for the outermost. */
  model(value: unknown, path: string, depth: number): Ends | undefined {
    if (depth > DEEPEST) return this.fault(`${path}models are nested deeper than ${DEEPEST}`)
    if (!isObject(value)) return this.fault(`${path}expected a model config, got ${quote(value)}`)
    const { class_name: className, config } = value
    if (className === 'Sequential') return this.#sequential(config, path, depth)
    if (isFunctional(className) && isObject(config)) return this.#functional(config, path, depth)
    return this.fault(`${path}expected a Sequential or Functional model, got ${quote(className)}`)
  }

  #sequential(config: unknown, path: string, depth: number): Ends | undefined {
    const layers = Array.isArray(config) ? config : isObject(config) ? config.layers : undefined
    if (!Array.isArray(layers) || layers.length === 0) return this.fault(`${path}layers: expected a list of layers`)
    let ends: { inputs: readonly number[]; last: readonly number[] } | undefined
    for (const [i, layer] of layers.entries()) {
      const read = this.#layer(layer, `${path}layers[${i}]`)
      if (!read) return undefined
      if (!ends && read.className !== 'InputLayer' && !isModel(read.className)) {
        const shape = inputShape(read.config) ?? (isObject(config) ? config.build_input_shape : undefined)
        const input = this.#push(
          { ...read, className: 'InputLayer', name: `${read.name}_input`, config: { batch_input_shape: shape } },
          [],
        )
        if (input === undefined) return undefined
        ends = { inputs: [input], last: [input] }
      }
      const made: Ends | undefined = this.#call(read, ends?.last ?? [], layer, depth)
      if (!made) return undefined
      ends = { inputs: ends?.inputs ?? made.inputs, last: made.outputs }
    }
    return ends && { inputs: ends.inputs, outputs: ends.last }
  }

  #functional(config: Json, path: string, depth: number): Ends | undefined {
    const { layers } = config
    if (!Array.isArray(layers) || layers.length === 0) return this.fault(`${path}layers: expected a list of layers`)
    const made = new Map<string, number>()
    const links: { readonly call: number; readonly sources: readonly string[] }[] = []
    for (const [i, layer] of layers.entries()) {
      const read = this.#layer(layer, `${path}layers[${i}]`)
      if (!read) return undefined
      const nodes = inboundNodes(layer)
      if (!nodes)
        return this.fault(
          `${read.where}: inbound_nodes: expected references to layers, got ${quote(layer.inbound_nodes)}`,
        )
      for (const [n, sources] of (nodes.length === 0 ? [[]] : nodes).entries()) {
        const ends = this.#call(read, [], layer, depth)
        if (!ends) return undefined
        for (const [t, output] of ends.outputs.entries()) made.set(key(read.layer, n, t), output)
        for (const [j, call] of ends.inputs.entries()) {
          links.push({ call, sources: isModel(read.className) ? sources.slice(j, j + 1) : sources })
        }
      }
    }
    const find = (source: string, where: string) => {
      const call = made.get(source)
      if (call === undefined) this.fault(`${where}: expected an output of a layer of this model, got ${source}`)
      return call
    }
    for (const { call, sources } of links) {
      const found = sources.map((source) => find(source, this.calls[call].where))
      this.calls[call].inputs = found.filter((source) => source !== undefined)
    }
    const ends = (field: 'input_layers' | 'output_layers') => {
      const list = references(config[field])
      if (!list || list.length === 0)
        return this.fault(`${path}${field}: expected references, got ${quote(config[field])}`)
      return list.map((source) => find(source, `${path}${field}`))
    }
    const inputs = ends('input_layers')
    const outputs = ends('output_layers')
    if (!inputs || !outputs || [...inputs, ...outputs].some((call) => call === undefined)) return undefined
    return { inputs: inputs as number[], outputs: outputs as number[] }
  }

  /** One call of a layer; a model is unfolded, its inputs become identities that read `sources`. */
  #call(layer: KerasCall, sources: readonly number[], value: Json, depth: number): Ends | undefined {
    if (!isModel(layer.className)) {
      const call = this.#push(layer, sources)
      return call === undefined ? undefined : { inputs: [call], outputs: [call] }
    }
    const inner = this.model(value, `${layer.where} > `, depth + 1)
    if (!inner) return undefined
    const isFirst = sources.length === 0 && value.inbound_nodes === undefined
    if (isFirst) return inner // of a Sequential, whose input is the model's own
    for (const [i, input] of inner.inputs.entries()) {
      this.calls[input] = { ...this.calls[input], className: 'Identity', inputs: sources.slice(i, i + 1) }
    }
    return inner
  }

  #push(call: KerasCall, inputs: readonly number[]): number | undefined {
    if (this.calls.length >= MOST_CALLS) return this.fault(`more than ${MOST_CALLS} calls of layers`)
    return this.calls.push({ ...call, inputs }) - 1
  }

  #layer(value: unknown, where: string): KerasCall | undefined {
    if (!isObject(value) || typeof value.class_name !== 'string') {
      return this.fault(`${where}: expected a layer with a class_name, got ${quote(value)}`)
    }
    const config = isModel(value.class_name) ? {} : value.config
    if (!isObject(config)) return this.fault(`${where}: config: expected an object, got ${quote(config)}`)
    const inner = isObject(value.config) ? value.config.name : undefined
    const name = [value.name, inner].find((text) => typeof text === 'string') as string | undefined
    const path = `${where}${name ? ` ${quote(name)}` : ''} (${value.class_name})`
    return { where: path, name: name ?? where, layer: name ?? where, className: value.class_name, config, inputs: [] }
  }
}

function isFunctional(className: unknown): boolean {
  return className === 'Model' || className === 'Functional'
}

function isModel(className: unknown): boolean {
  return className === 'Sequential' || isFunctional(className)
}

function key(layer: string, node: number, tensor: number): string {
  return `${quote(layer)} ${node}:${tensor}`
}

/** `batch_input_shape` (Keras 1 and 2) or `batch_shape` (Keras 3). */
export function inputShape(config: Json): unknown {
  return config.batch_input_shape ?? config.batch_shape
}

/** For every call of a layer, the outputs it reads: [[name, node, tensor, kwargs], …] or Keras 3's {args, kwargs}. */
function inboundNodes(layer: Json): string[][] | undefined {
  const nodes = layer.inbound_nodes ?? []
  if (!Array.isArray(nodes)) return undefined
  const read = nodes.map((node) => (isObject(node) ? historyReferences(node.args) : references(node)))
  return read.some((sources) => sources === undefined) ? undefined : (read as string[][])
}

/** One reference, or a list of them. */
function references(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const list = typeof value[0] === 'string' ? [value] : value
  const read = list.map(reference)
  return read.some((source) => source === undefined) ? undefined : (read as string[])
}

function reference(value: unknown): string | undefined {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return undefined
  const [name, node = 0, tensor = 0] = value
  return Number.isSafeInteger(node) && Number.isSafeInteger(tensor) ? key(name, node, tensor) : undefined
}

/** Keras 3: positional arguments, each a tensor or a list of tensors with its history. */
function historyReferences(args: unknown): string[] | undefined {
  if (!Array.isArray(args)) return undefined
  const tensors = args.flatMap((argument) => (Array.isArray(argument) ? argument : [argument]))
  const read = tensors.map((tensor) =>
    isObject(tensor) && isObject(tensor.config) ? reference(tensor.config.keras_history) : undefined,
  )
  return read.some((source) => source === undefined) ? undefined : (read as string[])
}
