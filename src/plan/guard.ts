// What a guard needs to know of a plan, and how likely a client passes that deviates: public numbers (docs/protocol.md,
// "Guarded plans").
import { chooseChunks } from './compile/chunks.js'
import { elementCount, type Guard, type MccPlan, stepCounts, tensorShape } from './plan.js'

/** σ of a plan that names none: a changed message passes with 2^-17 at best. */
export const DEFAULT_SIGMA = 16
export const MIN_SIGMA = 8
export const MAX_SIGMA = 31

/** Places of an order, so that it is drawn without bias in doubles. */
export const MAX_PLACES = 2 ** 21

/** Places of all orders of an inference: their tables take half a gigabyte at most. */
export const MAX_ALL_PLACES = 8 * MAX_PLACES

/** Words that a helper keeps per checked subset of δ, in bytes over all subsets: 3.7 million values at σ = 16. */
export const MAX_TRANSPOSE_BYTES = 2 ** 28

type Steps = Pick<MccPlan, 'steps'>

/** Comparisons of every step. */
const comparisonsOf = ({ steps }: Steps): number[] =>
  steps.map((step) => {
    const counts = stepCounts(step)
    return counts ? counts.singles + counts.patches : 0
  })

/** Consecutive steps whose comparisons share an order. */
export interface Segment {
  /** The last step of it that compares anything: with its opening the second sets leave. */
  readonly last: number
  readonly comparisons: number
}

/**
 * The segments of a plan: each ends as soon as guessing a place of its order succeeds with 2^-sigma at most; what is left
 * at the end joins the last one. None where nothing is compared.
 * @param comparisons of every step
 */
export function segmentsOf(comparisons: readonly number[], sigma: number): Segment[] {
  const segments: Segment[] = []
  let open: Segment | undefined
  comparisons.forEach((count, last) => {
    if (count === 0) return
    open = { last, comparisons: (open?.comparisons ?? 0) + count }
    if (open.comparisons < 2 ** sigma) return
    segments.push(open)
    open = undefined
  })
  if (!open) return segments
  const rest: Segment = open
  const before = segments.pop()
  return [...segments, { ...rest, comparisons: rest.comparisons + (before?.comparisons ?? 0) }]
}

/**
 * The cheapest sets of a segment with which a wrong sign passes with at most 2^-bits: s sets of one trap each, or more
 * traps where there are few comparisons.
 */
export function signSets(comparisons: number, bits: number): { sets: number; traps: number } {
  const options = Array.from({ length: 8 }, (_, i) => {
    const sets = i + 1
    return { sets, traps: Math.max(1, Math.ceil(2 ** (bits / sets)) - comparisons) }
  })
  const cost = ({ sets, traps }: (typeof options)[number]) => sets * (comparisons + traps)
  return options.reduce((a, b) => (cost(b) < cost(a) ? b : a))
}

/** The guard of these steps: the cheapest one with which nothing passes more often than 2^-sigma. */
export function guardOf(plan: Steps, sigma: number): Guard {
  const comparisons = comparisonsOf(plan)
  const segments = segmentsOf(comparisons, sigma)
  if (segments.length === 0) return { sigma, signs: null }
  const fewest = Math.min(...segments.map(({ comparisons }) => comparisons))
  const widths = plan.steps.flatMap(({ activation }, i) => (comparisons[i] > 0 ? [activation!.bits] : []))
  const bits = Math.max(...widths)
  return { sigma, signs: { ...signSets(fewest, sigma), bits, chunks: [...chooseChunks(bits)] } }
}

/** log₂ of how likely the best deviation of one inference passes: of a sign, of a reply, of an upload. */
export function guardEpsilon(plan: Steps, { sigma, signs }: Guard): number {
  const ofSign = segmentsOf(comparisonsOf(plan), sigma).map(
    ({ comparisons }) => signs!.sets * Math.log2(comparisons + signs!.traps),
  )
  return -Math.min(...ofSign, sigma + 1)
}

/** Bytes that a helper keeps per registration to check uploads. */
const transposeBytes = (plan: MccPlan, { sigma }: Guard): number =>
  plan.steps.reduce((sum, _, tensor) => sum + elementCount(tensorShape(plan, tensor)) * 4 * (sigma + 1), 0)

