// From the distortion of every option and a budget to a choices file: which option every choice of a network takes.
import { RingfenceError } from '../../errors.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import { type Choices, keyFault } from '../../model/choices.js'
import { countNetwork } from '../../model/count.js'
import { type Json, quote } from '../../model/json/fields.js'
import { parseObject } from '../../model/json/file.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type PredictOptions, predict } from '../cost/predict.js'
import { shapePlan } from '../cost/shape-plan.js'
import { onlineBytes } from '../cost/spec-cost.js'
import { type KnapsackOptions, knapsackProblem, solveKnapsack } from '../knapsack/knapsack.js'
import { shortened } from '../knapsack/problem.js'
import type { ChoiceTable } from './choice-table.js'
import { whole } from './relu-moves.js'
import { type Budget, budgetOf, NANOSECONDS, type Objective } from './relu-plan.js'

/** What is counted, how much of it may be spent, and how it is predicted. */
export interface ChoicePlanOptions extends Pick<KnapsackOptions, 'signal'> {
  /** Comparisons when not given; or on-line bytes over all links or on-line seconds, as predicted. */
  readonly objective?: Objective['kind']
  /** As a number, or as a share of what the network costs with the dearest option of every choice. */
  readonly budget: Budget
  /** For bytes and seconds: lines and machines. */
  readonly network?: PredictOptions
  readonly compile?: CompileOptions
  /** The architecture file's name, for messages. */
  readonly source?: string
  /** Told which share of the predictions is made. */
  readonly onProgress?: (done: number) => void
}

/** Options within a budget, and how good they are. */
export interface ChoicePlan {
  /** To be written as it is: the flat file that a network's `choices` are. */
  readonly choices: Choices
  readonly unit: Objective['kind']
  readonly budget: number
  /** Of the network that takes these options, in the objective's unit: counted or predicted as a whole. */
  readonly cost: number
  /**
   * What the search took it for: the sum over the choices. The same for comparisons, which add up; bytes and seconds
   * are differences around the network whose every choice takes its first option, and one may change the other's.
   */
  readonly summedCost: number
  /** With the dearest option of every choice, summed. */
  readonly plainCost: number
  /** Summed distortion of the options. */
  readonly distortion: number
  /** No options whose summed cost is within the budget have less. */
  readonly bound: number
  readonly keys: readonly { readonly key: string; readonly option: number; readonly op: string }[]
}

/** Searches that are made anew because what was found costs more as a whole than as a sum. */
const ROUNDS = 8

/**
 * The options of least summed distortion within a budget, proven by the exact knapsack over summed costs. When they cost
 * more as a whole than the budget allows, the budget of the sum is lowered by as much and they are searched again.
 * @param json an `arch/1` file with choices, or its text; choices it makes itself do not count
 * @throws RingfenceError BAD_FILE as `parseArchitecture`; BAD_INPUT with every problem: a table of another network, keys or
 *   options that the network or the table does not have, a budget below the cheapest possible; ABORTED by `signal`
 */
export async function planChoices(json: unknown, table: ChoiceTable, options: ChoicePlanOptions): Promise<ChoicePlan> {
  const { objective = 'drelus', source = 'arch.json', signal } = options
  const { expect: _, ...file } = parseObject(json, source)
  const keys = keysOf(file, table, source)
  const network = (option: readonly number[]) => parseArchitecture(file, source, choicesOf(keys, option))
  const unit = objective === 'seconds' ? NANOSECONDS : 1
  const cost = (option: readonly number[]) => whole(costOf(network(option), options), unit)
  const { rest, candidates } = await optionCosts(keys, table, cost, options)
  const plainCost = candidates.reduce((sum, list) => sum + Math.max(...list.map((own) => own.cost)), rest)
  const budget = budgetOf(options.budget, plainCost, unit)
  refuseBudget(budget, rest, unit, objective)
  let limit = budget - rest
  let bound = Number.NEGATIVE_INFINITY
  for (let round = 0; round < ROUNDS && limit >= 0; round++) {
    const solution = (await solveKnapsack(knapsackProblem(candidates, limit), signal ? { signal } : {}))!
    // Of the first round: the others leave out what the budget allows.
    if (round === 0) bound = solution.value
    const option = [...solution.choice]
    const exact = cost(option)
    if (exact > budget) {
      limit = Math.min(limit, solution.cost) - (exact - budget)
      continue
    }
    return {
      ...{ choices: choicesOf(keys, option), unit: objective, budget: budget / unit, cost: exact / unit },
      ...{ summedCost: (solution.cost + rest) / unit, plainCost: plainCost / unit },
      ...{ distortion: solution.value, bound },
      keys: keys.map(({ key, of }, k) => ({ key, option: option[k], op: of[option[k]] })),
    }
  }
  const text = `found no options that cost at most ${budget / unit} ${objective} as a whole, though their sums do`
  throw new RingfenceError('BAD_INPUT', 'no options can be planned:', [`budget: ${text}; allow more`])
}

