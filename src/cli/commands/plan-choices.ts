// `ringfence plan --choices-table`: the choices file of least distortion within a budget.

import { readArchitectureFile, readJson } from '../../files/architecture-file.js'
import { requireNew, writeWhole } from '../../files/whole-files.js'
import { networkProfiles } from '../../net/index.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type ChoicePlan, planChoices } from '../../tune/allocation/choice-plan.js'
import { parseChoiceTable } from '../../tune/allocation/choice-table.js'
import type { Budget, Objective } from '../../tune/allocation/relu-plan.js'
import { costWords, distortionWords } from '../report/plan-words.js'
import type { ProgressBar } from '../terminal/progress-bar.js'
import { painter, tableLines } from '../terminal/terminal.js'

export interface ChoicesOrder {
  readonly model: string
  readonly table: string
  readonly budget: Budget
  readonly objective: Objective['kind']
  readonly output: string
  readonly force: boolean
  readonly network: keyof typeof networkProfiles
  readonly compile: CompileOptions
}

export interface ChoicesReport extends Omit<ChoicePlan, 'unit'> {
  readonly network: string
  readonly output: string
  readonly table: string
  readonly objective: Objective['kind']
  /** Of bytes and seconds: on which network. */
  readonly profile: string | null
}

/** Searches the options and writes the file. */
export async function planChoicesFile(
  order: ChoicesOrder,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<ChoicesReport> {
  const { model, output, force, budget, objective, network, compile } = order
  if (!force) await requireNew([output])
  const file = await readArchitectureFile(model)
  const tableFile = await readJson(order.table)
  const table = parseChoiceTable(tableFile.json, tableFile.path)
  const { unit: _, ...plan } = await planChoices(file.json, table, {
    ...{ objective, budget, compile, signal, source: file.path, network: { profile: networkProfiles[network] } },
    onProgress: (done) => bar.update(done, 'predicting what each option costs'),
  })
  const bytes = new TextEncoder().encode(`${JSON.stringify(plan.choices)}\n`)
  await writeWhole([{ path: output, bytes }], force)
  const profile = objective === 'drelus' ? null : network
  return { network: String(file.json.name), output, table: tableFile.path, objective, profile, ...plan }
}

export function choicesText(report: ChoicesReport): string {
  const paint = painter(process.stdout)
  const { network, objective, cost, summedCost, budget, plainCost, distortion, bound, keys, output, profile } = report
  const unit = (value: number) => costWords(objective, value)
  const summed = objective === 'drelus' ? '' : ` as a whole (${unit(summedCost)} summed over the choices, ${profile})`
  const rows = keys.map(({ key, option, op }) => [key, String(option), op])
  return [
    `${paint('bold', network)}: ${unit(cost)}${summed} of ${unit(budget)} allowed; ${unit(plainCost)} with the dearest options`,
    ...tableLines([{ head: 'choice' }, { head: 'option', align: 'right' }, { head: 'op' }], rows, paint),
    `  ${distortionWords(distortion, bound)}`,
    `  ${paint('green', '→')} ${output}`,
    '',
  ].join('\n')
}
