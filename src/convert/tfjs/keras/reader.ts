// What the reader of one Keras layer sees: its fields, its weights, and a place to report faults.
import { isObject, quote } from '../../../model/json/fields.js'
import type { Pair } from '../../../model/layers/layers.js'
import type { ArchDraft, DraftTensor, Value } from '../../arch-draft.js'
import { ACTIVATIONS, TfEmitter, type TfWindow } from '../emit.js'
import { fieldFault } from '../keras-fields.js'
import type { KerasWeights } from '../keras-weights.js'
import type { Layout } from '../layout.js'
import type { KerasCall } from '../topology.js'
import { asFloats } from '../weights.js'

export class KerasReader extends TfEmitter {
  readonly #used = new Set<string>()

  constructor(
    draft: ArchDraft,
    readonly call: KerasCall,
    readonly inputs: readonly Value[],
    readonly weights: KerasWeights,
    readonly file: KerasFile,
  ) {
    super(draft, call.where, call.name, file.layout)
  }

  /** A field of the config; one that no reader asks for must be at its default. */
  field(name: string): unknown {
    this.#used.add(name)
    return this.call.config[name]
  }

  /** Reports every field that was neither used nor at its default. */
  checkFields(): void {
    for (const [name, value] of Object.entries(this.call.config)) {
      const expected = this.#used.has(name) ? undefined : fieldFault(this.call.className, name, value)
      if (expected) this.fault(`${name}: ${expected}`)
    }
  }

  /** Fields that say the sizes of weights as well. */
  declares(sizes: Readonly<Record<string, number | Pair>>): void {
    for (const [name, actual] of Object.entries(sizes)) {
      const value = this.field(name) ?? actual
      const given: unknown[] = Array.isArray(value) ? value : typeof actual === 'number' ? [value] : [value, value]
      const expected = [actual].flat()
      if (given.length === expected.length && given.every((size, i) => size === expected[i])) continue
      this.fault(`${name}: expected ${quote(actual)} as the weights have it, got ${quote(value)}`)
    }
  }

  /** The axis of the channels, as an index of the batched tensor or counted from its end. */
  isChannels(axis: unknown, x: Value): boolean {
    const given = Array.isArray(axis) && axis.length === 1 ? axis[0] : axis
    const rank = x.shape.length + 1
    const place = this.layout === 'channels_first' ? 1 : rank - 1
    return given === place || given === place - rank
  }

  /** Whether the layer takes its map's channels to be where the others have them. */
  ownFormat(): Layout {
    const given = this.field('data_format') ?? this.layout
    if (given === 'channels_first' || given === 'channels_last') return given
    this.fault(`data_format: expected channels_last or channels_first, got ${quote(given)}`)
    return this.layout
  }

  /** A layer that works on rows and columns; those of the others' data_format. */
  requireFormat(): void {
    const own = this.ownFormat()
    if (own === this.layout) return
    this.fault(`data_format: expected ${this.layout} as the network's other layers have it, got ${own}`)
  }

  /** A weight that `missingWeights` has looked for; undefined when there is none to read. */
  weight(...names: readonly string[]): DraftTensor | undefined {
    const [name] = names.flatMap((name) => this.weights.names(this.call.layer, name))
    const tensor = name === undefined ? undefined : this.weights.weights.tensor(name)
    return tensor && asFloats(tensor, this.where, this.draft)
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.field(name) ?? fallback
    if (typeof value === 'boolean') return value
    this.fault(`${name}: expected true or false, got ${quote(value)}`)
    return fallback
  }

  number(name: string, fallback: number): number {
    const value = this.field(name) ?? fallback
    if (typeof value === 'number' && Number.isFinite(value)) return value
    this.fault(`${name}: expected a number, got ${quote(value)}`)
    return fallback
  }

