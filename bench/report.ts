// Small pieces of every bench's report: medians, aligned tables, readable numbers.

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Columns as wide as their longest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)))
  const numeric = head.map((_, i) => rows.every((row) => /^[<>=≤≥ ]*[-\d]/.test(row[i]) || row[i] === ''))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(head), widths.map((w) => '─'.repeat(w)).join('  '), ...rows.map(line)].join('\n')
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
