// How every command works: a bar while it does, Ctrl-C that calls it off, and its report as text or as one line of JSON.
import type { OnStage } from '../../tune/progress.js'
import { circumstances } from '../report/circumstances.js'
import { type Cell, csv } from '../report/csv.js'
import type { Flags } from './arguments.js'
import { interruptible } from './interrupt.js'
import { ProgressBar } from './progress-bar.js'
import { Remaining } from './remaining.js'

export interface Work {
  readonly signal: AbortSignal
  readonly onProgress: OnStage
}

/**
 * Does the work and prints its report.
 * @param text the report for people
 * @param json the report for machines, where it is not the report itself
 * @param table the report for spreadsheets, of a command with `CSV_FLAG`; when and where it was made is in every row, and in the JSON
 * @returns the report
 */
export async function printed<R>(
  flags: Flags,
  work: (how: Work) => Promise<R>,
  text: (report: R) => string,
  json: (report: R) => unknown = (report) => report,
  table?: (report: R) => readonly Readonly<Record<string, Cell>>[],
): Promise<R> {
  if (flags.on('json') && flags.on('csv')) flags.fault('expected one of --json and --csv')
  flags.check()
  const bar = new ProgressBar()
  try {
    const report = await interruptible((signal) => work({ signal, onProgress: stagesOn(bar) }))
    bar.clear()
    const made = table && circumstances()
    // What the report says itself of when it was made holds.
    if (flags.on('json')) process.stdout.write(`${JSON.stringify({ ...made, ...(json(report) as object) })}\n`)
    else
      process.stdout.write(
        table && flags.on('csv') ? csv(table(report).map((row) => ({ ...row, ...made }))) : text(report),
      )
    return report
  } finally {
    bar.clear()
  }
}

/** Shows each stage with how long it will still take. */
export function stagesOn(bar: Pick<ProgressBar, 'update'>): OnStage {
  let current: string | undefined
  let remaining = new Remaining()
  return ({ stage, done, detail = '' }) => {
    if (stage !== current) remaining = new Remaining()
    current = stage
    bar.update(done, stage, [detail, remaining.text(done)].filter(Boolean).join('  '))
  }
}
