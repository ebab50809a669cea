// Trains a network's weights for a ReLU spec. The result depends on network, pictures, recipe and seed alone: a batch is
// cut into shards of a fixed size, whoever works on them, and what they give is added in their order.
import { type Slot, slotsOf, toVector, withVector } from '../gradient/parameters.js'
import type { ShardNetwork, ShardResult, ShardSetup, ShardTask, TeacherNetwork } from '../gradient/shard-job.js'
import type { Architecture } from '../model/architecture.js'
import type { ReluSpec } from '../model/relu/spec.js'
import type { Weights } from '../model/weights.js'
import { evaluate } from '../tune/evaluation/evaluate.js'
import type { OnStage } from '../tune/progress.js'
import { type PoolOptions, runTasksOn, startHere, type WorkerPool } from '../tune/workers/pool.js'
import { checkPictures, diverged, keptBytes, requireMemory } from './checks.js'
import { factorSlots, firstFactors, learnedBudget, MaskLearner } from './masks.js'
import { type Optimizer, optimizerOf } from './optimizer.js'
import { batchesOf, drawn, type LabelledPictures, moved, type Split, splitOf, Use } from './pictures.js'
import { type Recipe, rateAt, recipeOf } from './recipe.js'
import { type EpochRecord, requireWithin, type TrainingState } from './state.js'

export type { ShardNetwork, TeacherNetwork } from '../gradient/shard-job.js'
export type { LabelledPictures } from './pictures.js'

/** A network, where it starts from and what it becomes. */
export interface TrainedNetwork extends ShardNetwork {
  readonly arch: Architecture
  /** Activations whose comparisons are to read a window, and 2^lo of each in the values' units: trained with their errors. */
  readonly windows?: ReadonlyMap<string, number>
}

export interface FinetuneOptions extends PoolOptions {
  readonly recipe?: Partial<Recipe>
  /** Whose answers are distilled; the network itself with plain activations without it. */
  readonly teacher?: TeacherNetwork
  /** What an earlier call of the same arguments left. */
  readonly resume?: TrainingState
  readonly onProgress?: OnStage
  /** Gets the run's state between two steps; the same object each time, which the run changes. */
  readonly onState?: (state: TrainingState) => void
}

/** What fine-tuning gives. */
export interface Finetuned {
  readonly weights: Weights
  /** What they were trained for: the network's own, or with the masks that were learned. */
  readonly spec: ReluSpec | undefined
  /** The epoch after which these weights were: the best on held-out pictures, or the last. */
  readonly epoch: number
  /** Share of the held-out pictures that is right; null without any. */
  readonly held: number | null
  readonly history: readonly EpochRecord[]
  readonly recipe: Recipe
  /** Of the pictures given. */
  readonly split: Split
}

/** Running statistics move this far towards those of a step (PyTorch's momentum). */
const RUNNING = 0.1

/**
 * Trains from the weights given. Stops early where the recipe says so.
 * @throws RingfenceError BAD_INPUT for a recipe, classes, pictures or a spec that do not fit, too little memory, or a
 *   loss that is not finite any more: the last state that `onState` got is the one before; UNSUPPORTED for a network that
 *   cannot be run in float; ABORTED by `signal`, when that state can be resumed
 */
export async function finetune(
  network: TrainedNetwork,
  pictures: LabelledPictures,
  options: FinetuneOptions = {},
): Promise<Finetuned> {
  const recipe = recipeOf(options.recipe)
  checkPictures(network.arch, pictures)
  const { arch, spec } = network
  if (recipe.masks) learnedBudget(arch, spec, recipe.masks)
  requireMemory(keptBytes(network, recipe.masks ? factorSlots(arch, spec) : []), recipe)
  const split = splitOf(pictures.labels, recipe)
  const run = new Run(network, pictures, split, recipe, options)
  const { startPool = startHere } = options
  for (;;) {
    // Masks that are learned, then weights for them: threads are set up anew in between.
    const pool = await startPool('shard', run.setup())
    try {
      if (await run.through(pool)) return run.result()
    } finally {
      await pool.release()
    }
  }
}

/** A run's state before its first step. */
export function firstState({ arch, weights, spec }: TrainedNetwork, recipe: Recipe): TrainingState {
  const slots = slotsOf(arch)
  const parameters = toVector(slots, weights)
  const { state: moments } = optimizerOf(slots, parameters.length, recipe)
  const numbers = { epoch: 0, step: 0, optimizerSteps: 0, loss: 0, hits: 0, seen: 0 }
  return {
    ...numbers,
    parameters,
    running: toVector(slotsOf(arch, false), weights),
    moments,
    history: [],
    best: undefined,
    factors: recipe.masks ? firstFactors(arch, spec) : undefined,
  }
}

