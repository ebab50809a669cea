// Dynamic programming over the core: all partial choices that may still beat the best one known.
import { RingfenceError } from '../../errors.js'
import type { Core } from './core.js'
import { type Limits, mergeMoved, type StateList, stateList } from './states.js'

/** Where a search stands; `gap` is what the best solution known is above the lower bound, in the values' unit. */
export interface SearchProgress {
  /** Core channels done, and how many there are; a search mostly ends long before the last one. */
  readonly done: number
  readonly of: number
  readonly states: number
  readonly gap: number
}

export interface SearchFigures {
  /** Most states held at once: 24 bytes each, times three. */
  states: number
  /** Core channels looked at. */
  channels: number
}

interface Best {
  /** Channels done when it was found. */
  readonly end: number
  readonly index: number
  readonly d: number
  readonly v: number
  /** Index of its state at the dropped history's end. */
  readonly origin: number
  /** Entries of the history before it. */
  readonly depth: number
}

interface Part {
  readonly from: number
  readonly to: number
  readonly room: number
  /** Only a change of value below this one is wanted. */
  readonly best: number
}

/**
 * The deviations of the choice of least value, as far as it is below `best`; undefined when none is.
 * @param historyStates how many states' predecessors may be held at once, 8 bytes each; when they are more, the part of
 *   the way before is forgotten up to its two ends and found a second time, as two smaller problems
 */
export function* searchCore(
  core: Core,
  best: number,
  historyStates: number,
  figures: SearchFigures,
): Generator<SearchProgress, readonly number[] | undefined> {
  const whole = { from: 0, to: core.channel.length, room: core.room, best: best - core.baseValue }
  return yield* new Search(core, historyStates, figures).part(whole)
}

/** 1.2 GB of states. */
const MAX_STATES = 2 ** 24

function tooMany(): RingfenceError {
  const message = `the knapsack leaves more than ${MAX_STATES} partial choices open, as values hardly differ per unit of cost`
  return new RingfenceError('UNSUPPORTED', `${message}; state the costs in coarser units`)
}

class Search {
  constructor(
    readonly core: Core,
    readonly historyStates: number,
    readonly figures: SearchFigures,
  ) {}

  /** The best deviations of channels from … to - 1. */
  *part({ from, to, room, best: wanted }: Part): Generator<SearchProgress, readonly number[] | undefined> {
    const sweep = new Sweep(this.core, from, room, wanted)
    let found: readonly number[] | undefined
    while (sweep.at < to && sweep.states.size > 0) {
      if (sweep.states.size > MAX_STATES) throw tooMany()
      sweep.step()
      this.figures.channels = Math.max(this.figures.channels, sweep.at)
      this.figures.states = Math.max(this.figures.states, sweep.states.size)
      if (sweep.remembered > this.historyStates) {
        found = sweep.bestWay()
        sweep.forget()
      }
      yield { done: sweep.at, of: this.core.channel.length, states: sweep.states.size, gap: sweep.gap }
    }
    const { best, split } = sweep
    if (!split) return sweep.bestWay()
    if (!best || best.end <= split.at) return found
    // The way to the best state, by way of the state it had at the split: two problems with known answers.
    const [d, v] = [split.d[best.origin], split.v[best.origin]]
    const left = yield* this.part({ from, to: split.at, room: d, best: v + 1 })
    const right = yield* this.part({ from: split.at, to: best.end, room: best.d - d, best: best.v - v + 1 })
    if (!left || !right) throw new Error('the knapsack search lost the way to its own solution')
    return [...left, ...right]
  }
}

interface History {
  readonly parent: Int32Array
  readonly deviation: Int32Array
}

/** One pass over the channels from `at` on, with what is needed to tell how a state came about. */
class Sweep {
  states = stateList()
  remembered = 0
  best: Best | undefined
  /** States at the place up to which the history was dropped. */
  split: { readonly at: number; readonly d: Float64Array; readonly v: Float64Array } | undefined
  #history: History[] = []
  /** Per state, its index at the split. */
  #origin: Int32Array | undefined
  #spare = [stateList(), stateList()]

  constructor(
    readonly core: Core,
    public at: number,
    readonly room: number,
    /** Value of the best solution known, less the base choice's. */
    private wanted: number,
  ) {
    this.states.size = 1
    this.#lookForBest()
  }

  /** How far the best solution known is above the lower bound. */
  get gap(): number {
    return this.wanted + this.core.lambda * this.room + this.core.rounding
  }

  /** Takes in one more channel. */
  step(): void {
    const { core, at } = this
    const before = this.states
    let soFar: StateList = before
    identity(before)
    for (let k = core.start[at]; k < core.start[at + 1]; k++) {
      if (core.above[k] >= this.gap) continue
      const out = this.#spare.pop()!
      mergeMoved(soFar, before, { dc: core.dc[k], dv: core.dv[k], deviation: k }, this.#limits(), out)
      if (soFar !== before) this.#spare.push(soFar)
      soFar = out
    }
    this.at++
    if (soFar === before) return
    this.#spare.push(before)
    this.states = soFar
    this.#remember()
    this.#lookForBest()
  }

  #limits(): Limits {
    const { core, room, wanted: best } = this
    const next = this.at + 1
    return { room, best, gain: core.gain[next], loss: core.loss[next], saving: core.saving[next] }
  }

  #remember(): void {
    const { size, parent, deviation } = this.states
    const older = this.#origin
    if (older) this.#origin = parent.slice(0, size).map((index) => older[index])
    else {
      // A channel that was passed over leaves no trace: a deviation knows its channel.
      this.#history.push({ parent: parent.slice(0, size), deviation: deviation.slice(0, size) })
      this.remembered += size
    }
  }

  /** The last state within the room has the least value of all. */
  #lookForBest(): void {
    const { size, d, v } = this.states
    let low = 0
    let high = size
    while (low < high) {
      const middle = (low + high) >> 1
      if (d[middle] <= this.room) low = middle + 1
      else high = middle
    }
    if (low === 0) return
    const index = low - 1
    if (v[index] >= this.wanted) return
    this.wanted = v[index]
    const origin = this.#origin ? this.#origin[index] : -1
    this.best = { end: this.at, index, d: d[index], v: v[index], origin, depth: this.#history.length }
  }

  /** The deviations that lead to the best state, while the history lasts; undefined without one. */
  bestWay(): readonly number[] | undefined {
    if (!this.best) return undefined
    const way: number[] = []
    let { index } = this.best
    for (let h = this.best.depth - 1; h >= 0; h--) {
      const { parent, deviation } = this.#history[h]
      if (deviation[index] >= 0) way.push(deviation[index])
      index = parent[index]
    }
    return way.reverse()
  }

  /** Drops the history: from now on a state knows only the state of the present list that it comes from. */
  forget(): void {
    const { size, d, v } = this.states
    this.#history = []
    this.remembered = 0
    this.split = { at: this.at, d: d.slice(0, size), v: v.slice(0, size) }
    this.#origin = Int32Array.from({ length: size }, (_, i) => i)
  }
}

function identity({ size, parent, deviation }: StateList): void {
  for (let i = 0; i < size; i++) parent[i] = i
  deviation.fill(-1, 0, size)
}