  /** Two integers >= 1, or one for both. */
  pair(name: string, fallback: Pair): Pair {
    const value = this.field(name) ?? fallback
    const list = typeof value === 'number' ? [value, value] : value
    const isSize = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 1 && (x as number) < 2 ** 24
    if (Array.isArray(list) && list.length === 2 && list.every(isSize)) return [list[0], list[1]]
    this.fault(`${name}: expected two integers >= 1, got ${quote(value)}`)
    return fallback
  }

  window(stride: Pair): TfWindow {
    const padding = this.field('padding') ?? 'valid'
    this.requireFormat()
    if (padding !== 'same' && padding !== 'valid') this.fault(`padding: expected same or valid, got ${quote(padding)}`)
    return { stride, dilation: this.pair('dilation_rate', [1, 1]), padding: padding === 'same' ? 'same' : 'valid' }
  }

  /** An `activation` field: a name, null, an object with the name in it, or a layer of its own. */
  activated(x: Value | undefined): Value | undefined {
    const given = this.field('activation') ?? 'linear'
    const layer = activationLayer(given)
    if (layer) return x && this.#applied(layer, x)
    const kind = activationName(given)
    const named = kind === 'hard_sigmoid' && this.file.isKeras3 ? 'hard_sigmoid_3' : kind
    return x && this.activation(named, x, '/activation')
  }

  #applied(layer: ActivationLayer, x: Value): Value | undefined {
    const call = { ...this.call, ...layer, name: `${this.call.name}/activation` }
    const reader = new KerasReader(this.draft, call, [x], this.weights, this.file)
    const before = this.draft.problems.length
    const made = this.file.readers.get(layer.className)!(reader, x)
    if (this.draft.problems.length === before) reader.checkFields()
    return made
  }
}

/** What a layer is told about the file it stands in. */
export interface KerasFile {
  readonly layout: Layout
  /** Whether TF.js itself made the model; a converter's file comes from Keras. */
  readonly byTfjs: boolean
  /** Keras 3 has another hard sigmoid than those before. */
  readonly isKeras3: boolean
  /** What each class becomes: a layer may stand as another one's activation. */
  readonly readers: ReadonlyMap<string, (layer: KerasReader, x: Value) => Value | undefined>
}

/** A layer without weights that stands as another one's activation: `activation=LeakyReLU(0.1)`. */
export interface ActivationLayer {
  readonly className: string
  readonly config: Readonly<Record<string, unknown>>
}

const ACTIVATION_LAYERS: ReadonlySet<string> = new Set(['ELU', 'LeakyReLU', 'ReLU', 'Softmax'])

export function activationLayer(kind: unknown): ActivationLayer | undefined {
  if (!isObject(kind) || typeof kind.class_name !== 'string' || !isObject(kind.config)) return undefined
  const className = bareClass(kind.class_name)
  return ACTIVATION_LAYERS.has(className) ? { className, config: kind.config } : undefined
}

/** Without the package that a class was registered with: `Custom>Swish`. */
const bareClass = (name: string): string => name.replace(/^.*>/, '')

/** An activation is its name, or in newer files an object that holds it: {class_name: 'function', config: 'relu'}. */
export function activationName(kind: unknown): string {
  if (typeof kind === 'string') return kind
  if (!isObject(kind)) return quote(kind)
  const { class_name: className, config } = kind
  if (className === 'function' && typeof config === 'string') return config
  const own = typeof className === 'string' ? bareClass(className) : ''
  const name = ACTIVATION_CLASSES.get(own) ?? (ACTIVATIONS.has(own) ? own : undefined)
  const changes =
    isObject(config) &&
    Object.entries(config).some(([field, value]) => field !== 'activation' && fieldFault('Activation', field, value))
  const inner = isObject(config) && typeof config.activation === 'string' ? config.activation : undefined
  return changes ? quote(kind) : (name ?? inner ?? quote(kind))
}

const ACTIVATION_CLASSES: ReadonlyMap<string, string> = new Map([
  ['Linear', 'linear'],
  ['Sigmoid', 'sigmoid'],
])
