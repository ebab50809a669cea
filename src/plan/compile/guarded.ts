// The options that are about clients: a guard against those that deviate, and plans that a delegate plays.
import { RingfenceError, throwIfAny } from '../../errors.js'
import { DEFAULT_SIGMA, guardOf, guardProblems, MAX_SIGMA, MIN_SIGMA } from '../guard.js'
import type { MccPlan } from '../plan.js'
import type { MccOptions } from './mcc-numbers.js'

type Choices = MccOptions & { delegated?: boolean }

export function guardOptionProblems({ guard, ring = 32, lo, delegated }: Choices): string[] {
  if (!guard) return []
  const problems: string[] = []
  const { sigma = DEFAULT_SIGMA } = guard
  const least = Math.max(MIN_SIGMA, 33 - ring)
  if (!Number.isInteger(sigma) || sigma < least || sigma > MAX_SIGMA)
    problems.push(`guard.sigma: ${least} to ${MAX_SIGMA} bits with a ring of ${ring}, not ${sigma}`)
  if (delegated) problems.push('delegated: a guarded plan cannot be delegated yet; leave one of the two out')
  if (lo !== undefined && lo !== 0) problems.push('lo: a guarded plan compares all bits; leave it out')
  return problems
}

/** The plan with its guard, where one is asked for. @throws RingfenceError UNSUPPORTED */
export function guarded(plan: MccPlan, { guard: options }: Choices): MccPlan {
  if (!options) return plan
  const guard = guardOf(plan, options.sigma ?? DEFAULT_SIGMA)
  throwIfAny('UNSUPPORTED', 'this network cannot be guarded; leave `guard` out', guardProblems(plan, guard))
  return { ...plan, guard }
}

/** @throws RingfenceError UNSUPPORTED where a delegated plan has several outputs, or some of them left to its client */
export function requireOneOutput({ delegated }: Choices): void {
  if (!delegated) return
  const what = 'a delegated plan opens one output and leaves nothing of it to its client'
  throw new RingfenceError('UNSUPPORTED', `${what}; choose one with convert --outputs, or leave delegated out`)
}
