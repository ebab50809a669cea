// Reads the fields of one JSON object, writing down every fault instead of stopping at the first.

/** A JSON object. */
export type Json = Record<string, unknown>

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Characters of a quoted value. */
const LONGEST_QUOTE = 60

/** A value as it may be quoted in a message: short, on one line, whatever its size and depth. */
export function quote(value: unknown): string {
  // Every value inside takes a character or more, so what comes after the first 64 would not be shown; left out, it
  // cannot nest deeper than the stack either.
  let left = LONGEST_QUOTE + 4
  const beginning = (_: string, inner: unknown) => {
    if (left-- <= 0) return undefined
    return typeof inner === 'bigint' ? String(inner) : inner
  }
  const text = value === undefined ? 'nothing' : (JSON.stringify(value, beginning) ?? String(value))
  return text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE - 3)}...` : text
}

interface IntegerRange {
  readonly min: number
  readonly max?: number
}

/** Larger sizes, counts and strides than this are taken for damage. */
const LARGEST = 2 ** 31 - 1

/**
 * Every reader returns a usable value and, on a fault, adds a problem and sets `failed`; a missing field is a fault
 * unless a fallback is given.
 */
export class Fields {
  failed = false
  readonly #seen = new Set<string>()

  constructor(
    readonly object: Json,
    readonly where: string,
    readonly problems: string[],
  ) {}

  fault(name: string, expected: string): void {
    const value = Object.hasOwn(this.object, name) ? this.object[name] : undefined
    this.problem(`${name}: expected ${expected}, got ${quote(value)}`)
  }

  problem(text: string): void {
    this.failed = true
    this.problems.push(`${this.where}: ${text}`)
  }

  /** Whether the field is there; marks it as known. */
  has(name: string): boolean {
    this.#seen.add(name)
    return Object.hasOwn(this.object, name) && this.object[name] !== undefined
  }

  value(name: string): unknown {
    return this.has(name) ? this.object[name] : undefined
  }

  #read<T>(name: string, expected: string, accepts: (value: unknown) => boolean, fallback: T | undefined, empty: T): T {
    const value = this.value(name)
    if (value === undefined && fallback !== undefined) return fallback
    if (accepts(value)) return value as T
    this.fault(name, expected)
    return fallback ?? empty
  }

  string(name: string, fallback?: string): string {
    return this.#read(name, 'a non-empty string', (v) => typeof v === 'string' && v.length > 0, fallback, '')
  }

  boolean(name: string, fallback?: boolean): boolean {
    return this.#read(name, 'true or false', (v) => typeof v === 'boolean', fallback, false)
  }

  number(name: string, fallback?: number): number {
    return this.#read(name, 'a finite number', Number.isFinite, fallback, 0)
  }

  integer(name: string, range: IntegerRange, fallback?: number): number {
    return this.#read(name, `an integer ${describe(range)}`, (v) => isInteger(v, range), fallback, range.min)
  }

  integers<T extends readonly number[]>(name: string, count: number, range: IntegerRange, fallback?: T): T {
    const accepts = (v: unknown) => Array.isArray(v) && v.length === count && v.every((x) => isInteger(x, range))
    const empty = Array<number>(count).fill(Math.max(range.min, 0)) as unknown as T
    return this.#read(name, `${count} integers ${describe(range)}`, accepts, fallback, empty)
  }

  oneOf<T extends string>(name: string, values: readonly T[], fallback?: T): T {
    const expected = `one of ${values.join(', ')}`
    return this.#read(name, expected, (v) => values.includes(v as T), fallback, values[0])
  }

  strings(name: string, fallback?: readonly string[]): readonly string[] {
    const accepts = (v: unknown) => Array.isArray(v) && v.every((x) => typeof x === 'string')
    return this.#read(name, 'a list of strings', accepts, fallback, [])
  }

  numbers(name: string, fallback?: readonly number[]): readonly number[] {
    const accepts = (v: unknown) => Array.isArray(v) && v.every(Number.isFinite)
    return this.#read(name, 'a list of finite numbers', accepts, fallback, [])
  }

  /** Text to text. */
  texts(name: string): Readonly<Record<string, string>> {
    const accepts = (v: unknown) => isObject(v) && Object.values(v).every((x) => typeof x === 'string')
    return this.#read(name, 'an object of strings', accepts, {}, {})
  }

  record(name: string): Json {
    return this.#read(name, 'an object', isObject, {}, {})
  }

  /** Reports every field that nobody asked for. */
  noOthers(): void {
    const others = Object.keys(this.object).filter((name) => !this.#seen.has(name))
    if (others.length > 0) this.problem(`unknown field${others.length > 1 ? 's' : ''} ${others.map(quote).join(', ')}`)
  }
}

function isInteger(value: unknown, { min, max = LARGEST }: IntegerRange): boolean {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}

function describe({ min, max }: IntegerRange): string {
  return max === undefined ? `>= ${min}` : `from ${min} to ${max}`
}

/** The objects of a list field; anything else in it is reported. */
export function objects(fields: Fields, name: string): Json[] {
  const list = fields.value(name)
  if (Array.isArray(list) && list.length > 0 && list.every(isObject)) return list
  if (!Array.isArray(list) || list.length === 0) fields.fault(name, 'a non-empty list of objects')
  else
    for (const [i, x] of list.entries())
      if (!isObject(x)) fields.problem(`${name}[${i}]: expected an object, got ${quote(x)}`)
  return Array.isArray(list) ? list.filter(isObject) : []
}
