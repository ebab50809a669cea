// Whether a server guards its plans against clients that deviate: it does where anybody may connect, unless it is told not to.
import { RingfenceError } from '../../errors.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import type { Flags } from '../terminal/arguments.js'

export const NO_GUARD_FLAG = {
  'no-guard': {
    type: 'boolean',
    description: 'mcc: do not guard the plan, which a server does by itself where it asks nobody for a token',
  },
} as const

/** Whether to guard because nobody said anything. @param known clients are: by a token, or as the delegate */
export function guardsByDefault(flags: Flags, { backend = 'mcc', lo }: CompileOptions, known: boolean): boolean {
  if (flags.on('guard') && flags.on('no-guard')) flags.fault('--guard and --no-guard: give one of them')
  if (backend !== 'mcc' || known || flags.on('guard') || flags.on('no-guard')) return false
  if (lo !== undefined && lo !== 0)
    flags.fault(
      '--lo: where anybody may connect plans are guarded, which compares all bits; leave it out, or --no-guard',
    )
  return true
}

/**
 * A network compiled with a guard that nobody asked for.
 * @throws RingfenceError UNSUPPORTED, with what to do, for one that only runs without; else what `compile` throws
 */
export async function compiledGuarded<T>(
  compile: (options: CompileOptions) => Promise<T>,
  options: CompileOptions,
): Promise<T> {
  try {
    return await compile({ ...options, guard: {} })
  } catch (cause) {
    await compile(options) // what is wrong without a guard too is told as that
    const what = 'this network cannot be guarded, and anybody may connect here'
    const way = 'give --tokens or --jwks, or --no-guard, with which a client that deviates can read the weights'
    throw new RingfenceError('UNSUPPORTED', `${what}; ${way}`, (cause as RingfenceError).problems, { cause })
  }
}

/** What those can do who may connect, which is anybody, in the words of a log. */
export function whatClientsCanDo(guarded: boolean, byDefault: boolean, backend: CompileOptions['backend']): string {
  if (guarded) {
    const price = byDefault ? ', at about twice the work (--no-guard leaves that out)' : ''
    return `clients that deviate are caught${price}, and may come back`
  }
  const why = backend === 'securenn' ? 'securenn has no guard' : '--no-guard'
  return `a client that deviates can read its weights (${why})`
}
