// Channel equalisation (Nagel et al., arXiv 1906.04721, §4.1): every channel of an activation gets a positive factor, the
// layers that make it are multiplied by it and those that read it divided, and the network stays the function it was. One
// comparison window [lo, n') of a layer then is the window [lo - log2 f, n' - log2 f) of a channel with factor f.
import { throwIfAny } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { quote } from '../../model/json/fields.js'
import { effectiveOp, isActivation, type Layer } from '../../model/layers/layers.js'
import { asMap } from '../../model/shape.js'
import type { LayerTensors, Weights } from '../../model/weights.js'
import { ChannelTies } from './channel-ties.js'

/** A positive factor for all channels or one for each, by id of the activation layer; 1 for those that are not named. */
export type ChannelFactors = Readonly<Record<string, number | readonly number[]>>

/** Factors of all values of a network, as those of its activations imply them. */
class SpreadFactors {
  readonly #ties: ChannelTies
  readonly #byClass: Float64Array
  /** Layer and channel that a class has its factor from, for messages. */
  readonly #givenBy = new Map<number, string>()
  readonly problems: string[] = []

  constructor(
    private readonly arch: Architecture,
    factors: ChannelFactors,
  ) {
    this.#ties = new ChannelTies(arch)
    this.#byClass = new Float64Array(this.#ties.size).fill(1)
    for (const [id, list] of Object.entries(factors)) this.#give(id, list)
  }

  #give(id: string, given: number | readonly number[]): void {
    const layer = this.arch.byId.get(id)
    if (!layer || !isActivation(layer)) {
      this.problems.push(`${quote(id)}: no activation layer has this id`)
      return
    }
    const [channels] = asMap(layer.out)
    const list = typeof given === 'number' ? Array<number>(channels).fill(given) : given
    if (list.length !== channels) {
      this.problems.push(`${quote(id)}: expected ${channels} factors, one per channel, got ${list.length}`)
      return
    }
    const wrong = list.flatMap((factor, c) => this.#giveOne(id, c, factor) ?? [])
    if (wrong.length > 0) {
      const more = wrong.length > 1 ? ` (and ${wrong.length - 1} more of its channels)` : ''
      this.problems.push(`${quote(id)}: ${wrong[0]}${more}`)
    }
  }

  /** What is wrong with a factor. */
  #giveOne(id: string, c: number, factor: number): string | undefined {
    if (!(factor >= LEAST && factor <= MOST)) {
      return `channel ${c}: expected a factor from 2^-${LIMIT} to 2^${LIMIT}, got ${quote(factor)}`
    }
    const at = this.#ties.classOf(id, c)
    if (this.#ties.isFixed(at)) {
      return factor === 1 ? undefined : `channel ${c}: expected 1, which inputs, outputs and bounds keep, got ${factor}`
    }
    const before = this.#givenBy.get(at)
    if (before !== undefined && this.#byClass[at] !== factor) {
      return `channel ${c}: expected ${this.#byClass[at]} as ${before} has, which it is joined with, got ${factor}`
    }
    this.#byClass[at] = factor
    this.#givenBy.set(at, `channel ${c} of ${quote(id)}`)
    return undefined
  }

  of(id: string, channels: number): Float64Array {
    return Float64Array.from({ length: channels }, (_, c) => this.#byClass[this.#ties.classOf(id, c)])
  }
}

const LIMIT = 20
const [LEAST, MOST] = [2 ** -LIMIT, 2 ** LIMIT]

/** What is wrong with factors for a network: unknown layers, wrong lengths, channels of one sum with unlike factors. */
export function factorProblems(arch: Architecture, factors: ChannelFactors): string[] {
  return new SpreadFactors(arch, factors).problems
}

/** The factors of any value's channels, as those of the activations imply them. */
export function factorsOf(arch: Architecture, factors: ChannelFactors): (id: string, channels: number) => Float64Array {
  const spread = new SpreadFactors(arch, factors)
  return (id, channels) => spread.of(id, channels)
}

/**
 * Multiplies what makes a channel by its factor and divides what reads it. The network computes what it did before, and
 * its activations are larger by their factors.
 * @returns weights of the same names and shapes; those of layers with factors 1 are the same arrays
 * @throws RingfenceError BAD_INPUT for factors that do not fit the network
 */
export function equalize(arch: Architecture, weights: Weights, factors: ChannelFactors): Weights {
  const spread = new SpreadFactors(arch, factors)
  throwIfAny('BAD_INPUT', 'these channel factors do not fit the network', spread.problems)
  const equal = new Map<string, LayerTensors>()
  for (const layer of arch.layers) {
    const tensors = weights.get(layer.id)
    if (!tensors) continue
    const before = spread.of(layer.in[0], asMap(layer.inShapes[0])[0])
    const after = spread.of(layer.id, asMap(layer.out)[0])
    const unmoved = before.every((f) => f === 1) && after.every((f) => f === 1)
    equal.set(layer.id, unmoved ? tensors : rescaled(layer, tensors, before, after))
  }
  return equal
}

function rescaled(layer: Layer, tensors: LayerTensors, before: Float64Array, after: Float64Array): LayerTensors {
  const op = effectiveOp(layer)
  const { weight, bias, running_mean: mean } = tensors
  const outwards = (values: Float32Array | undefined) => values?.map((x, c) => x * after[c])
  switch (op.op) {
    case 'conv2d':
    case 'linear':
      return kept(tensors, {
        weight: crossed(weight!, op.op === 'conv2d' ? op.groups : 1, before, after),
        bias: outwards(bias),
      })
    case 'batchNorm':
      return kept(tensors, {
        weight: after.every((f, c) => f === before[c]) ? weight : ratio(weight, before, after),
        bias: outwards(bias),
        running_mean: mean?.map((x, c) => x * before[c]),
      })
    case 'channelScale':
      return kept(tensors, { weight: ratio(weight, before, after) })
    default: // slopes and coefficients of sums stay what they are
      return tensors
  }
}

const kept = (
  tensors: LayerTensors,
  changed: { [name in keyof LayerTensors]: Float32Array | undefined },
): LayerTensors => ({
  ...tensors,
  ...Object.fromEntries(Object.entries(changed).filter(([, values]) => values !== undefined)),
})

/** A scale per channel that is not written down is 1. */
const ratio = (weight: Float32Array | undefined, before: Float64Array, after: Float64Array): Float32Array =>
  Float32Array.from(after, (f, c) => ((weight?.[c] ?? 1) * f) / before[c])

/** Weights [cout, cin / groups, …] from rescaled inputs to rescaled outputs. */
function crossed(weight: Float32Array, groups: number, before: Float64Array, after: Float64Array): Float32Array {
  const [cin, cout] = [before.length / groups, after.length]
  const window = weight.length / (cin * cout)
  const scaled = new Float32Array(weight.length)
  for (let o = 0, i = 0; i < weight.length; o++) {
    const first = Math.floor(o / (cout / groups)) * cin
    for (let c = 0; c < cin; c++) {
      const factor = after[o] / before[first + c]
      for (const end = i + window; i < end; i++) scaled[i] = weight[i] * factor
    }
  }
  return scaled
}
