// What an interrupted training run leaves, so that the same run goes on from there to the same numbers.
import { RingfenceError } from '../errors.js'
import { Fields, isObject } from '../model/json/fields.js'
import { summary } from '../model/json/file.js'
import { readPart } from '../tune/part.js'
import type { FactorState } from './masks.js'

/** One pass over the training pictures. */
export interface EpochRecord {
  /** From 1. */
  readonly epoch: number
  /** Mean loss of the pictures as they were seen, while the weights moved. */
  readonly loss: number
  /** Share of them that was right. */
  readonly accuracy: number
  /** Share of the held-out pictures that is right after it; null without any. */
  readonly held: number | null
  /** While masks are learned: how many ReLUs were left after it, those left in part in part. */
  readonly left?: number
}

/** Vectors of trained tensors and of running statistics. */
export interface Moment {
  readonly parameters: Float32Array
  readonly running: Float32Array
}

/** A run between two steps. */
export interface TrainingState extends Moment {
  /** Whole epochs done, and steps of the next one. */
  epoch: number
  step: number
  /** The optimiser's. */
  readonly moments: readonly Float32Array[]
  optimizerSteps: number
  /** Of this epoch so far. */
  loss: number
  hits: number
  seen: number
  readonly history: EpochRecord[]
  /** The best on held-out pictures, and after which epoch it was. */
  best: (Moment & { readonly epoch: number }) | undefined
  /** Of masks that are learned. */
  readonly factors: FactorState | undefined
}

const FORMAT = 'training-part/2'

/**
 * What is kept of a run that was called off.
 * @param key of everything that the run depends on
 */
export function formatTrainingState(state: TrainingState, key: string): string {
  const { parameters, running, moments, best, factors, ...numbers } = state
  return JSON.stringify({
    ...{ format: FORMAT, key, ...numbers },
    vectors: [parameters, running, ...moments].map(encode),
    best: best ? { epoch: best.epoch, vectors: [best.parameters, best.running].map(encode) } : null,
    factors: factors ? factorsFile(factors) : null,
  })
}

function factorsFile({ values, moments, ...numbers }: FactorState) {
  return { ...numbers, vectors: [values, ...moments].map(encode) }
}

/**
 * @param like a state of the same run, whose vectors are as long
 * @throws RingfenceError BAD_FILE with every problem of a damaged file, BAD_INPUT for one of another run
 */
export function parseTrainingState(json: unknown, like: TrainingState, key: string, source: string): TrainingState {
  return readPart(json, { format: FORMAT, key, source }, (fields) => {
    const whole = (name: string) => fields.integer(name, { min: 0 })
    const lengths = [like.parameters, like.running, ...like.moments].map(({ length }) => length)
    const vectors = readVectors(fields, lengths)
    const [parameters, running, ...moments] = vectors
    const state: TrainingState = {
      ...{ parameters, running, moments, epoch: whole('epoch'), step: whole('step') },
      ...{ optimizerSteps: whole('optimizerSteps'), hits: whole('hits'), seen: whole('seen') },
      ...{ loss: fields.number('loss'), history: readHistory(fields), best: undefined },
      factors: like.factors && readFactors(fields, like.factors),
    }
    if (!like.factors) fields.value('factors')
    const best = fields.value('best')
    if (isObject(best)) {
      const own = new Fields(best, 'best', fields.problems)
      const [parameters, running] = readVectors(own, lengths.slice(0, 2))
      state.best = { epoch: own.integer('epoch', { min: 0 }), parameters, running }
      own.noOthers()
    }
    return state
  })
}

function readFactors(parent: Fields, like: FactorState): FactorState {
  const fields = new Fields(parent.record('factors'), 'factors', parent.problems)
  const [values, ...moments] = readVectors(
    fields,
    [like.values, ...like.moments].map(({ length }) => length),
  )
  const numbers = { steps: fields.integer('steps', { min: 0 }), penalty: fields.number('penalty') }
  const state = { values, moments, ...numbers, fixed: fields.boolean('fixed') }
  fields.noOthers()
  return state
}

function readHistory(fields: Fields): EpochRecord[] {
  const list = fields.value('history')
  const isRecord = (entry: unknown) =>
    isObject(entry) &&
    [entry.epoch, entry.loss, entry.accuracy].every(Number.isFinite) &&
    (entry.held === null || Number.isFinite(entry.held)) &&
    (entry.left === undefined || Number.isFinite(entry.left))
  if (Array.isArray(list) && list.every(isRecord)) return list as EpochRecord[]
  fields.fault('history', 'a list of epochs')
  return []
}

export function readVectors(fields: Fields, lengths: readonly number[]): Float32Array[] {
  const list = fields.value('vectors')
  const given = Array.isArray(list) && list.length === lengths.length ? list : []
  const vectors = lengths.map((length, i) => decode(given[i], length))
  if (vectors.every((vector) => vector !== undefined)) return vectors
  fields.fault('vectors', `${lengths.length} vectors of ${lengths.join(', ')} numbers`)
  return lengths.map((length) => new Float32Array(length))
}

export function encode(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

function decode(text: unknown, length: number): Float32Array | undefined {
  if (typeof text !== 'string') return undefined
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
    return bytes.length === 4 * length ? new Float32Array(bytes.buffer) : undefined
  } catch {
    return undefined
  }
}

/** @throws RingfenceError BAD_FILE unless the state lies within its run */
export function requireWithin(state: TrainingState, epochs: number, stepsPerEpoch: number, source: string): void {
  if (state.epoch <= epochs && state.step <= stepsPerEpoch && state.history.length === state.epoch) return
  throw new RingfenceError('BAD_FILE', summary(source, 1), [
    `step ${state.step} of epoch ${state.epoch}: there is none`,
  ])
}
