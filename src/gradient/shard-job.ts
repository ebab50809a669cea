// One thread's part in training: loss and gradients of some pictures of a batch.
import { FloatNetwork } from '../float/network.js'
import type { Architecture } from '../model/architecture.js'
import type { ReluSpec } from '../model/relu/spec.js'
import type { Weights } from '../model/weights.js'
import { type LossOptions, lossOf } from './loss.js'
import { type FactorSlot, factorsOf, lengthOf, slotsOf, toVector, withVector } from './parameters.js'
import { Tape } from './tape.js'

/** A network with the kinds of its activations. */
export interface ShardNetwork {
  readonly weights: Weights
  readonly spec: ReluSpec | undefined
}

/** A network whose answers are distilled; of other layers where it says so. */
export interface TeacherNetwork extends ShardNetwork {
  readonly arch?: Architecture
}

export interface ShardSetup extends ShardNetwork {
  readonly arch: Architecture
  readonly loss: LossOptions
  /** Whose answers are distilled, under its own running statistics. */
  readonly teacher: TeacherNetwork | undefined
  /** Activations whose masks are learned. */
  readonly factors?: readonly FactorSlot[]
  /** Activations whose comparisons read a window, and 2^lo of each in the values' units. */
  readonly windows?: ReadonlyMap<string, number>
}

export interface ShardTask {
  /** Trained tensors in the order of `slotsOf`. */
  readonly parameters: Float32Array
  /** Of all learned masks, in the order of the setup. */
  readonly factors?: Float32Array
  /** Tasks of one version have the same parameters and factors. */
  readonly version: number
  /** CHW, preprocessed. */
  readonly inputs: readonly Float32Array[]
  readonly labels: readonly number[]
  /** Leaves the teacher out. */
  readonly untaught?: boolean
  /** Of the comparisons' errors. */
  readonly seed: number
  /** Pictures of the whole batch, by which the gradients are divided. */
  readonly batch: number
}

export interface ShardResult {
  /** Of the batch's mean loss: this shard's part of it. */
  readonly gradients: Float32Array
  /** Likewise; empty unless masks are learned. */
  readonly factors: Float32Array
  /** Means and variances of the batch norms, in the order of `slotsOf(arch, false)`. */
  readonly statistics: Float32Array
  /** Sum over the pictures. */
  readonly loss: number
  readonly hits: number
  /** What is not finite, in words, if anything: where the loss is not, the first layer with such a value; a gradient. */
  readonly fault?: string
}

/** A sum of finite float32 values is finite in double precision. */
const isFinite32 = (vector: Float32Array): boolean => Number.isFinite(vector.reduce((sum, value) => sum + value, 0))

export function shardJob(setup: ShardSetup) {
  const { arch, weights, spec, loss: options, teacher: given, factors: learned = [], windows } = setup
  const trained = slotsOf(arch)
  const running = slotsOf(arch, false)
  const none = new Float32Array(lengthOf(learned))
  const tape = Tape.prepare(arch, weights, { spec, factors: factorsOf(learned, none), windows })
  const teacher =
    given && options.distill > 0 ? FloatNetwork.prepare(given.arch ?? arch, given.weights, given) : undefined
  let loaded: number | undefined
  const run = ({
    parameters,
    factors = none,
    version,
    inputs,
    labels,
    seed,
    batch,
    untaught,
  }: ShardTask): ShardResult => {
    if (version !== loaded) tape.load(withVector(weights, trained, parameters), factorsOf(learned, factors))
    loaded = version
    const outputs = tape.forward(inputs, seed)
    const answers = untaught ? undefined : teacher?.run(inputs)
    const losses = outputs.map((logits, i) => lossOf(logits, labels[i], options, answers?.[i]))
    const loss = losses.reduce((sum, one) => sum + one.loss, 0)
    const hits = losses.filter(({ hit }) => hit).length
    const statistics = toVector(running, tape.statistics())
    if (!Number.isFinite(loss)) {
      const layer = tape.firstNonFinite(inputs)
      const fault = layer === undefined ? 'the loss' : `layer ${JSON.stringify(layer)} first, which`
      return { gradients: none, factors: none, statistics, loss, hits, fault }
    }
    const gradients = tape.backward(losses.map(({ seed }) => seed.map((g) => g / batch)))
    const byFactor = new Float32Array(none.length)
    const wild = [...gradients.weights].find(([, tensors]) => !Object.values(tensors).every(isFinite32))
    for (const { layer, start } of learned) byFactor.set(gradients.factors.get(layer)!, start)
    const fault = wild && `the gradient of layer ${JSON.stringify(wild[0])}`
    const result = { gradients: toVector(trained, gradients.weights), factors: byFactor, statistics, loss, hits }
    return fault === undefined ? result : { ...result, fault }
  }
  const release = () => {
    tape.release()
    teacher?.release()
  }
  return { run, release }
}
