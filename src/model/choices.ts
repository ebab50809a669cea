// Choices files: which option every `choice` layer takes, as architecture searches write them.
import { throwIfAny } from '../errors.js'
import { isObject, quote } from './json/fields.js'
import { summary } from './json/file.js'

/** Option number by key, e.g. `{ default_1: 0 }`. */
export type Choices = Readonly<Record<string, number>>

/** The largest published file has 50 keys and under 1 kB. */
const LONGEST_TEXT = 2 ** 16
/** Keys that a message names before it only counts them. */
const MOST_NAMED = 6

/** One `key: value` with the comma and the white space behind it; the value is checked later. */
const ENTRY = /(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*:([^,]*)(?:,\s*|$)/y
const INTEGER = /^\d{1,9}$/

/**
 * Parses a flat choices file, `{"default_1": 0, …}` or the same as Python prints a dict, `{'default_1': 0, …}`.
 * @param text the file's text or its parsed JSON
 * @throws RingfenceError BAD_FILE with every entry that is not a key with an integer >= 0, and every repeated key
 */
export function parseChoices(text: unknown, source = 'choices.json'): Choices {
  const problems: string[] = []
  const choices = typeof text === 'string' ? scan(text, problems) : checkChoices(text, problems)
  throwIfAny('BAD_FILE', summary(source, problems.length), problems)
  return choices
}

/** A parsed object's entries; a value that is not an integer >= 0 is reported and read as 0. */
export function checkChoices(value: unknown, problems: string[]): Choices {
  if (!isObject(value)) {
    problems.push(`choices: expected an object of keys and integers, got ${quote(value)}`)
    return {}
  }
  const entries = Object.entries(value).map(([key, option]): [string, number] => {
    if (Number.isSafeInteger(option) && (option as number) >= 0) return [key, option as number]
    problems.push(`choices[${quote(key)}]: expected an integer >= 0, got ${quote(option)}`)
    return [key, 0]
  })
  return Object.fromEntries(entries)
}

/** What keeps `choices` from having exactly the keys of `expected`, in words without a subject; undefined if nothing. */
export function keyFault(expected: readonly string[], choices: object): string | undefined {
  const known = new Set(expected)
  const missing = expected.filter((key) => !Object.hasOwn(choices, key))
  const given = Object.keys(choices)
  const extra = given.filter((key) => !known.has(key))
  if (missing.length === 0 && extra.length === 0) return undefined
  const parts = [
    ...(missing.length > 0 ? [`missing ${nameSome(missing)}`] : []),
    ...(extra.length > 0 ? [`unknown ${nameSome(extra)}`] : []),
  ]
  return `expected ${countOf(expected.length)}, got ${countOf(given.length)}: ${parts.join('; ')}`
}

function countOf(count: number): string {
  return `${count} key${count === 1 ? '' : 's'}`
}

function nameSome(keys: readonly string[]): string {
  const named = keys.slice(0, MOST_NAMED).map(quote).join(', ')
  return keys.length > MOST_NAMED ? `${named} and ${keys.length - MOST_NAMED} more` : named
}

/** Reads the text itself, not through JSON.parse, which would keep the last of two equal keys without a word. */
function scan(text: string, problems: string[]): Choices {
  const inner = text.length > LONGEST_TEXT ? undefined : /^\{([^{}]*)\}$/.exec(text.trim())?.[1].trim()
  if (inner === undefined) {
    const what = `one flat object of at most ${LONGEST_TEXT} characters, {"key": integer, …}`
    problems.push(`choices: expected ${what}, got ${text.length} characters: ${quote(text.trim().slice(0, 60))}`)
    return {}
  }
  const found = new Map<string, number>()
  for (let at = 0; at < inner.length; at = ENTRY.lastIndex) {
    ENTRY.lastIndex = at
    const match = ENTRY.exec(inner)
    if (!match) {
      problems.push(`choices: expected a quoted key, a colon and an integer, got ${quote(inner.slice(at, at + 40))}`)
      break
    }
    keep(found, match[1] ?? match[2], match[3].trim(), problems)
  }
  return Object.fromEntries(found)
}

function keep(found: Map<string, number>, key: string, value: string, problems: string[]): void {
  if (found.has(key)) problems.push(`choices[${quote(key)}]: expected every key once, got it again`)
  if (!INTEGER.test(value)) problems.push(`choices[${quote(key)}]: expected an integer >= 0, got ${quote(value)}`)
  found.set(key, Number(value))
}
