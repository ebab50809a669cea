// What the command line of the comparison bench may say. All problems are found before any work.

import { type Command, Flags } from '../../src/cli/terminal/arguments.js'
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

/** The bench as its help describes it. */
export function description(backends: readonly Backend[]): Pick<Command, 'name' | 'summary' | 'flags' | 'notes'> {
  return {
    name: 'bench compare',
    summary: 'What comparing with zero costs per compared bit, for every back end and chain shape.',
    flags: {
      bits: {
        type: 'string',
        valueHint: 'N,…',
        description: `compared bits, each 1 to ${MOST_BITS} (default ${FULL.bits.join(', ')})`,
      },
      ignored: {
        type: 'string',
        valueHint: 'N',
        description:
          'low bits that every comparison leaves out (default: those of 16-bit values beyond the compared ones)',
      },
      backend: {
        type: 'string',
        valueHint: 'NAME,…',
        description: `back ends (default all: ${backends.map(({ name }) => name).join(', ')})`,
      },
      elements: { type: 'string', valueHint: 'N', description: `comparisons in one batch (default ${FULL.elements})` },
      csv: { type: 'boolean', description: 'print rows as CSV instead of text' },
      svg: { type: 'string', valueHint: 'FILE', description: 'charts of bytes, time and error against bits' },
      html: { type: 'string', valueHint: 'FILE', description: 'charts and tables as a page' },
      quick: {
        type: 'boolean',
        description: `a look: bits ${QUICK.bits.join(', ')}, ${QUICK.elements} elements, few repetitions`,
      },
    },
    notes: [
      'Nothing but the report is on standard output with npm run --silent bench -- compare --csv > FILE; without ' +
        '--silent npm writes its banner before it.',
    ],
  }
}

/**
 * @param memory bytes that one party may take
 * @throws RingfenceError BAD_INPUT with every problem of the flags, or with what does not fit into memory
 */
export function parseOptions(args: readonly string[], backends: readonly Backend[], memory: number): CompareOptions {
  const flags = new Flags(description(backends), args)
  const quick = flags.on('quick')
  const preset = quick ? QUICK : FULL
  const bits = list(flags, 'bits')?.map(Number) ?? preset.bits
  if (!bits.every((n) => Number.isInteger(n) && n >= 1 && n <= MOST_BITS)) {
    flags.fault(`--bits: expected whole numbers from 1 to ${MOST_BITS}, got ${flags.text('bits')}`)
  }
  const most = MOST_BITS - Math.min(MOST_BITS, Math.max(...bits.filter(Number.isInteger)))
  const options: CompareOptions = {
    bits: [...new Set(bits)].sort((a, b) => a - b),
    backends: chooseBackends(flags, backends),
    ignored: flags.integer('ignored', 0, most),
    elements: flags.integer('elements', 1, Number.MAX_SAFE_INTEGER) ?? preset.elements,
    format: flags.on('json') ? 'json' : flags.on('csv') ? 'csv' : 'table',
    svg: flags.text('svg'),
    html: flags.text('html'),
    quick,
  }
  if (flags.on('json') && flags.on('csv')) flags.fault('expected one of --json and --csv')
  flags.check()
  throwIfAny('BAD_INPUT', 'bench compare cannot run like this:', memoryProblems(options, Math.min(memory, MOST_MEMORY)))
  return options
}

/** What stands between commas; at least one. */
function list(flags: Flags, name: string): string[] | undefined {
  const parts = flags.text(name)?.split(',')
  const given = parts?.map((part) => part.trim()).filter((part) => part !== '')
  if (given?.length === 0) flags.fault(`--${name}: expected at least one, got none`)
  return given
}

function chooseBackends(flags: Flags, backends: readonly Backend[]): readonly Backend[] {
  const names = list(flags, 'backend')
  if (!names) return backends
  const known = backends.map(({ name }) => name).join(', ')
  return [...new Set(names)].flatMap((name) => {
    const found = backends.find((backend) => backend.name === name)
    if (!found) flags.fault(`--backend: expected one of ${known}, got ${name}`)
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
