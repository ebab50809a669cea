// Small pieces of every bench's report: medians, aligned tables, readable numbers.
import { type Column, columnsOf, type Paint, tableLines } from '../src/cli/terminal/terminal.js'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Median absolute deviation from the median: half of the values are no further from it. */
export function deviation(values: readonly number[]): number {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

const bare: Paint = (_, text) => text

/** Columns as wide as their longest cell, the first shortened where the terminal is too narrow; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = head.map((text, i): Column => {
    const numeric = rows.every((row) => /^[<>=≤≥ ]*[-\d]/.test(row[i]) || row[i] === '')
    return { head: text, align: numeric ? 'right' : 'left', ...(i === 0 && { shrinks: 'middle' }) }
  })
  return tableLines(columns, rows, bare, columnsOf(process.stdout)).join('\n')
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`
export const milliseconds = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 1)} ms`

/** What a row of CSV has: nested fields become dotted names, and null is nothing. */
export function flat(row: object): Record<string, string> {
  const cells = (value: object, prefix: string): [string, string][] =>
    Object.entries(value).flatMap(([key, part]) => {
      if (part === null) return []
      return typeof part === 'object' ? cells(part, `${prefix}${key}.`) : [[`${prefix}${key}`, String(part)]]
    })
  return Object.fromEntries(cells(row, ''))
}
