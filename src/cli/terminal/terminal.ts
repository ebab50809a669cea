// What a terminal shows: colours only where one looks, aligned tables, readable numbers.
import type { WriteStream } from 'node:tty'
import { stripVTControlCharacters, styleText } from 'node:util'

export type Output = Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number }
export type Format = Parameters<typeof styleText>[0]
export type Paint = (format: Format, text: string) => string

/** Colours for a terminal; plain text for files, pipes and under NO_COLOR (https://no-color.org). */
export function painter(stream: Output, env = process.env): Paint {
  const coloured = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (format, text) => (coloured ? styleText(format, text, { validateStream: false }) : text)
}

/** Columns on a terminal of `stream`; 80 where there is none, so that a log reads on any. */
export function columnsOf(stream: Output): number {
  return stream.isTTY && stream.columns ? stream.columns : 80
}

export interface Column {
  readonly head: string
  /** Numbers stand to the right. Default left. */
  readonly align?: 'left' | 'right'
  /** Left out where the table is too wide, the last such column first. */
  readonly optional?: boolean
  /** Cells that are shortened where the table is still too wide: names in their middle, lists at their end. */
  readonly shrinks?: 'middle' | 'end'
}

const width = (text: string): number => [...stripVTControlCharacters(text)].length

function padded(text: string, to: number, align: Column['align']): string {
  const gap = ' '.repeat(Math.max(0, to - width(text)))
  return align === 'right' ? gap + text : text + gap
}

const INDENT = '  '
const GAP = '  '
/** A shortened cell keeps this much. */
const LEAST_CELL = 10

