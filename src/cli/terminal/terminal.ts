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

/** Columns on a terminal of `stream`; 100 where there is none. */
export function columnsOf(stream: Output): number {
  return stream.isTTY && stream.columns ? stream.columns : 100
}

export interface Column {
  readonly head: string
  /** Numbers stand to the right. Default left. */
  readonly align?: 'left' | 'right'
}

const width = (text: string): number => [...stripVTControlCharacters(text)].length

function padded(text: string, to: number, align: Column['align']): string {
  const gap = ' '.repeat(Math.max(0, to - width(text)))
  return align === 'right' ? gap + text : text + gap
}

/** Lines of a table whose columns are as wide as their longest cell; cells may be coloured. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string[] {
  const heads = columns.map(({ head }) => head)
  const widths = columns.map((_, i) => Math.max(...[heads, ...rows].map((row) => width(row[i]))))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => padded(cell, widths[i], columns[i].align))
      .join('  ')
      .trimEnd()
  return [paint('dim', line(heads)), ...rows.map(line)].map((text) => `  ${text}`)
}

/** Text broken at spaces so that no line is longer than `columns`, each line indented. */
export function wrapped(text: string, columns: number, indent = ''): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].map((each) => indent + each).join('\n')
}

/** Long texts keep their end, which tells pictures and layers apart better than their beginning. */
export const shortened = (text: string, most: number): string =>
  text.length <= most ? text : `…${text.slice(text.length - most + 1)}`

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