/** Why a plan cannot be guarded so, one line each. */
export function guardProblems(plan: MccPlan, guard: Guard): string[] {
  const { sigma, signs } = guard
  const problems: string[] = []
  const comparisons = comparisonsOf(plan)
  const segments = segmentsOf(comparisons, sigma)
  if (plan.ring + sigma <= 32) problems.push(`sigma: words of ${plan.ring} + ${sigma} bits, more than 32 are due`)
  if (plan.input.bits > 31) problems.push(`the input has ${plan.input.bits} bits, a guarded one 31 at most`)
  const products = plan.steps.filter(({ product }) => product)
  problems.push(...products.map(({ id }) => `${id}: products of two private values have no guard yet`))
  const curves = plan.steps.filter(({ activation }) => activation?.curve)
  problems.push(...curves.map(({ id }) => `${id}: functions by segment tables have no guard yet`))
  const quadratics = plan.steps.filter(({ activation }) => activation?.quadratic)
  problems.push(...quadratics.map(({ id }) => `${id}: quadratic selects have no guard yet`))
  const pools = plan.steps.filter(({ activation }) => activation?.maxPool)
  problems.push(...pools.map(({ id }) => `${id}: maxima of three values have no guard yet`))
  const wins = plan.steps.filter(({ activation }) => activation?.wins)
  problems.push(...wins.map(({ id }) => `${id}: wins of all channels have no guard yet`))
  const windowed = plan.steps.filter(({ activation }) => (activation?.lo ?? 0) > 0)
  problems.push(...windowed.map(({ id }) => `${id}: its comparison ignores low bits, a guarded one reads all of them`))
  if ((signs === null) !== (segments.length === 0))
    problems.push('signs are compared once more exactly where there are any')
  const crowded = segments.filter(({ comparisons }) => comparisons + (signs?.traps ?? 0) > MAX_PLACES)
  problems.push(
    ...crowded.map(
      ({ last, comparisons }) =>
        `${plan.steps[last].id}: ${comparisons} comparisons would share an order, at most ${MAX_PLACES - 1} can`,
    ),
  )
  const { places } = ordersOf(comparisons, guard)
  if (places > MAX_ALL_PLACES)
    problems.push(`${places} comparisons would be made once more, at most ${MAX_ALL_PLACES} can: take a smaller input`)
  const bytes = transposeBytes(plan, guard)
  if (bytes > MAX_TRANSPOSE_BYTES) {
    const fits = Math.floor(MAX_TRANSPOSE_BYTES / (bytes / (sigma + 1))) - 1
    const advice = fits < MIN_SIGMA ? 'take a smaller input' : `take a smaller input, or a sigma of ${fits}`
    problems.push(
      `checking uploads would take ${Math.ceil(bytes / 2 ** 20)} MiB at the helper, at most ${MAX_TRANSPOSE_BYTES / 2 ** 20} are kept: ${advice}`,
    )
  }
  return problems
}

/** What a guard adds to a plan. */
export interface GuardSummary {
  /** log₂ of how likely the best deviation of one inference passes. */
  readonly epsilonLog2: number
  /** Comparisons that are made once more, in how many orders, and with which they make so many places. */
  readonly comparisons: number
  readonly orders: number
  readonly places: number
  /** What the helper keeps per registration to check uploads. */
  readonly helperBytes: number
  /** Why the plan cannot be guarded. */
  readonly problems: readonly string[]
}

/** Orders of all segments and sets, and their places. */
function ordersOf(comparisons: readonly number[], { sigma, signs }: Guard): { orders: number; places: number } {
  const { sets, traps } = signs ?? { sets: 0, traps: 0 }
  const orders = sets * segmentsOf(comparisons, sigma).length
  return { orders, places: sets * comparisons.reduce((sum, each) => sum + each, 0) + orders * traps }
}

/** What the guard that `compile` would choose adds to a plan. */
export function summarizeGuard(plan: MccPlan, sigma = DEFAULT_SIGMA): GuardSummary {
  const guard = guardOf(plan, sigma)
  const comparisons = comparisonsOf(plan)
  return {
    ...{ epsilonLog2: guardEpsilon(plan, guard), comparisons: comparisons.reduce((sum, each) => sum + each, 0) },
    ...ordersOf(comparisons, guard),
    ...{ helperBytes: transposeBytes(plan, guard), problems: guardProblems(plan, guard) },
  }
}
