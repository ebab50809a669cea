// Plans the choices of a network by the file of their distortions, and writes the choices file.
import { networkProfiles } from '../../net/index.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type ChoicePlan, planChoices } from '../../tune/allocation/choice-plan.js'
import { parseChoiceTable } from '../../tune/allocation/choice-table.js'
import type { Budget, Objective } from '../../tune/allocation/relu-plan.js'
import type { OnStage } from '../../tune/progress.js'
import { readArchitectureFile, readJson } from '../architecture-file.js'
import { requireWritable, writeText } from '../whole-files.js'

/** Which network, within which budget. */
export interface PlanChoicesOptions {
  /** An architecture's file, a model's folder, or the name of a packaged model. */
  readonly model: string
  /** The file of the choices table. */
  readonly table: string
  readonly budget: Budget
  /** What the budget counts; default `drelus`. */
  readonly objective?: Objective['kind']
  /** Default `choices.json`. */
  readonly output?: string
  /** Overwrites what is there. */
  readonly force?: boolean
  /** Of predictions; default `wan60`. */
  readonly network?: keyof typeof networkProfiles
  readonly compile?: CompileOptions
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
}

/** What was chosen, what it costs and changes. */
export interface PlannedChoices extends Omit<ChoicePlan, 'unit'> {
  readonly network: string
  readonly output: string
  readonly table: string
  readonly objective: Objective['kind']
  /** Of bytes and seconds: on which network. */
  readonly profile: string | null
}

/**
 * Finds the choices of least distortion within a budget, and writes a choices file.
 * @throws RingfenceError BAD_INPUT for an output that is there, or as `planChoices`; BAD_FILE for files that cannot be
 *   read; ABORTED by `signal`
 */
export async function planModelChoices(options: PlanChoicesOptions): Promise<PlannedChoices> {
  const { model, budget, output = 'choices.json', force = false, objective = 'drelus', network = 'wan60' } = options
  const { compile = {}, signal, onProgress } = options
  await requireWritable([output], force)
  const file = await readArchitectureFile(model)
  const tableFile = await readJson(options.table)
  const table = parseChoiceTable(tableFile.json, tableFile.path)
  const { unit: _, ...plan } = await planChoices(file.json, table, {
    ...{ objective, budget, compile, signal, source: file.path, network: { profile: networkProfiles[network] } },
    onProgress: (done) => onProgress?.({ stage: 'predicting what each option costs', done }),
  })
  await writeText(output, `${JSON.stringify(plan.choices)}\n`, force)
  const profile = objective === 'drelus' ? null : network
  return { network: String(file.json.name), output, table: tableFile.path, objective, profile, ...plan }
}
