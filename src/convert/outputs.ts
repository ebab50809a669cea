// Outputs that are chosen by name, and what a network can give where its end cannot be converted.
import { quote } from '../model/json/fields.js'

/** Most names that a message lists. */
const MOST_NAMES = 12

/** The problem with an output that a file does not have: some names that are like it. */
export function noSuchOutput(name: string, names: readonly string[]): string {
  const parts = name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part.length > 1)
  const likeness = (other: string) => parts.filter((part) => other.toLowerCase().includes(part)).length
  const ranked = [...names].reverse().sort((a, b) => likeness(b) - likeness(a))
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
  const listed = ranked.slice(0, MOST_NAMES).map(quote).join(', ')
  return `outputs: found nothing that is called ${quote(name)}; there are ${listed}${more}`
}
