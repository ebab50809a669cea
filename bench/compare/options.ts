// What the command line of the comparison bench may say. All problems are found before any work.
import { throwIfAny } from '../../src/errors.js'
import type { Backend } from './backend.js'

export interface CompareOptions {
  readonly bits: readonly number[]
  readonly backends: readonly Backend[]
  /** Low bits of every value that comparisons leave out; not given: those of 16-bit values beyond the compared ones. */
  readonly ignored?: number
  /** Comparisons in one batch. */
  readonly elements: number
  readonly format: 'table' | 'json' | 'csv'
  readonly svg?: string
  readonly html?: string
  readonly quick: boolean
}

const FULL = { bits: [4, 6, 8, 10, 12, 16, 20, 24, 32, 64], elements: 65_536 }
const QUICK = { bits: [4, 8, 16], elements: 4096 }
const MOST_BITS = 64
/** What a wasm32 memory can be asked for in one piece. */
const MOST_MEMORY = 2 ** 31
const SWITCHES = ['json', 'csv', 'quick']
const SETTINGS = ['bits', 'ignored', 'backend', 'elements', 'svg', 'html']

export function usage(backends: readonly Backend[]): string {
  return `usage: bench compare [--bits 4,6,8,…] [--ignored N] [--backend NAME,…] [--elements N] [--json | --csv] [--svg FILE] [--html FILE] [--quick]
  --bits      compared bits, each 1 to ${MOST_BITS} (${FULL.bits.join(',')})
  --ignored   low bits that every comparison leaves out (those of 16-bit values beyond the compared ones)
  --backend   back ends: ${backends.map(({ name }) => name).join(', ')} (all)
  --elements  comparisons in one batch (${FULL.elements})
  --json      rows as JSON; --csv: as CSV; without either a table
  --svg       writes charts of bytes, time and error against bits; --html: charts and tables
  --quick     a look within 20 s: bits ${QUICK.bits.join(',')}, ${QUICK.elements} elements, few repetitions`
}

/**
 * @param memory bytes that one party may take
 * @throws RingfenceError BAD_INPUT with every problem of the flags, or with what does not fit into memory
 */
export function parseOptions(flags: readonly string[], backends: readonly Backend[], memory: number): CompareOptions {
  const problems: string[] = []
  const given = readFlags(flags, problems)
  const quick = given.has('quick')
  const preset = quick ? QUICK : FULL
  const bits = list(given.get('bits'))?.map(Number) ?? preset.bits
  const elements = given.has('elements') ? number(given.get('elements')!) : preset.elements
  for (const name of ['bits', 'backend'] as const) {
    if (list(given.get(name))?.length === 0) problems.push(`--${name}: expected at least one, got none`)
  }
  if (!bits.every((n) => Number.isInteger(n) && n >= 1 && n <= MOST_BITS)) {
    problems.push(`--bits: expected whole numbers from 1 to ${MOST_BITS}, got ${given.get('bits')}`)
  }
  if (!Number.isSafeInteger(elements) || elements < 1) {
    problems.push(`--elements: expected a whole number from 1, got ${given.get('elements')}`)
  }
  const ignored = given.has('ignored') ? number(given.get('ignored')!) : undefined
  const most = MOST_BITS - Math.max(...bits)
  if (ignored !== undefined && most >= 0 && !(ignored <= most)) {
    const room = `0 to ${most} beside ${MOST_BITS - most} compared bits of ${MOST_BITS}`
    problems.push(`--ignored: expected a whole number, ${room}, got ${given.get('ignored')}`)
  }
  const chosen = chooseBackends(list(given.get('backend')), backends, problems)
  if (given.has('json') && given.has('csv')) problems.push('--json and --csv exclude each other')
  throwIfAny('BAD_INPUT', 'bench compare cannot run like this:', problems)
  const options: CompareOptions = {
    bits: [...new Set(bits)].sort((a, b) => a - b),
    backends: chosen,
    ignored,
    elements,
    format: given.has('json') ? 'json' : given.has('csv') ? 'csv' : 'table',
    svg: given.get('svg'),
    html: given.get('html'),
    quick,
  }
  throwIfAny('BAD_INPUT', 'bench compare cannot run like this:', memoryProblems(options, Math.min(memory, MOST_MEMORY)))
  return options
}

/** `--name value` or `--name=value`; switches take no value. */
function readFlags(flags: readonly string[], problems: string[]): Map<string, string> {
  const given = new Map<string, string>()
  for (let i = 0; i < flags.length; i++) {
    const [, name, value] = /^--([a-z]+)(?:=(.*))?$/s.exec(flags[i]) ?? []
    if (SWITCHES.includes(name) && value === undefined) given.set(name, '')
    else if (!SETTINGS.includes(name)) problems.push(`unknown: ${flags[i]}`)
    else if (value !== undefined) given.set(name, value)
    else if (i + 1 < flags.length && !flags[i + 1].startsWith('--')) given.set(name, flags[++i])
    else problems.push(`--${name}: expected a value, got none`)
    if ((name === 'svg' || name === 'html') && given.get(name) === '') problems.push(`--${name}: expected a file name`)
  }
  return given
}

const list = (text?: string): string[] | undefined => text?.split(',').filter((part) => part.trim() !== '')
const number = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN)

function chooseBackends(names: readonly string[] | undefined, backends: readonly Backend[], problems: string[]) {
  if (!names) return backends
  const known = backends.map(({ name }) => name).join(', ')
  return [...new Set(names)].flatMap((name) => {
    const found = backends.find((backend) => backend.name === name.trim())
    if (!found) problems.push(`--backend: expected one of ${known}, got ${name}`)
    return found ?? []
  })
}

function memoryProblems({ bits, ignored, backends, elements }: CompareOptions, limit: number): string[] {
  const needs = backends.flatMap((backend) =>
    bits.flatMap((n) => {
      const found = backend.variants(n, ignored)
      if ('unsupported' in found) return []
      return found.map((variant) => ({ n, name: backend.name, bytes: backend.memory(variant, elements) }))
    }),
  )
  const worst = needs.reduce((a, b) => (b.bytes > a.bytes ? b : a), { n: 0, name: '', bytes: 0 })
  if (worst.bytes <= limit) return []
  const most = Math.floor((elements * limit) / worst.bytes)
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  return [
    `--elements: ${elements} comparisons of ${worst.n} bits (${worst.name}) take ${gib(worst.bytes)} of memory, ` +
      `${gib(limit)} are there; ask for at most ${most}`,
  ]
}