/**
 * Lines of a table whose columns are as wide as their longest cell; cells may be coloured.
 * @param most columns of the terminal, which the table fits into as far as its columns allow
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
  most = Number.POSITIVE_INFINITY,
): string[] {
  const widthOf = (i: number) => Math.max(...[columns.map(({ head }) => head), ...rows].map((row) => width(row[i])))
  const widths = columns.map((_, i) => widthOf(i))
  let shown = columns.map((_, i) => i)
  const excess = () => shown.reduce((sum, i) => sum + widths[i] + GAP.length, INDENT.length - GAP.length) - most
  for (const i of shown.filter((i) => columns[i].optional).reverse()) {
    if (excess() > 0) shown = shown.filter((other) => other !== i)
  }
  const shrinking = shown.filter((i) => columns[i].shrinks)
  for (let over = excess(); over > 0 && shrinking.length > 0; over--) {
    const widest = shrinking.reduce((a, b) => (widths[b] > widths[a] ? b : a))
    if (widths[widest] <= LEAST_CELL) break
    widths[widest]--
  }
  const cells = columns.map(({ shrinks }, i) => {
    const column = rows.map((row) => row[i])
    if (column.every((cell) => width(cell) <= widths[i])) return column
    const plain = column.map(stripVTControlCharacters)
    return shrinks === 'end' ? plain.map((cell) => begun(cell, widths[i])) : shortenedAlike(plain, widths[i])
  })
  const line = (cell: (i: number) => string) =>
    shown
      .map((i) => padded(cell(i), widths[i], columns[i].align))
      .join(GAP)
      .trimEnd()
  const head = line((i) => begun(columns[i].head, widths[i]))
  return [paint('dim', head), ...rows.map((_, row) => line((i) => cells[i][row]))].map((text) => INDENT + text)
}

/** The program as a shell finds it in a clone, in a project that has it, and where it is installed for all. */
export const PROGRAM = 'npx ringfence'
/** Where a flag begins, outside of quotes. */
const BEFORE_FLAGS = / (?=--[a-z](?:[^']*'[^']*')*[^']*$)/
const CONTINUED = ' \\'

/**
 * The command to type next, and what it does where there is room for that. One that is too long goes on in further
 * lines, as a shell takes them.
 */
export function nextCommand(command: string, does: string, paint: Paint, most = columnsOf(process.stdout)): string {
  const [first, ...flags] = command.split(BEFORE_FLAGS)
  const lines = [`  ${paint('dim', 'next')} ${PROGRAM} ${first}`]
  for (const flag of flags) {
    const longer = `${lines[lines.length - 1]} ${flag}`
    if (width(longer) + CONTINUED.length <= most) lines[lines.length - 1] = longer
    else lines.push(`  ${flag}`)
  }
  const [line] = lines
  if (lines.length > 1 || width(line) + 2 + width(does) > most) return lines.join(`${CONTINUED}\n`)
  return `${line}  ${paint('dim', does)}`
}

/** An argument as a shell takes it. */
export const quoted = (argument: string): string =>
  /^[\w./:@%+=,-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`

/** A number and its unit stand on one line. */
const BETWEEN_WORDS = /(?<!(?:^|[ (])[-+≤≥<>]?(?:\d[\d.,]*)?\d) /

/** Text broken at spaces so that no line is longer than `columns`, each line indented. */
export function wrapped(text: string, columns: number, indent = ''): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(BETWEEN_WORDS)) {
    if (line !== '' && indent.length + width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].map((each) => indent + each).join('\n')
}

/** Where a word of a name begins or ends: before or behind a sign, or between a letter and a digit. */
const isBreak = (name: string, at: number): boolean => /[^a-z0-9]|[a-z][0-9]/i.test(name.slice(at - 1, at + 1))

/**
 * A name without its middle, and no word cut: of what is left it keeps the most, and of its ends as much as `bias` says.
 * Undefined where two thirds would go that there is room for. Words of a sentence may go to its end.
 */
function wholeWords(name: string, most: number, bias: (front: number, back: number) => number): string | undefined {
  const word = /[a-z0-9]/i
  const places = Array.from({ length: name.length - 1 }, (_, i) => i + 1).filter((at) => isBreak(name, at))
  const backs = places.filter((at) => word.test(name[at]))
  const kept = places
    .filter((at) => word.test(name[at - 1]))
    .flatMap((front) => (name.includes(' ') ? [...backs, name.length] : backs).map((at) => [front, name.length - at]))
    .filter(([front, back]) => front + back < most && 3 * (front + back) >= most - 1)
  const worth = ([front, back]: number[]) => 2 * (front + back) + bias(front, back)
  const [best] = kept.sort((a, b) => worth(b) - worth(a))
  return best && `${name.slice(0, best[0])}…${name.slice(name.length - best[1])}`
}

/**
 * Names without their middles. Whole words where they stay apart; else all cut at the same places: where most of them stay
 * apart, then where words begin or end, then as near to the middle as can be. `layer1.0.relu_1` becomes `layer1.0…1` beside
 * `layer1.0.relu_2`.
 */
export function shortenedAlike(names: readonly string[], most: number): string[] {
  const long = names.filter((name) => name.length > most)
  const cutAt = (front: number) => (name: string) =>
    name.length <= most ? name : `${name.slice(0, front)}…${name.slice(name.length - (most - 1 - front))}`
  const breaksAt = (front: number) =>
    long.reduce((sum, name) => {
      return sum + Number(isBreak(name, front)) + Number(isBreak(name, name.length - (most - 1 - front)))
    }, 0)
  const fronts = Array.from({ length: Math.max(1, most - 2) }, (_, i) => i + 1)
  const apart = (cut: (name: string) => string) => new Set(names.map(cut)).size
  const worth = fronts.map((front) => {
    return {
      front,
      apart: apart(cutAt(front)),
      breaks: breaksAt(front),
      off: Math.abs(front - Math.floor((most - 1) / 2)),
    }
  })
  const [best] = worth.sort((a, b) => b.apart - a.apart || b.breaks - a.breaks || a.off - b.off)
  const biases = [(a: number, b: number) => -Math.abs(a - b), (a: number) => a, (_: number, b: number) => b]
  const whole = biases.map((bias) => (name: string) => {
    return name.length <= most ? name : (wholeWords(name, most, bias) ?? cutAt(best.front)(name))
  })
  return names.map(whole.find((cut) => apart(cut) >= best.apart) ?? cutAt(best.front))
}

export const shortened = (name: string, most: number): string => shortenedAlike([name], most)[0]

/** What is told apart by how it begins. */
export function begun(text: string, most: number): string {
  if (text.length <= most) return text
  const words = text.slice(0, most).replace(/[^a-z0-9)]+[^ ]*$/i, '')
  return `${2 * words.length >= most ? words : text.slice(0, most - 1)}…`
}

/** `1,234,567` */
export const count = (value: number): string => value.toLocaleString('en-US')

/** `1 picture`, `3 pictures` */
export const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** `512 B`, `4.2 kB`, `1.30 MB`: decimal units. */
export function byteSize(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`
  return bytes < 999_950 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`
}

/** `8.3 ms`, `240 ms`, `2.31 s` */
export function duration(ms: number): string {
  if (ms < 99.95) return `${ms.toFixed(1)} ms`
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
