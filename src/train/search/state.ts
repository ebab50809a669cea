// What an interrupted search leaves, so that the same search goes on from there to the same numbers.
import { slotsOf, toVector } from '../../gradient/parameters.js'
import type { Architecture } from '../../model/architecture.js'
import { isObject } from '../../model/json/fields.js'
import type { Weights } from '../../model/weights.js'
import { readPart } from '../../tune/part.js'
import { optimizerOf } from '../optimizer.js'
import { drawn, Use } from '../pictures.js'
import type { Recipe } from '../recipe.js'
import { encode, readVectors } from '../state.js'
import type { ExpectedCost, SearchCosts } from './objective.js'
import { searchRecipe } from './recipe.js'

/** One pass over half of the pictures. */
export interface SearchEpoch {
  /** From 1. */
  readonly epoch: number
  /** Mean loss of the half that weights are trained on. */
  readonly loss: number
  readonly accuracy: number
  readonly expected: ExpectedCost
}

/** A search between two steps. */
export interface SearchState {
  epoch: number
  step: number
  /** Samples of options, and steps of the chances, so far. */
  turn: number
  moves: number
  optimizerSteps: number
  /** Of this epoch so far. */
  loss: number
  hits: number
  seen: number
  readonly history: SearchEpoch[]
  /** Trained tensors, running statistics, the optimiser's; then logits, and their first and second moments, by choice. */
  readonly vectors: readonly Float32Array[]
}

/** A search's state before its first step. */
export function firstSearchState(
  { arch, weights }: { readonly arch: Architecture; readonly weights: Weights },
  costs: SearchCosts,
  given: Partial<Recipe> | undefined,
): SearchState {
  const recipe = searchRecipe(given)
  const slots = slotsOf(arch)
  const parameters = toVector(slots, weights)
  const logits = costs.choices.map(({ costs }, c) =>
    Float32Array.from(costs, (_, k) => 1e-3 * (2 * drawn(recipe.seed, Use.paths, 0, c, k) - 1)),
  )
  const moments = logits.map(({ length }) => new Float32Array(length))
  return {
    ...{ epoch: 0, step: 0, turn: 0, moves: 0, optimizerSteps: 0, loss: 0, hits: 0, seen: 0, history: [] },
    vectors: [
      ...[parameters, toVector(slotsOf(arch, false), weights)],
      ...optimizerOf(slots, parameters.length, recipe).state,
      ...[...logits, ...moments, ...moments.map((one) => one.slice())],
    ],
  }
}

const FORMAT = 'search-part/1'

/**
 * What is kept of a search that was called off.
 * @param key of everything that the search depends on
 */
export function formatSearchState({ vectors, ...numbers }: SearchState, key: string): string {
  return JSON.stringify({ format: FORMAT, key, ...numbers, vectors: vectors.map(encode) })
}

/**
 * @param like a state of the same search, whose vectors are as long
 * @throws RingfenceError BAD_FILE with every problem of a damaged file, BAD_INPUT for one of another search
 */
export function parseSearchState(json: unknown, like: SearchState, key: string, source: string): SearchState {
  return readPart(json, { format: FORMAT, key, source }, (fields) => {
    const whole = (name: string) => fields.integer(name, { min: 0 })
    const lengths = like.vectors.map(({ length }) => length)
    const numbers = {
      ...{ epoch: whole('epoch'), step: whole('step'), turn: whole('turn'), moves: whole('moves') },
      ...{ optimizerSteps: whole('optimizerSteps'), hits: whole('hits'), seen: whole('seen') },
    }
    const history = fields.value('history')
    const isRecord = (entry: unknown) =>
      isObject(entry) && [entry.epoch, entry.loss, entry.accuracy].every(Number.isFinite) && isObject(entry.expected)
    const known = Array.isArray(history) && history.length === numbers.epoch && history.every(isRecord)
    if (!known) fields.fault('history', 'a list with an entry per epoch')
    const past = (known ? history : []) as SearchEpoch[]
    return { ...numbers, loss: fields.number('loss'), history: past, vectors: readVectors(fields, lengths) }
  })
}
