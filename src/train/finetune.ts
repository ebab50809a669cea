// Trains a network's weights for a ReLU spec. The result depends on network, pictures, recipe and seed alone: a batch is
// cut into shards of a fixed size, whoever works on them, and what they give is added in their order.
import { RingfenceError } from '../errors.js'
import { type Slot, slotsOf, toVector, withVector } from '../gradient/parameters.js'
import type { ShardNetwork, ShardResult, ShardSetup, ShardTask } from '../gradient/shard-job.js'
import { Tape } from '../gradient/tape.js'
import type { Architecture } from '../model/architecture.js'
import { quote } from '../model/json/fields.js'
import { elementCount } from '../model/shape.js'
import type { Weights } from '../model/weights.js'
import { evaluate } from '../tune/evaluation/evaluate.js'
import type { OnStage } from '../tune/progress.js'
import { type PoolOptions, runTasksOn, startHere, type WorkerPool } from '../tune/workers/pool.js'
import { type Optimizer, optimizerOf } from './optimizer.js'
import { batchesOf, moved, type Split, splitOf } from './pictures.js'
import { type Recipe, rateAt, recipeOf } from './recipe.js'
import { type EpochRecord, requireWithin, type TrainingState } from './state.js'

export type { ShardNetwork } from '../gradient/shard-job.js'

/** A network, where it starts from and what it becomes. */
export interface TrainedNetwork extends ShardNetwork {
  readonly arch: Architecture
}

/** Pictures with their classes. */
export interface LabelledPictures {
  /** CHW, preprocessed. */
  readonly inputs: readonly Float32Array[]
  /** Index of the class per picture. */
  readonly labels: readonly number[]
}

export interface FinetuneOptions extends PoolOptions {
  readonly recipe?: Partial<Recipe>
  /** Whose answers are distilled; the network itself with plain activations without it. */
  readonly teacher?: ShardNetwork
  /** What an earlier call of the same arguments left. */
  readonly resume?: TrainingState
  readonly onProgress?: OnStage
  /** Gets the run's state between two steps; the same object each time, which the run changes. */
  readonly onState?: (state: TrainingState) => void
}

export interface Finetuned {
  readonly weights: Weights
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
/** A thread's WebAssembly memory ends at 4 GiB; weights, a layer's gradients and the teacher take their part of it. */
const MOST_KEPT = 3 * 2 ** 30

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
  requireMemory(network, recipe)
  const split = splitOf(pictures.labels, recipe)
  const run = new Run(network, pictures, split, recipe, options)
  const { arch, weights, spec } = network
  const teacher = options.teacher ?? { weights, spec: undefined }
  const setup: ShardSetup = { arch, weights, spec, loss: recipe, teacher: recipe.distill > 0 ? teacher : undefined }
  const pool = await (options.startPool ?? startHere)('shard', setup)
  try {
    return await run.through(pool)
  } finally {
    await pool.release()
  }
}

/** A run's state before its first step. */
export function firstState({ arch, weights }: TrainedNetwork, recipe: Recipe): TrainingState {
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
  }
}

class Run {
  readonly #slots: readonly Slot[]
  readonly #runningSlots: readonly Slot[]
  readonly #state: TrainingState
  readonly #optimizer: Optimizer
  readonly #gradients: Float32Array
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
    requireWithin(this.#state, recipe.epochs, batchesOf(split.train, 0, recipe).length, 'the state to resume')
  }

  async through(pool: WorkerPool<'shard'>): Promise<Finetuned> {
    const state = this.#state
    const { recipe } = this
    while (state.epoch < recipe.epochs && !this.#stopsEarly()) {
      const batches = batchesOf(this.split.train, state.epoch, recipe)
      for (; state.step < batches.length; state.step++) {
        this.#tell(batches.length)
        await this.#step(pool, batches[state.step], (state.epoch + state.step / batches.length) / recipe.epochs)
      }
      await this.#endEpoch()
    }
    const { parameters, running, epoch } = state.best ?? state
    const weights = this.#weights(parameters.slice(), running.slice())
    const held = state.history.find((record) => record.epoch === epoch)?.held ?? null
    return { weights, epoch, held, history: state.history, recipe, split: this.split }
  }

