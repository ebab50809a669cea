// Forms: what JSON of a stranger has to look like, put together from parts as the JSON is. Nothing is copied, and what is
// wrong is written down until there is enough of it.
import { isObject, quote } from './fields.js'

/** Adds to `problems` what is wrong with a value that stands at a dotted path. */
export type Form = (value: unknown, at: string, problems: string[]) => void

/** No more problems than this are written down. */
const MOST = 20

/** What is wrong with a value, a line each. */
export function problemsOf(form: Form, value: unknown, name: string): string[] {
  const problems: string[] = []
  form(value, '', problems)
  return problems.map((problem) => `${name}${problem}`)
}

function form(expected: string, accepts: (value: unknown) => boolean): Form {
  return (value, at, problems) => {
    if (!accepts(value) && problems.length < MOST) problems.push(`${at}: expected ${expected}, got ${quote(value)}`)
  }
}

export const number = form('a finite number', Number.isFinite)

/** A whole number, the bounds included. */
export const integer = (min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER): Form =>
  form(
    `an integer from ${min} to ${max}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
  )

export const text = (longest: number): Form =>
  form(`text of at most ${longest} characters`, (value) => typeof value === 'string' && value.length <= longest)

export const base64 = (longest: number): Form =>
  form(
    `base64 of at most ${longest} characters`,
    (value) =>
      typeof value === 'string' &&
      value.length <= longest &&
      value.length % 4 === 0 &&
      /^[A-Za-z0-9+/]*={0,2}$/.test(value),
  )

export const oneOf = (...values: readonly unknown[]): Form =>
  form(values.map(quote).join(' or '), (value) => values.includes(value))

export const optional =
  (inner: Form): Form =>
  (value, at, problems) => {
    if (value !== undefined) inner(value, at, problems)
  }

export const nullable =
  (inner: Form): Form =>
  (value, at, problems) => {
    if (value !== null) inner(value, at, problems)
  }

const inside = (at: string, key: string | number): string => `${at}.${key}`

export function list(item: Form, min = 0, max = Number.POSITIVE_INFINITY): Form {
  const length = max === Number.POSITIVE_INFINITY ? `${min} or more` : min === max ? `${min}` : `${min} to ${max}`
  const long = form(
    `a list of ${length}`,
    (value) => Array.isArray(value) && value.length >= min && value.length <= max,
  )
  return (value, at, problems) => {
    const before = problems.length
    long(value, at, problems)
    if (problems.length > before) return
    const items = value as readonly unknown[]
    for (let i = 0; i < items.length && problems.length < MOST; i++) item(items[i], inside(at, i), problems)
  }
}

/** A list of these, in this order. */
export function tuple(...items: readonly Form[]): Form {
  const long = list(() => undefined, items.length, items.length)
  return (value, at, problems) => {
    const before = problems.length
    long(value, at, problems)
    if (problems.length > before) return
    for (const [i, item] of items.entries()) item((value as unknown[])[i], inside(at, i), problems)
  }
}

/** An object of any fields. */
export const anyObject = form('an object', isObject)

/** These fields and no others. */
export function object(fields: Readonly<Record<string, Form>>): Form {
  return (value, at, problems) => {
    if (!isObject(value)) return anyObject(value, at, problems)
    for (const name of Object.keys(fields)) {
      fields[name](Object.hasOwn(value, name) ? value[name] : undefined, inside(at, name), problems)
    }
    const other = Object.keys(value).find((name) => !Object.hasOwn(fields, name))
    if (other !== undefined && problems.length < MOST) problems.push(`${at}: unknown field ${quote(other)}`)
  }
}

/** The form that a field's value names. */
export function byField(field: string, forms: Readonly<Record<string, Form>>): Form {
  const known = oneOf(...Object.keys(forms))
  return (value, at, problems) => {
    if (!isObject(value)) return anyObject(value, at, problems)
    const name = Object.hasOwn(value, field) ? value[field] : undefined
    if (typeof name !== 'string' || !Object.hasOwn(forms, name)) return known(name, inside(at, field), problems)
    forms[name](value, at, problems)
  }
}
