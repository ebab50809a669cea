// What `compile` leaves to its caller, and what fits together; among it a guard against clients that deviate, and plans that a
// delegate plays.
import { throwIfAny } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { curvesOf } from '../../model/curves.js'
import { quote } from '../../model/json/fields.js'
import { effectiveOp } from '../../model/layers/layers.js'
import { bodyOf } from '../../model/tail/split.js'
import { DEFAULT_SIGMA, guardOf, guardProblems, MAX_SIGMA, MIN_SIGMA } from '../guard.js'
import type { Backend, MccPlan, PlanOutputs } from '../plan.js'
import { type MccOptions, mccProblems } from './mcc-numbers.js'
import { labelProblems } from './outputs.js'
import { type SecurennOptions, securennProblems } from './securenn-numbers.js'

/** Choices that `compile` leaves to its caller; defaults suit calibrated networks. */
export interface CompileOptions<B extends Backend = Backend> extends MccOptions, SecurennOptions {
  /** How comparisons are made; `fraction` and `ignored…` are options of `securenn`, the others of `mcc`. Default `mcc`. */
  backend?: B
  /** What the client learns: every output value, or only which is largest (as 1 among zeros). Default `logits`. */
  output?: 'logits' | 'label'
  /**
   * Begins with a step that opens and re-shares the input, so that it has `bits` bits whatever a client sends: what a
   * delegated inference needs (docs/delegated.md). One round trip more; on `mcc`. Default false.
   */
  delegated?: boolean
  /** ChaCha rounds. Default 12. */
  rounds?: 12 | 20
}

const OPTIONS: Readonly<Record<Backend, readonly (keyof CompileOptions)[]>> = {
  mcc: ['ring', 'bits', 'lo', 'chunks', 'margin', 'guard', 'delegated', 'pools'],
  securenn: ['fraction', 'ignoredMsb', 'ignoredLsb'],
}

/**
 * @throws RingfenceError BAD_INPUT for options that do not fit, UNSUPPORTED for layers that the back end does not run
 */
export function checkOptions(arch: Architecture, options: CompileOptions): void {
  const { backend = 'mcc', rounds = 12 } = options
  const problems: string[] = []
  if (!Object.hasOwn(OPTIONS, backend)) {
    problems.push(`backend: ${Object.keys(OPTIONS).join(' or ')}, not ${String(backend)}`)
  } else {
    const other = backend === 'mcc' ? 'securenn' : 'mcc'
    const foreign = OPTIONS[other].filter((name) => options[name] !== undefined)
    problems.push(...foreign.map((name) => `${name}: an option of back end ${other}, not of ${backend}`))
    problems.push(...(backend === 'mcc' ? mccProblems : securennProblems)(arch, options))
  }
  problems.push(...(backend === 'mcc' ? guardOptionProblems(options) : []))
  const { output = 'logits' } = options
  if (output !== 'logits' && output !== 'label') problems.push(`output: logits or label, not ${String(output)}`)
  if (output === 'label') problems.push(...labelProblems(arch))
  if (rounds !== 12 && rounds !== 20) problems.push(`rounds: 12 or 20, not ${rounds}`)
  throwIfAny('BAD_INPUT', 'these options cannot make a plan', problems)
  if (backend === 'securenn')
    throwIfAny('UNSUPPORTED', 'back end securenn cannot run this network; use mcc', onMccAlone(arch))
}

/** Layers that only `mcc` has a gadget for. */
function onMccAlone(arch: Architecture): string[] {
  const body = bodyOf(arch)
  const { byLayer, inner } = curvesOf(body)
  return body.layers.flatMap((layer) => {
    const { op } = effectiveOp(layer)
    if (byLayer.has(layer.id)) return [`layer ${quote(layer.id)}: ${op} of a private value`]
    return op === 'multiply' && !inner.has(layer.id) ? [`layer ${quote(layer.id)}: ${op} of two private values`] : []
  })
}

type Choices = MccOptions & { delegated?: boolean }

function guardOptionProblems({ guard, ring = 32, lo, pools }: Choices): string[] {
  if (!guard) return []
  const problems: string[] = []
  const { sigma = DEFAULT_SIGMA } = guard
  const least = Math.max(MIN_SIGMA, 33 - ring)
  if (!Number.isInteger(sigma) || sigma < least || sigma > MAX_SIGMA)
    problems.push(`guard.sigma: ${least} to ${MAX_SIGMA} bits with a ring of ${ring}, not ${sigma}`)
  if (pools === 'trips') problems.push('pools: maxima of three values have no guard yet; leave it out')
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

/** @throws RingfenceError UNSUPPORTED where a delegated plan leaves layers to its client: owners of inputs compute none */
export function requireNoTail({ delegated }: Choices, tail: PlanOutputs['tail']): void {
  if (!delegated) return
  const problems = tail.map(({ id, op }) => `${id}: ${op} is left to the client`)
  const what = 'a delegated plan leaves no layer to its client; cut the network before these with convert --outputs'
  throwIfAny('UNSUPPORTED', what, problems)
}
