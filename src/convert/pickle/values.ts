// What a pickle may unfold to: plain data, and objects of a closed list of types that know their own state.
import { quote } from '../../model/json/fields.js'
import type { Budget } from '../weights/budget.js'

/**
 * None is null, True and False are booleans, int is number (bigint beyond 2^53), float is number, str is string, bytes
 * is Uint8Array, list is an array, tuple is a frozen array, dict is a Map; everything else is a `PickleObject`.
 */
export type Pickled = unknown

/** An object of a known type. */
export abstract class PickleObject {
  /** Takes the state the pickle sets (`__setstate__`). @throws RingfenceError BAD_FILE when there should be none */
  build(_state: Pickled, budget: Budget): void {
    budget.fail('the pickle sets the state of an object that has none')
  }
}

/** A name on the closed list, and what calling it with arguments gives: data made here, never code of the file. */
export class Global extends PickleObject {
  constructor(
    readonly name: string,
    readonly call?: (args: readonly Pickled[], budget: Budget) => Pickled,
  ) {
    super()
  }
}

/** Stands where a name outside the list is used, so that one reading finds all such names. */
export class Foreign extends PickleObject {
  override build(): void {}
}

/** What a value is, for messages; never writes out the value itself, which may be huge or contain itself. */
export function describeValue(value: Pickled): string {
  if (Array.isArray(value)) return Object.isFrozen(value) ? 'a tuple' : 'a list'
  if (value instanceof Map) return 'a dict'
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof PickleObject) return value instanceof Global ? value.name : 'an object'
  return typeof value === 'string' ? `text ${quote(value)}` : String(value)
}

/** A pickle may nest this deep; real ones stay below ten. */
const DEEPEST = 64
/** Written out without sharing, a pickle may have this many values. */
const MOST_VALUES = 2 ** 23

/**
 * Checks that a value is a tree a reader may walk: no cycle, not too deep, and not too large when every shared part is
 * counted each time it is used (a list of ten lists of ten lists … is short in the file and endless to walk).
 */
export function checkTree(value: Pickled, budget: Budget): void {
  measure(value, 0, new Map(), budget)
}

interface Measure {
  readonly height: number
  readonly values: number
}

function measure(value: Pickled, depth: number, known: Map<object, Measure | undefined>, budget: Budget): Measure {
  if (!Array.isArray(value) && !(value instanceof Map)) return { height: 0, values: 1 }
  const before = known.get(value)
  if (before) return before
  if (known.has(value)) budget.fail('the pickle holds a container that contains itself')
  if (depth > DEEPEST) budget.fail(`the pickle is nested more than ${DEEPEST} deep`)
  known.set(value, undefined)
  let height = 0
  let values = 1
  for (const child of value.values()) {
    const inner = measure(child, depth + 1, known, budget)
    height = Math.max(height, inner.height + 1)
    values += inner.values
  }
  if (height > DEEPEST) budget.fail(`the pickle is nested more than ${DEEPEST} deep`)
  if (values > MOST_VALUES) budget.fail(`the pickle unfolds to more than ${MOST_VALUES} values`)
  const result = { height, values }
  known.set(value, result)
  return result
}
