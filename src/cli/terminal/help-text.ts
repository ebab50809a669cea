// `--help`, of the program and of each command.
import { COMMON_FLAGS, type Command, type FlagDefinitions } from './arguments.js'
import { columnsOf, type Output, type Paint, painter, wrapped } from './terminal.js'

export function programHelp(commands: readonly Pick<Command, 'name' | 'summary'>[], out: Output): string {
  const paint = painter(out)
  const rows = commands.map(({ name, summary }) => [name, summary] as const)
  const what =
    "private neural-network inference. A client's image, a server's network, neither shows the other its secret."
  return [
    wrapped(`${paint('bold', 'ringfence')}: ${what}`, columnsOf(out)),
    '',
    `${paint('bold', 'usage')}  ringfence COMMAND [--help] [--json] …`,
    '',
    ...listed(rows, columnsOf(out), paint),
    '',
  ].join('\n')
}

export function commandHelp(command: Omit<Command, 'run'>, out: Output): string {
  const { name, summary, operands, flags, notes = [] } = command
  const paint = painter(out)
  const columns = columnsOf(out)
  const rows = Object.entries({ ...flags, ...COMMON_FLAGS } as FlagDefinitions).map(([flag, definition]) => {
    const hint = definition.valueHint ? ` ${definition.valueHint}` : ''
    return [`--${flag}${hint}`, definition.description] as const
  })
  return [
    wrapped(summary, columns),
    '',
    `${paint('bold', 'usage')}  ringfence ${name} [flags]${operands ? ` ${operands}` : ''}`,
    '',
    ...listed(rows, columns, paint),
    ...(notes.length > 0 ? ['', ...notes.map((note) => wrapped(note, columns))] : []),
    '',
  ].join('\n')
}

/** Terms and what they mean, as two columns. */
export function listed(rows: readonly (readonly [string, string])[], columns: number, paint: Paint): string[] {
  const indent = 4 + Math.max(...rows.map(([term]) => term.length))
  return rows.map(([term, text]) => {
    const body = wrapped(text, columns, ' '.repeat(indent)).slice(indent)
    return `  ${paint('cyan', term)}${' '.repeat(indent - 2 - term.length)}${body}`
  })
}