class Run {
  readonly #slots: readonly Slot[]
  readonly #runningSlots: readonly Slot[]
  readonly #state: TrainingState
  readonly #optimizer: Optimizer
  readonly #gradients: Float32Array
  readonly #masks: MaskLearner | undefined
  #version = 0

  constructor(
    readonly network: TrainedNetwork,
    readonly pictures: LabelledPictures,
    readonly split: Split,
    readonly recipe: Recipe,
    readonly options: FinetuneOptions,
  ) {
    this.#slots = slotsOf(network.arch)
    this.#runningSlots = slotsOf(network.arch, false)
    const fresh = firstState(network, recipe)
    this.#state = options.resume ?? fresh
    this.#gradients = new Float32Array(fresh.parameters.length)
    this.#optimizer = optimizerOf(this.#slots, fresh.parameters.length, recipe)
    this.#optimizer.steps = this.#state.optimizerSteps
    for (const [i, vector] of this.#optimizer.state.entries()) vector.set(this.#state.moments[i])
    // From here on the state's vectors are the optimiser's own.
    this.#state = { ...this.#state, moments: this.#optimizer.state }
    const { factors } = this.#state
    if (recipe.masks && factors) this.#masks = new MaskLearner(network.arch, network.spec, recipe.masks, factors)
    requireWithin(this.#state, this.#epochs, batchesOf(split.train, 0, recipe).length, 'the state to resume')
  }

  /** What a thread needs for what comes next. */
  setup(): ShardSetup {
    const { arch, weights, spec: plain, windows } = this.network
    const { recipe } = this
    const teacher = recipe.distill > 0 ? (this.options.teacher ?? { weights, spec: undefined }) : undefined
    const factors = this.#learning ? this.#masks!.slots : undefined
    return {
      arch,
      weights,
      spec: this.#masks && !this.#learning ? this.#masks.specNow() : plain,
      loss: recipe,
      teacher,
      factors,
      windows,
    }
  }

  /** Until the end, or until masks are learned; whether it is the end. */
  async through(pool: WorkerPool<'shard'>): Promise<boolean> {
    const state = this.#state
    const { recipe } = this
    while (state.epoch < this.#epochs && !this.#stopsEarly()) {
      const learning = this.#learning
      const batches = batchesOf(this.split.train, state.epoch, recipe)
      for (; state.step < batches.length; state.step++) {
        this.#tell(batches.length)
        await this.#step(pool, batches[state.step], batches.length)
      }
      await this.#endEpoch()
      if (learning !== this.#learning) return false
    }
    return true
  }

  result(): Finetuned {
    const { recipe, split } = this
    const { history, best } = this.#state
    const { parameters, running, epoch } = best ?? this.#state
    const weights = this.#weights(parameters.slice(), running.slice())
    const held = history.find((record) => record.epoch === epoch)?.held ?? null
    return { weights, spec: this.#spec(), epoch, held, history, recipe, split }
  }

  /** Epochs in which masks are learned. */
  get #learned(): number {
    return this.recipe.masks?.epochs ?? 0
  }

  get #epochs(): number {
    return this.#learned + this.recipe.epochs
  }

  get #learning(): boolean {
    return this.#masks !== undefined && !this.#masks.state.fixed
  }

  /** What the network is now; while masks are learned, what it would be if they were fixed. */
  #spec(): ReluSpec | undefined {
    return this.#masks ? this.#masks.specNow() : this.network.spec
  }

