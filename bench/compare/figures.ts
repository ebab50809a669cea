// The charts of a comparison: bytes, time and error against compared bits, every back end in each.
import type { Chart, Point, Series } from '../../src/cli/report/chart.js'
import { backendsOf, bestRows, type CompareRow, type Comparison, offlineBytes, onlineBytes } from './rows.js'

const COLORS = { whole: 0, client: 1, server: 2, helper: 3 } as const

interface Quantity {
  readonly name: string
  readonly color: number
  /** Undefined where a row has none. */
  readonly value: (row: CompareRow) => number | undefined
  /** What was measured, where `value` is predicted. */
  readonly measured?: (row: CompareRow) => number | undefined
}

const compact = (value: number): string =>
  value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)))

/** Comparisons alone, for every back end the best shape of each bit count; later back ends in broken lines. */
function lines(rows: readonly CompareRow[], best: 'bytes' | 'time', quantities: readonly Quantity[]): Series[] {
  const backends = backendsOf(rows)
  return backends.flatMap((backend, b) => {
    const mine = bestRows(rows, backend, best)
    const drawn = quantities.map(({ name, color, value, measured }) => {
      const whole = backends.length > 1 ? `${backend}: ${name}` : name
      const points = (of: Quantity['value']): Point[] =>
        mine.flatMap((row) => {
          const y = of(row)
          return y === undefined ? [] : [{ x: row.bits, y, name: `${whole}, ${row.bits} bits: ${compact(y)}` }]
        })
      return { name: whole, color, dashed: b > 0, points: points(value), ...(measured && { rings: points(measured) }) }
    })
    return drawn.filter((series) => series.points.length > 0)
  })
}

export function charts({ rows }: Comparison): Chart[] {
  const bits = [...new Set(rows.map((row) => row.bits))].sort((a, b) => a - b)
  const shared = { xTitle: 'compared bits', xTicks: bits, formatX: String, yScale: 'logarithmic' } as const
  return [
    {
      ...shared,
      title: 'Bytes per comparison, all links; the shape of fewest bytes',
      yTitle: 'bytes',
      formatY: compact,
      series: lines(rows, 'bytes', [
        { name: 'on line', color: COLORS.whole, value: (row) => onlineBytes(row) / row.elements },
        { name: 'off line', color: COLORS.client, value: (row) => offlineBytes(row) / row.elements },
      ]),
    },
    {
      ...shared,
      title: 'Time per comparison on line, three parties together; the fastest shape',
      yTitle: 'nanoseconds',
      formatY: compact,
      series: lines(rows, 'time', [
        { name: 'end to end', color: COLORS.whole, value: (row) => 1e9 / row.endToEnd.perSecond },
      ]),
    },
    {
      ...shared,
      title: 'Work of each party per comparison, the helper’s dealing included; the fastest shape',
      yTitle: 'nanoseconds',
      formatY: compact,
      series: lines(rows, 'time', [
        { name: 'client', color: COLORS.client, value: (row) => row.local.clientNs },
        { name: 'server', color: COLORS.server, value: (row) => row.local.serverNs },
        { name: 'helper', color: COLORS.helper, value: (row) => row.local.helperNs },
      ]),
    },
    {
      ...shared,
      title: 'Wrong signs: predicted (lines) and measured (rings)',
      yTitle: 'share of values',
      formatY: (y) => `${compact(y * 100)} %`,
      series: lines(rows, 'bytes', [
        {
          ...{ name: 'uniform values', color: COLORS.whole },
          value: ({ wrongSign }) => wrongSign.predicted,
          measured: ({ wrongSign }) => wrongSign.measured,
        },
        {
          ...{ name: 'ResNet-20 layer', color: COLORS.client },
          value: ({ wrongSign }) => wrongSign.layer?.predicted,
          measured: ({ wrongSign }) => wrongSign.layer?.measured,
        },
      ]),
    },
  ]
}