/** A choice of the network, with the names of its options. */
interface Key {
  readonly key: string
  readonly of: readonly string[]
}

const choicesOf = (keys: readonly Key[], option: readonly number[]): Choices =>
  Object.fromEntries(keys.map(({ key }, k) => [key, option[k]]))

/** The network's choices, in its order, all of which the table knows. */
function keysOf(file: Json, table: ChoiceTable, source: string): readonly Key[] {
  const problems: string[] = []
  const first = Object.fromEntries([...table.choices.keys()].map((key) => [key, 0]))
  const isShort = Object.hasOwn(file, 'family') && !Object.hasOwn(file, 'layers')
  // A short file expands only with all its choices made; an explicit one may leave them open.
  const arch = parseArchitecture(isShort ? file : { ...file, choices: {} }, source, isShort ? first : undefined)
  if (table.network !== undefined && table.network !== arch.name) {
    problems.push(`the table is of network ${quote(table.network)}, not of ${quote(arch.name)}`)
  }
  const known = new Map<string, readonly string[]>()
  for (const layer of arch.layers) {
    if (layer.op !== 'choice') continue
    const of = layer.of.map(({ op }) => op)
    const before = known.get(layer.key)
    if (!before || of.length < before.length) known.set(layer.key, of)
  }
  if (known.size === 0) problems.push(`network ${quote(arch.name)} has no choices`)
  const fault = known.size === 0 ? undefined : keyFault([...known.keys()], first)
  if (fault) problems.push(`choices: ${fault}`)
  for (const [key, of] of known) {
    const given = table.choices.get(key)?.length
    if (given === undefined || given === of.length) continue
    problems.push(`choices[${quote(key)}]: expected ${of.length} distortions (${of.join(', ')}), got ${given}`)
  }
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'no options can be planned:', shortened(problems))
  return [...known].map(([key, of]) => ({ key, of }))
}

function costOf(arch: Architecture, { objective = 'drelus', network, compile }: ChoicePlanOptions): number {
  if (objective === 'drelus') return countNetwork(arch).drelus
  if (!network) throw new RingfenceError('BAD_INPUT', `network: expected a profile to predict ${objective}, got none`)
  const prediction = predict(shapePlan(arch, undefined, compile), network)
  return objective === 'bytes' ? onlineBytes(prediction) : prediction.total.seconds.online
}

/** Per key and option, what it costs above the key's cheapest; `rest` is all else. */
async function optionCosts(
  keys: readonly Key[],
  table: ChoiceTable,
  cost: (option: readonly number[]) => number,
  { signal, onProgress }: ChoicePlanOptions,
) {
  const none = keys.map(() => 0)
  const base = cost(none)
  let rest = base
  const candidates: { cost: number; value: number }[][] = []
  for (const [k, { key, of }] of keys.entries()) {
    onProgress?.(k / keys.length)
    await new Promise((resolve) => setTimeout(resolve, 0))
    if (signal?.aborted) throw new RingfenceError('ABORTED', 'predicting costs was aborted by the caller')
    const over = of.map((_, option) => (option === 0 ? 0 : cost(none.with(k, option)) - base))
    const least = Math.min(...over)
    rest += least
    const values = table.choices.get(key)!
    candidates.push(over.map((own, option) => ({ cost: own - least, value: values[option] })))
  }
  return { rest, candidates }
}

function refuseBudget(budget: number, rest: number, unit: number, objective: Objective['kind']): void {
  const problem =
    !Number.isFinite(budget) || budget < 0
      ? `expected a number >= 0, got ${budget / unit}`
      : `the cheapest possible options cost ${rest / unit} ${objective}, ${(rest - budget) / unit} more than ${budget / unit}`
  if (budget >= rest && Number.isFinite(budget)) return
  throw new RingfenceError('BAD_INPUT', 'no options can be planned:', [`budget: ${problem}`])
}