  #stopsEarly(): boolean {
    const { patience } = this.recipe
    const shares = this.#state.history.slice(this.#learned).map(({ held }) => held ?? 0)
    const better = shares.indexOf(Math.max(...shares)) + 1
    return patience > 0 && this.split.held.length > 0 && shares.length - better >= patience
  }

  /** How far the part of the run is that an epoch's step belongs to: masks that are learned, or weights for a spec. */
  #share(step: number, steps: number): number {
    const [first, epochs] = this.#learning ? [0, this.#learned] : [this.#learned, this.recipe.epochs]
    return (this.#state.epoch - first + step / steps) / epochs
  }

  #weights(parameters: Float32Array, running: Float32Array): Weights {
    const trained = withVector(this.network.weights, this.#slots, parameters)
    return withVector(trained, this.#runningSlots, running)
  }

  /** Of the whole run, so that the time it still takes can be told. */
  #tell(steps: number): void {
    const { epoch, step, loss, hits, seen, history } = this.#state
    this.options.onState?.(this.#state)
    const now = seen > 0 ? [`loss ${(loss / seen).toFixed(3)}`, `${percent(hits / seen)} right`] : []
    const held = history.at(-1)?.held ?? null
    const detail = [`epoch ${epoch + 1} of ${this.#epochs}`, ...now]
    if (this.#learning) detail.push(`${Math.round(this.#masks!.left())} ReLUs left`)
    if (held !== null) detail.push(`${percent(held)} of those held out`)
    const done = (epoch + step / steps) / this.#epochs
    this.options.onProgress?.({
      stage: this.#learning ? 'learning masks' : 'training',
      done,
      detail: detail.join(', '),
    })
  }

  async #step(pool: WorkerPool<'shard'>, batch: readonly number[], steps: number): Promise<void> {
    const state = this.#state
    const results = await this.#shards(pool, batch)
    const fault = results.find((result) => result.fault !== undefined)?.fault
    if (fault !== undefined) throw diverged('training', fault, state, this.recipe)
    this.#gradients.fill(0)
    const factors = new Float32Array(this.#learning ? state.factors!.values.length : 0)
    const statistics = new Float64Array(state.running.length)
    for (const result of results) {
      for (let i = 0; i < this.#gradients.length; i++) this.#gradients[i] += result.gradients[i]
      for (let i = 0; i < factors.length; i++) factors[i] += result.factors[i]
      for (let i = 0; i < statistics.length; i++) statistics[i] += result.statistics[i] / results.length
      state.loss += result.loss
      state.hits += result.hits
    }
    state.seen += batch.length
    const [before, after] = [this.#share(state.step, steps), this.#share(state.step + 1, steps)]
    this.#optimizer.step(state.parameters, this.#gradients, rateAt(this.recipe, before))
    if (this.#learning) this.#masks!.step(factors, [before, after])
    state.optimizerSteps = this.#optimizer.steps
    for (let i = 0; i < statistics.length; i++) state.running[i] += RUNNING * (statistics[i] - state.running[i])
  }

  /** Results in the order of the shards. */
  async #shards(pool: WorkerPool<'shard'>, batch: readonly number[]): Promise<ShardResult[]> {
    const { epoch, step, parameters } = this.#state
    const factors = this.#learning ? this.#state.factors!.values : undefined
    const { shape } = this.network.arch.inputs[0]
    const version = ++this.#version
    const tasks: ShardTask[] = []
    for (let first = 0; first < batch.length; first += this.recipe.shard) {
      const own = batch.slice(first, first + this.recipe.shard)
      const inputs = own.map((i) => moved(this.pictures.inputs[i], shape, i, epoch, this.recipe))
      const labels = own.map((i) => this.pictures.labels[i])
      const seed = Math.floor(2 ** 32 * drawn(this.recipe.seed, Use.errors, epoch, step, first))
      tasks.push({ parameters, factors, version, inputs, labels, seed, batch: batch.length })
    }
    const results: ShardResult[] = []
    const keep = (result: ShardResult, index: number) => {
      results[index] = result
    }
    await runTasksOn(pool, tasks, keep, this.options.signal)
    return results
  }

  async #endEpoch(): Promise<void> {
    const state = this.#state
    const held = await this.#heldOut()
    const epoch = state.epoch + 1
    const learning = this.#learning
    const best = state.history.slice(this.#learned).reduce((most, record) => Math.max(most, record.held ?? 0), 0)
    if (held !== null && held >= best && !learning) {
      state.best = { epoch, parameters: state.parameters.slice(), running: state.running.slice() }
    }
    const left = learning ? { left: this.#masks!.left() } : {}
    state.history.push({ epoch, loss: state.loss / state.seen, accuracy: state.hits / state.seen, held, ...left })
    if (learning && epoch === this.#learned) this.#fixMasks()
    Object.assign(state, { epoch, step: 0, loss: 0, hits: 0, seen: 0 })
    this.options.onState?.(state)
  }

  /** Weights are trained for them from here on, by an optimiser that remembers nothing. */
  #fixMasks(): void {
    this.#masks!.fix()
    for (const vector of this.#optimizer.state) vector.fill(0)
    this.#optimizer.steps = this.#state.optimizerSteps = 0
  }

  async #heldOut(): Promise<number | null> {
    const { held } = this.split
    if (held.length === 0) return null
    const weights = this.#weights(this.#state.parameters, this.#state.running)
    const network = { ...this.network, weights, spec: this.#spec() }
    const { startPool, signal } = this.options
    const inputs = held.map((i) => this.pictures.inputs[i])
    const { float } = await evaluate(network, inputs, {
      ...{ labels: held.map((i) => this.pictures.labels[i]), startPool, signal },
    })
    return float.correct! / held.length
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
