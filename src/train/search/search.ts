// Searches which ReLUs of a supernet stay, and which paths: chances are learned on one half of the pictures by sampled paths,
// weights on the other half, turn by turn (ProxylessNAS: Cai, Zhu and Han 2019; Seesaw: Li, Zhai, Cai and Gao 2024).
import { type FactorSlot, lengthOf, type Slot, slotsOf, withVector } from '../../gradient/parameters.js'
import type { ShardResult, ShardTask, TeacherNetwork } from '../../gradient/shard-job.js'
import { softmax } from '../../gradient/weighted.js'
import type { Architecture } from '../../model/architecture.js'
import type { ReluSpec } from '../../model/relu/spec.js'
import { elementCount } from '../../model/shape.js'
import type { Weights } from '../../model/weights.js'
import type { OnStage } from '../../tune/progress.js'
import { type PoolOptions, runTasksOn, startHere, type WorkerPool } from '../../tune/workers/pool.js'
import { checkPictures, diverged, keptBytes, requireMemory } from '../checks.js'
import { adamOf, type Optimizer, optimizerOf } from '../optimizer.js'
import { batchesOf, drawn, type LabelledPictures, moved, splitOf, Use } from '../pictures.js'
import { type Recipe, rateAt } from '../recipe.js'
import { costPenalty, dearest, type ExpectedCost, expectedCost, pathGradient, type SearchCosts } from './objective.js'
import { type ChanceRecipe, DEFAULT_CHANCES, searchRecipe } from './recipe.js'
import { firstSearchState, type SearchEpoch, type SearchState } from './state.js'
import { withoutRelus } from './supernet.js'

/** How a supernet is searched, and who works on it. */
export interface SearchOptions extends PoolOptions {
  /** Of the weights; distillation and held-out pictures are not for supernets. */
  readonly recipe?: Partial<Recipe>
  readonly chances?: Partial<ChanceRecipe>
  /** Whose answers are distilled into the weights, of the same pictures and classes; chances see the labels alone. */
  readonly teacher?: TeacherNetwork
  /** What an earlier call of the same arguments left. */
  readonly resume?: SearchState
  /** Gets the search's state between two steps; the same object each time, which the search changes. */
  readonly onState?: (state: SearchState) => void
  readonly onProgress?: OnStage
}

/** What a search came to. */
export interface Found {
  /** By layer, how likely each option is at the end. */
  readonly chances: ReadonlyMap<string, readonly number[]>
  /** By layer, the likeliest option. */
  readonly options: ReadonlyMap<string, number>
  /** The ReLUs that were left out, as identity. */
  readonly spec: ReluSpec
  /** Of the supernet. */
  readonly weights: Weights
  /** Of the options taken, and what was to be reached. */
  readonly cost: ExpectedCost
  readonly reference: number
  readonly history: readonly SearchEpoch[]
}

/** Where running statistics go to, as in training. */
const RUNNING = 0.1

/**
 * Learns chances and weights in turns, and takes the likeliest option of every choice.
 * @param network with the ReLU of every `choice` taken
 * @param costs of its choices, which say what is searched
 * @throws RingfenceError BAD_INPUT for a recipe that cannot be followed, classes that the network does not have, too little
 *   memory, or a loss that is not finite any more: the last state that `onState` got is the one before; ABORTED by `signal`,
 *   when that state can be resumed
 */
export async function searchNetwork(
  network: { readonly arch: Architecture; readonly weights: Weights },
  costs: SearchCosts,
  pictures: LabelledPictures,
  options: SearchOptions = {},
): Promise<Found> {
  checkPictures(network.arch, pictures)
  const search = new Search(network, costs, pictures, options)
  const { factors } = search.setup()
  requireMemory(keptBytes(network, factors), searchRecipe(options.recipe, options.teacher !== undefined))
  const pool = await (options.startPool ?? startHere)('shard', search.setup())
  try {
    return await search.run(pool)
  } finally {
    await pool.release()
  }
}

class Search {
  readonly #slots: readonly Slot[]
  readonly #running: readonly Slot[]
  readonly #factors: readonly FactorSlot[]
  readonly #recipe: Recipe
  readonly #chances: ChanceRecipe
  readonly #logits: readonly Float32Array[]
  readonly #moments: readonly (readonly Float32Array[])[]
  readonly #parameters: Float32Array
  readonly #statistics: Float32Array
  readonly #optimizer: Optimizer
  readonly #state: SearchState

