// Which channels of a network's values can only be rescaled together. A ReLU, a sum, a maximum and an average pass a
// positive factor per channel on to their readers (positive homogeneity); convolutions, linear layers and per-channel
// maps, which have weights on either side, let it end there (Nagel et al., arXiv 1906.04721, §4.1).
import type { Architecture } from '../../model/architecture.js'
import { effectiveOp, type Layer } from '../../model/layers/layers.js'
import { asMap, type Shape } from '../../model/shape.js'
import { bodyOf } from '../../model/tail/split.js'

/** Ops with one weight per pair of channels, or one per channel: their outputs' factors are their own. */
const FREE: ReadonlySet<string> = new Set(['conv2d', 'linear', 'batchNorm', 'channelScale', 'zero'])
/** Ops whose output channel c is channel c of every input, times a factor or chosen among its elements. */
const CHANNELWISE: ReadonlySet<string> = new Set([
  ...['relu', 'leakyRelu', 'prelu', 'identity', 'add', 'weightedSum', 'subsample', 'resize'],
  ...['maxPool', 'avgPool', 'globalAvgPool'],
])

/** The class of everything whose factor is 1: the input, the output, and what bounded or unknown layers touch. */
const FIXED = 0

/** Classes of channels, by the id of a layer or input and the channel's index; vectors have a channel per element. */
export class ChannelTies {
  readonly #first = new Map<string, number>()
  readonly #parent: Int32Array

  constructor(network: Architecture) {
    const arch = bodyOf(network)
    let nodes = 1
    for (const [id, shape] of valuesOf(arch)) {
      this.#first.set(id, nodes)
      nodes += asMap(shape)[0]
    }
    this.#parent = Int32Array.from({ length: nodes }, (_, node) => node)
    for (const { name, shape } of arch.inputs) this.#fix(name, shape)
    for (const layer of arch.layers) this.#tieLayer(layer)
    for (const id of arch.outputs) this.#fix(id, (arch.byId.get(id)?.out ?? arch.inputs[0].shape) as Shape)
  }

  /** How many classes there may be; their numbers are below. */
  get size(): number {
    return this.#parent.length
  }

  classOf(id: string, channel: number): number {
    return this.#root(this.#first.get(id)! + channel)
  }

  /** Whether the class can only have the factor 1. */
  isFixed(ofClass: number): boolean {
    return ofClass === this.#root(FIXED)
  }

  /** Makes all channels of a value one class. */
  joinChannels(id: string, channels: number): void {
    for (let c = 1; c < channels; c++) this.#join(this.#node(id, 0), this.#node(id, c))
  }

  #tieLayer(layer: Layer): void {
    const op = effectiveOp(layer)
    const [channels, h, w] = asMap(layer.out)
    if (FREE.has(op.op)) return
    if (CHANNELWISE.has(op.op) || (op.op === 'pad' && op.fill === 0)) {
      for (const from of layer.in) this.#tie(layer.id, 0, from, channels)
    } else if (op.op === 'shortcutA') {
      this.#tie(layer.id, op.padChannels[0], layer.in[0], asMap(layer.inShapes[0])[0], channels)
    } else if (op.op === 'concat') {
      let at = 0
      layer.in.forEach((from, i) => {
        const [width] = asMap(layer.inShapes[i])
        this.#tie(layer.id, at, from, width)
        at += width
      })
    } else if (op.op === 'flatten') {
      const plane = (channels * h * w) / asMap(layer.inShapes[0])[0]
      for (let i = 0; i < channels; i++)
        this.#join(this.#node(layer.id, i), this.#node(layer.in[0], Math.floor(i / plane)))
    } else {
      this.#fix(layer.id, layer.out)
      for (const [i, from] of layer.in.entries()) this.#fix(from, layer.inShapes[i])
    }
  }

  /** Channels `at`, `at` + 1, … of one value are the first `count` of another; those outside of its `room` are cut off. */
  #tie(id: string, at: number, from: string, count: number, room = at + count): void {
    for (let c = Math.max(0, -at); c < count && at + c < room; c++)
      this.#join(this.#node(id, at + c), this.#node(from, c))
  }

  #fix(id: string, shape: Shape): void {
    for (let c = 0; c < asMap(shape)[0]; c++) this.#join(FIXED, this.#node(id, c))
  }

  #node(id: string, channel: number): number {
    return this.#first.get(id)! + channel
  }

  #join(a: number, b: number): void {
    this.#parent[this.#root(b)] = this.#root(a)
  }

  #root(node: number): number {
    const parent = this.#parent
    let at = node
    for (; parent[at] !== at; at = parent[at]) parent[at] = parent[parent[at]]
    return at
  }
}

function* valuesOf(arch: Architecture): Generator<readonly [id: string, shape: Shape]> {
  for (const { name, shape } of arch.inputs) yield [name, shape]
  for (const { id, out } of arch.layers) yield [id, out]
}
