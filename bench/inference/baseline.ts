// What a bench measured before, kept in `bench/baselines`: ratios to references of the same run, bytes and flights. They mean
// the same on another machine; milliseconds do not, and are not kept.
import { readFileSync, writeFileSync } from 'node:fs'
import { RingfenceError, throwIfAny } from '../../src/errors.js'

/** Objects of numbers and of names, which have to be equal. */
export type Figures = { readonly [key: string]: number | string | boolean | Figures }

/** A ratio may be worse by as much. */
const SLACK = 1.1

export const BASELINE_FLAGS = {
  compare: {
    type: 'string',
    valueHint: 'FILE',
    description: 'fails when a ratio is more than 10 % worse than in FILE, or a byte or flight was added',
  },
  save: { type: 'string', valueHint: 'FILE', description: 'writes what --compare reads' },
} as const

/**
 * Writes the figures, and holds them against others.
 * @throws RingfenceError BAD_FILE where the file is none of this bench's, BAD_INPUT with everything that is worse
 */
export function baseline(figures: Figures, { compare, save }: { compare?: string; save?: string }): void {
  if (save !== undefined) writeFileSync(save, `${JSON.stringify(figures, rounded, 2)}\n`)
  if (compare === undefined) return
  throwIfAny('BAD_INPUT', `worse than ${compare}`, worse(read(compare), figures, []))
}

function read(file: string): Figures {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `${file}: expected what --save has written`, [], { cause })
  }
}

/** Below `ratio` everything is a ratio; every other number is counted. */
export function worse(base: Figures, now: Figures, path: readonly string[]): string[] {
  return Object.keys({ ...base, ...now }).flatMap((key) => {
    const [was, is, at] = [base[key], now[key], [...path, key]]
    if (typeof was === 'object' && typeof is === 'object') return worse(was, is, at)
    const name = at.join('.')
    if (typeof was !== 'number' || typeof is !== 'number') return was === is ? [] : [`${name}: ${is}, was ${was}`]
    const ratio = at.includes('ratio')
    if (is <= (ratio ? was * SLACK : was)) return []
    return [ratio ? `${name}: ${is.toFixed(2)}, was ${was.toFixed(2)}` : `${name}: ${is}, was ${was}`]
  })
}

const rounded = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toFixed(3)) : value