  constructor(
    readonly network: { readonly arch: Architecture; readonly weights: Weights },
    readonly costs: SearchCosts,
    readonly pictures: LabelledPictures,
    readonly options: SearchOptions,
  ) {
    const { arch } = network
    this.#recipe = searchRecipe(options.recipe, options.teacher !== undefined)
    this.#chances = { ...DEFAULT_CHANCES, ...options.chances }
    this.#slots = slotsOf(arch)
    this.#running = slotsOf(arch, false)
    let start = 0
    this.#factors = costs.choices.flatMap(({ layer, kind }) => {
      if (kind !== 'relu') return []
      const slot = { layer, start, length: elementCount(arch.byId.get(layer)!.out) }
      start += slot.length
      return [slot]
    })
    const state = options.resume ?? firstSearchState(network, costs, options.recipe)
    const [parameters, statistics, ...others] = state.vectors
    this.#optimizer = optimizerOf(this.#slots, parameters.length, this.#recipe)
    this.#optimizer.steps = state.optimizerSteps
    const own = this.#optimizer.state
    for (const [i, vector] of own.entries()) vector.set(others[i])
    // From here on the state's vectors are the optimiser's own.
    const rest = others.slice(own.length)
    this.#state = { ...state, vectors: [parameters, statistics, ...own, ...rest] }
    this.#parameters = parameters
    this.#statistics = statistics
    const count = costs.choices.length
    this.#logits = rest.slice(0, count)
    this.#moments = this.#logits.map((_, c) => [rest[count + c], rest[2 * count + c]])
  }

  setup() {
    const { arch, weights } = this.network
    const { teacher } = this.options
    return { arch, weights, spec: undefined, loss: this.#recipe, teacher, factors: this.#factors }
  }

  async run(pool: WorkerPool<'shard'>): Promise<Found> {
    const recipe = this.#recipe
    const state = this.#state
    const { train, held } = splitOf(this.pictures.labels, { ...recipe, holdout: 0.5 })
    while (state.epoch < recipe.epochs) {
      const [forWeights, forChances] = [train, held].map((half) => batchesOf(half, state.epoch, recipe))
      for (; state.step < forWeights.length; state.step++) {
        const done = (state.epoch + state.step / forWeights.length) / recipe.epochs
        this.options.onState?.(state)
        this.options.onProgress?.({ stage: 'searching', done, detail: `epoch ${state.epoch + 1} of ${recipe.epochs}` })
        await this.#step(pool, forChances[state.step % forChances.length], forWeights[state.step], rateAt(recipe, done))
      }
      const expected = expectedCost(this.costs, this.#shares())
      const { seen } = state
      const epoch = state.epoch + 1
      state.history.push({ epoch, loss: state.loss / seen, accuracy: state.hits / seen, expected })
      Object.assign(state, { epoch, step: 0, loss: 0, hits: 0, seen: 0 })
      this.options.onState?.(state)
    }
    return this.#found(state.history)
  }

  /** Both moves or none: what an interruption between them leaves is the state before the step. */
  async #step(
    pool: WorkerPool<'shard'>,
    forChances: readonly number[],
    forWeights: readonly number[],
    rate: number,
  ): Promise<void> {
    const { turn, moves } = this.#state
    const vectors = [...this.#logits, ...this.#moments.flat()]
    const before = vectors.map((vector) => vector.slice())
    try {
      await this.#moveChances(pool, forChances)
      await this.#moveWeights(pool, forWeights, rate)
    } catch (error) {
      for (const [i, vector] of vectors.entries()) vector.set(before[i])
      Object.assign(this.#state, { turn, moves })
      throw error
    }
  }

  async #moveWeights(pool: WorkerPool<'shard'>, batch: readonly number[], rate: number): Promise<void> {
    const results = await this.#shards(pool, batch, this.#sample())
    const gradients = sumOf(results.map((result) => result.gradients))
    this.#pushApart(gradients)
    // Which path is taken is no weight.
    for (const { start, length } of this.#pathSlots()) gradients.fill(0, start, start + length)
    this.#optimizer.step(this.#parameters, gradients, rate)
    sumOf(results.map(({ statistics }) => statistics)).forEach((sum, i) => {
      this.#statistics[i] += RUNNING * (sum / results.length - this.#statistics[i])
    })
    const state = this.#state
    state.optimizerSteps = this.#optimizer.steps
    state.loss += results.reduce((sum, result) => sum + result.loss, 0)
    state.hits += results.reduce((sum, result) => sum + result.hits, 0)
    state.seen += batch.length
  }

  #shares(): number[][] {
    return this.#logits.map((logits) => softmax(logits))
  }

  /** An option of every choice, by its chances. */
  #sample(): number[] {
    const turn = ++this.#state.turn
    return this.#shares().map((chances, c) => {
      const at = drawn(this.#recipe.seed, Use.paths, turn, c)
      let sum = 0
      const option = chances.findIndex((chance) => (sum += chance) > at)
      return option < 0 ? chances.length - 1 : option
    })
  }

  /**
   * One step of the logits. A gate is how the loss changes with the share of an option. A ReLU's factor a has the gradient
   * ⟨g, ReLU(x) - x⟩, which is the one gate less the other; a sum's coefficients have ⟨g, path⟩, the gates themselves.
   */
  async #moveChances(pool: WorkerPool<'shard'>, batch: readonly number[]): Promise<void> {
    const results = await this.#shards(pool, batch, this.#sample(), true)
    const factors = sumOf(results.map((result) => result.factors))
    const gradients = sumOf(results.map((result) => result.gradients))
    const shares = this.#shares()
    const { slopes } = costPenalty(this.costs, shares, this.#chances)
    this.#state.moves++
    let next = 0
    this.costs.choices.forEach(({ layer, kind }, c) => {
      const gates =
        kind === 'relu' ? [0, total(factors, this.#factors[next++])] : Array.from(this.#pathsOf(gradients, layer))
      const gradient = pathGradient(
        gates.map((gate, k) => gate + slopes[c][k]),
        shares[c],
      )
      const { rate, decay } = this.#chances
      const how = { rate, momentum: 0, steps: this.#state.moves, decay }
      adamOf(this.#logits[c], Float32Array.from(gradient), this.#moments[c], how)
    })
  }

  #pathsOf(vector: Float32Array, layer: string): Float32Array {
    const { start, length } = this.#slots.find((slot) => slot.layer === layer && slot.tensor === 'coef')!
    return vector.subarray(start, start + length)
  }

  #pathSlots(): Slot[] {
    const layers = new Set(this.costs.choices.filter(({ kind }) => kind === 'path').map(({ layer }) => layer))
    return this.#slots.filter(({ layer, tensor }) => tensor === 'coef' && layers.has(layer))
  }

  /** Weights of softmax sums: their variance, less which the loss is made small. */
  #pushApart(gradients: Float32Array): void {
    const paths = new Set(this.#pathSlots())
    for (const slot of this.#slots) {
      if (slot.tensor !== 'coef' || paths.has(slot)) continue
      const own = this.#parameters.subarray(slot.start, slot.start + slot.length)
      const mean = own.reduce((a, b) => a + b, 0) / own.length
      own.forEach((alpha, k) => {
        gradients[slot.start + k] -= (2 * this.#chances.apart * (alpha - mean)) / own.length
      })
    }
  }

  /** With one option of every choice; in the order of the shards. */
  async #shards(
    pool: WorkerPool<'shard'>,
    batch: readonly number[],
    sampled: readonly number[],
    untaught = false,
  ): Promise<ShardResult[]> {
    const factors = new Float32Array(lengthOf(this.#factors))
    const parameters = this.#parameters.slice()
    let next = 0
    this.costs.choices.forEach(({ layer, kind }, c) => {
      if (kind === 'relu') {
        const { start, length } = this.#factors[next++]
        factors.fill(sampled[c], start, start + length)
      } else {
        this.#pathsOf(parameters, layer).forEach((_, k, own) => {
          own[k] = Number(k === sampled[c])
        })
      }
    })
    const { shape } = this.network.arch.inputs[0]
    const { turn: version, epoch } = this.#state
    const tasks: ShardTask[] = []
    for (let first = 0; first < batch.length; first += this.#recipe.shard) {
      const own = batch.slice(first, first + this.#recipe.shard)
      const inputs = own.map((i) => moved(this.pictures.inputs[i], shape, i, epoch, this.#recipe))
      const labels = own.map((i) => this.pictures.labels[i])
      tasks.push({ parameters, factors, version, inputs, labels, seed: 1, batch: batch.length, untaught })
    }
    const results: ShardResult[] = []
    await runTasksOn(
      pool,
      tasks,
      (result, index) => {
        results[index] = result
      },
      this.options.signal,
    )
    const fault = results.find((result) => result.fault !== undefined)?.fault
    if (fault === undefined) return results
    throw diverged('the search', fault, this.#state, this.#recipe)
  }

  #found(history: readonly SearchEpoch[]): Found {
    const shares = this.#shares()
    const taken = shares.map((chances) => chances.indexOf(Math.max(...chances)))
    const { choices } = this.costs
    const byLayer = <T>(list: readonly T[]) => new Map(choices.map(({ layer }, c) => [layer, list[c]]))
    const off = new Set(choices.filter(({ kind }, c) => kind === 'relu' && taken[c] === 0).map(({ layer }) => layer))
    const one = choices.map(({ costs }, c) => costs.map((_, k) => Number(k === taken[c])))
    const parameters = this.#parameters.slice()
    choices.forEach(({ layer, kind }, c) => {
      if (kind === 'path') this.#pathsOf(parameters, layer).set(one[c])
    })
    const trained = withVector(this.network.weights, this.#slots, parameters)
    return {
      ...{ chances: byLayer(shares), options: byLayer(taken), history },
      spec: withoutRelus(this.network.arch, off),
      weights: withVector(trained, this.#running, this.#statistics.slice()),
      cost: expectedCost(this.costs, one),
      reference: this.#chances.portion * dearest(this.costs),
    }
  }
}

function sumOf(vectors: readonly Float32Array[]): Float32Array {
  const sum = vectors[0].slice()
  for (const vector of vectors.slice(1)) for (let i = 0; i < sum.length; i++) sum[i] += vector[i]
  return sum
}

function total(vector: Float32Array, { start, length }: FactorSlot): number {
  let sum = 0
  for (let i = start; i < start + length; i++) sum += vector[i]
  return sum
}
