// A table for spreadsheets: RFC 4180, a full stop as decimal sign, a missing value as nothing.

export type Cell = string | number | boolean | null | undefined

const cellOf = (cell: Cell): string => {
  const text = String(cell ?? '')
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** A line of names, then one per row: of all fields that any row has. */
export function csv(rows: readonly Readonly<Record<string, Cell>>[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [names, ...rows.map((row) => names.map((name) => row[name]))]
  return lines.map((line) => `${line.map(cellOf).join(',')}\n`).join('')
}
