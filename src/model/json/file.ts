// A JSON file as a whole: its text, and the first line of an error about it.
import { RingfenceError } from '../../errors.js'
import { isObject, type Json, quote } from './fields.js'

/** A JSON text or an already parsed object, as an object. */
export function parseObject(json: unknown, source: string): Json {
  let value = json
  if (typeof json === 'string') {
    try {
      value = JSON.parse(json)
    } catch (cause) {
      const why = (cause as Error).message.replace(/\s+/g, ' ')
      throw new RingfenceError('BAD_FILE', `${source}: expected JSON, but ${why}`, [], { cause })
    }
  }
  if (!isObject(value)) throw new RingfenceError('BAD_FILE', `${source}: expected a JSON object, got ${quote(value)}`)
  return value
}

/** First line of an error about a file. */
export function summary(source: string, count: number): string {
  return `${source} has ${count === 1 ? 'a problem' : `${count} problems`}:`
}