  #stopsEarly(): boolean {
    const { patience } = this.recipe
    const shares = this.#state.history.map(({ held }) => held ?? 0)
    const better = shares.indexOf(Math.max(...shares)) + 1
    return patience > 0 && this.split.held.length > 0 && shares.length - better >= patience
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
    const detail = [`epoch ${epoch + 1} of ${this.recipe.epochs}`, ...now]
    if (held !== null) detail.push(`${percent(held)} of those held out`)
    const done = (epoch + step / steps) / this.recipe.epochs
    this.options.onProgress?.({ stage: 'training', done, detail: detail.join(', ') })
  }

  async #step(pool: WorkerPool<'shard'>, batch: readonly number[], share: number): Promise<void> {
    const state = this.#state
    const results = await this.#shards(pool, batch)
    const fault = results.find((result) => result.fault !== undefined)?.fault
    if (fault !== undefined) throw diverged(fault, state, this.recipe)
    this.#gradients.fill(0)
    const statistics = new Float64Array(state.running.length)
    for (const result of results) {
      for (let i = 0; i < this.#gradients.length; i++) this.#gradients[i] += result.gradients[i]
      for (let i = 0; i < statistics.length; i++) statistics[i] += result.statistics[i] / results.length
      state.loss += result.loss
      state.hits += result.hits
    }
    state.seen += batch.length
    this.#optimizer.step(state.parameters, this.#gradients, rateAt(this.recipe, share))
    state.optimizerSteps = this.#optimizer.steps
    for (let i = 0; i < statistics.length; i++) state.running[i] += RUNNING * (statistics[i] - state.running[i])
  }

  /** Results in the order of the shards. */
  async #shards(pool: WorkerPool<'shard'>, batch: readonly number[]): Promise<ShardResult[]> {
    const { epoch, parameters } = this.#state
    const { shape } = this.network.arch.inputs[0]
    const version = ++this.#version
    const tasks: ShardTask[] = []
    for (let first = 0; first < batch.length; first += this.recipe.shard) {
      const own = batch.slice(first, first + this.recipe.shard)
      const inputs = own.map((i) => moved(this.pictures.inputs[i], shape, i, epoch, this.recipe))
      tasks.push({ parameters, version, inputs, labels: own.map((i) => this.pictures.labels[i]), batch: batch.length })
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
    const best = state.history.reduce((most, record) => Math.max(most, record.held ?? 0), 0)
    if (held !== null && held >= best) {
      state.best = { epoch, parameters: state.parameters.slice(), running: state.running.slice() }
    }
    state.history.push({ epoch, loss: state.loss / state.seen, accuracy: state.hits / state.seen, held })
    Object.assign(state, { epoch, step: 0, loss: 0, hits: 0, seen: 0 })
    this.options.onState?.(state)
  }

  async #heldOut(): Promise<number | null> {
    const { held } = this.split
    if (held.length === 0) return null
    const network = { ...this.network, weights: this.#weights(this.#state.parameters, this.#state.running) }
    const { startPool, signal } = this.options
    const inputs = held.map((i) => this.pictures.inputs[i])
    const { float } = await evaluate(network, inputs, {
      ...{ labels: held.map((i) => this.pictures.labels[i]), startPool, signal },
    })
    return float.correct! / held.length
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

function diverged(layer: string, { epoch, step }: TrainingState, { rate }: Recipe): RingfenceError {
  const where = layer === 'the loss' ? layer : `layer ${quote(layer)} first, which`
  const when = `epoch ${epoch + 1}, step ${step + 1}`
  return new RingfenceError(
    'BAD_INPUT',
    `training came apart in ${when}: ${where} is not finite any more; try a lower rate than ${rate}`,
  )
}

function checkPictures(arch: Architecture, { inputs, labels }: LabelledPictures): void {
  const problems: string[] = []
  const classes = elementCount(arch.byId.get(arch.outputs[0])!.out)
  if (inputs.length === 0) problems.push('expected at least one picture, got none')
  if (labels.length !== inputs.length)
    problems.push(`expected a class per picture, ${inputs.length}, got ${labels.length}`)
  const wrong = labels.filter((label) => !Number.isInteger(label) || label < 0 || label >= classes).length
  if (wrong > 0) problems.push(`expected classes from 0 to ${classes - 1}, the network's, got ${wrong} others`)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'these pictures cannot be trained on:', problems)
}

/** Also finds out whether network and spec fit, before any thread is started. */
function requireMemory({ arch, weights, spec }: TrainedNetwork, { shard }: Recipe): void {
  const tape = Tape.prepare(arch, weights, { spec })
  const each = tape.keptBytes()
  tape.release()
  if (each * shard <= MOST_KEPT) return
  const fits = Math.max(Math.floor(MOST_KEPT / each), 1)
  throw new RingfenceError(
    'BAD_INPUT',
    `a shard of ${shard} pictures keeps ${gib(each * shard)} per thread, more than ${gib(MOST_KEPT)}; try a shard of ${fits}`,
  )
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
