// One input's way through the network with every value kept, so that a changed activation costs only what lies behind it.
import { RingfenceError } from '../errors.js'
import { addConvChannelF32, type FloatConv, subF32 } from '../kernels/float/conv.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import type { Region } from '../kernels/instance.js'
import { quote } from '../model/json/fields.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { asBlocks, prepareActivation, toMapSize } from './activation.js'
import { releaseUsed } from './liveness.js'
import type { Step, Steps, ValueIndex } from './steps.js'

/** Fewest channels for each changed one for which a convolution is updated, not computed again. */
const SPARSE = 4

/** What a variation has computed anew so far. */
interface Variation {
  readonly values: (Region | undefined)[]
  /** Channels in which a new value differs from the kept one, where they are few. */
  readonly channels: Map<ValueIndex, readonly number[]>
}

/** One input's way through the network, with every value kept. */
export class FloatPass {
  readonly #k: FloatKernels
  readonly #steps: Steps
  readonly #last: Int32Array
  readonly #outputs: readonly ValueIndex[]
  readonly #kept: Region[]

  /** @internal Takes over `kept`, the values of all steps. */
  constructor(k: FloatKernels, steps: Steps, last: Int32Array, outputs: readonly ValueIndex[], kept: Region[]) {
    this.#k = k
    this.#steps = steps
    this.#last = last
    this.#outputs = outputs
    this.#kept = kept
  }

  /** The output layer's values (logits), of several outputs one after another, as `FloatNetwork.run` gives them. */
  output(): Float32Array {
    return joined(this.#outputs.map((output) => this.#live(output).f32()))
  }

  /**
   * A copy of a layer's or the input's value.
   * @throws RingfenceError BAD_INPUT for an unknown id or a layer that was merged into the one behind it
   */
  value(id: string): Float32Array {
    return this.view(id).slice()
  }

  /** @internal As `value`, without a copy: good until the next call of anything. */
  view(id: string): Float32Array {
    const value = this.#steps.values.get(id)
    if (value !== undefined) return this.#live(value).f32()
    throw new RingfenceError('BAD_INPUT', `layer ${quote(id)} has no value of its own; prepare the network to keep it`)
  }

  /**
   * The output with other activations: only what depends on them is computed, the pass itself does not change. When a
   * layer changes in few channels, the convolutions behind it are updated by these channels; such outputs may differ in
   * rounding from those of a network prepared with the changes.
   * @param changes kinds by layer id
   * @throws RingfenceError BAD_INPUT for a layer that is no activation of its own (prepare with `variable`) or a kind that
   *   does not fit its shape
   */
  vary(changes: ReadonlyMap<string, LayerRelu>): Float32Array {
    this.#live(0)
    const { steps } = this.#steps
    const kinds = this.#changedSteps(changes)
    const fresh: Variation = { values: [], channels: new Map() }
    try {
      steps.forEach((step, i) => {
        const kind = kinds.get(i)
        if (kind === undefined && !step.inputs.some((value) => fresh.values[value])) return
        const out = this.#k.memory.alloc(4 * step.elements)
        fresh.values[i + 1] = out
        if (kind) this.#activate(step, i, kind, fresh, out)
        else this.#rerun(step, i, fresh, out)
        releaseUsed(step, i, this.#last, fresh.values)
      })
      return joined(this.#outputs.map((output) => (fresh.values[output] ?? this.#kept[output]).f32()))
    } finally {
      for (const value of fresh.values) value?.release()
    }
  }

  /** Gives the memory back. */
  release(): void {
    for (const value of this.#kept.splice(0)) value.release()
  }

  #live(value: ValueIndex): Region {
    const region = this.#kept[value]
    if (region) return region
    throw new RingfenceError('BAD_INPUT', 'this pass has been released; start another')
  }

  #changedSteps(changes: ReadonlyMap<string, LayerRelu>): Map<number, LayerRelu> {
    const kinds = new Map<number, LayerRelu>()
    const problems: string[] = []
    for (const [id, kind] of changes) {
      const i = this.#steps.steps.findIndex((step) => step.relu !== undefined && step.layer.id === id)
      if (i >= 0) kinds.set(i, kind)
      else problems.push(`layer ${quote(id)}: expected an activation of a network prepared with variable`)
    }
    if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'these activations cannot be changed:', problems)
    return kinds
  }

  #activate(step: Step, i: number, kind: LayerRelu, fresh: Variation, out: Region): void {
    const [from] = step.inputs
    const x = fresh.values[from] ?? this.#kept[from]
    const { c, h, w } = toMapSize(step.layer.out)
    const before = fresh.values[from] ? undefined : asBlocks(step.relu!, c)
    const after = asBlocks(kind, c)
    const changed = before && after?.length === c ? differing(before, after) : undefined
    if (!changed || changed.length * SPARSE > c) {
      const activation = prepareActivation(this.#k, step.layer, kind)
      activation.run(x, out)
      activation.release()
      return
    }
    out.u8().set(this.#kept[i + 1].u8())
    const plane = 4 * h * w
    for (const channel of changed) {
      const one = { ...step.layer, out: [1, h, w] }
      const activation = prepareActivation(this.#k, one, { kind: 'block', blocks: [after![channel]] })
      activation.run(x.part(channel * plane, plane), out.part(channel * plane, plane))
      activation.release()
    }
    fresh.channels.set(i + 1, changed)
  }

  #rerun(step: Step, i: number, fresh: Variation, out: Region): void {
    const [from] = step.inputs
    const channels = fresh.channels.get(from)
    // Behind a flatten a convolution's channels are elements of the map.
    const alike = channels && step.conv?.geometry.cin === toMapSize(this.#steps.steps[from - 1].layer.out).c
    if (alike && step.conv.geometry.groups === 1) this.#update(step.conv, from, i, channels, fresh, out)
    else {
      const inputs = step.inputs.map((value) => fresh.values[value] ?? this.#kept[value])
      step.run(inputs, out)
    }
  }

  /** The kept outputs of a convolution plus what the change of a few input channels adds. */
  #update(
    conv: FloatConv,
    from: ValueIndex,
    i: number,
    channels: readonly number[],
    fresh: Variation,
    out: Region,
  ): void {
    const words = conv.geometry.h * conv.geometry.w
    const change = this.#k.memory.alloc(4 * words)
    out.u8().set(this.#kept[i + 1].u8())
    for (const channel of channels) {
      const [after, before] = [fresh.values[from]!, this.#kept[from]].map((value) => {
        return value.part(4 * channel * words, 4 * words)
      })
      subF32(this.#k, after, before, change, words)
      addConvChannelF32(this.#k, conv, channel, change, out)
    }
    change.release()
  }
}

/** A copy of some values, one after another. */
export function joined(values: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(values.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const value of values) {
    out.set(value, at)
    at += value.length
  }
  return out
}

function differing(
  a: readonly (readonly [number, number])[],
  b: readonly (readonly [number, number])[],
): readonly number[] {
  return a.flatMap((block, c) => (block[0] === b[c][0] && block[1] === b[c][1] ? [] : [c]))
}
