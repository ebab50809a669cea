// What `plan --choices-table` shows: which option every choice takes.
import type { PlannedChoices } from '../../files/plans/plan-choices.js'
import { columnsOf, nextCommand, painter, quoted, tableLines, wrapped } from '../terminal/terminal.js'
import { costWords, distortionWords } from './plan-words.js'

export function choicesText(report: PlannedChoices, model: string): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const { network, objective, cost, summedCost, budget, plainCost, distortion, bound, keys, output, profile } = report
  const unit = (value: number) => costWords(objective, value)
  const summed = objective === 'drelus' ? '' : ` as a whole (${unit(summedCost)} summed over the choices, ${profile})`
  const rows = keys.map(({ key, option, op }) => [key, String(option), op])
  return [
    wrapped(
      `${paint('bold', network)}: ${unit(cost)}${summed}, at most ${unit(budget)} allowed; ${unit(plainCost)} with the dearest options`,
      width,
    ),
    ...tableLines(
      [
        { head: 'choice', shrinks: 'middle' },
        { head: 'option', align: 'right' },
        { head: 'op', shrinks: 'end' },
      ],
      rows,
      paint,
      width,
    ),
    wrapped(distortionWords(distortion, bound), width, '  '),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(`cost ${quoted(model)} --choices ${quoted(output)}`, 'bytes and seconds of an inference', paint),
    '',
  ].join('\n')
}
