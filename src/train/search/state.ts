// What an interrupted search leaves, so that the same search goes on from there to the same numbers.
import { isObject } from '../../model/json/fields.js'
import { readPart } from '../../tune/part.js'
import { encode, readVectors } from '../state.js'
import type { SearchEpoch, SearchState } from './search.js'

const FORMAT = 'search-part/1'

/** @param key of everything that the search depends on */
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
