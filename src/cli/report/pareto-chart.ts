// Accuracy against what an inference costs, as charts: one per cost, a line per choice of windows.
import type { ModelEvaluation, VariantRow } from '../../files/evaluate-model.js'
import { windowName } from '../../tune/evaluation/evaluate-network.js'
import { byteSize, type Column, count, duration } from '../terminal/terminal.js'
import { type Chart, chartDocuments, chartsDocument, type Series } from './chart.js'
import { type Circumstances, circumstancesWords } from './circumstances.js'
import { pageHtml } from './page.js'

export interface MadeEvaluation extends ModelEvaluation {
  readonly circumstances: Circumstances
}

export type EvaluationColumn = Column & { readonly cell: (row: VariantRow) => string }

export interface ParetoPoint {
  readonly x: number
  /** A share, 0 to 1. */
  readonly y: number
}

/** The points that no other point beats: none is at most as dear and at least as good. */
export function front<P extends ParetoPoint>(points: readonly P[]): readonly P[] {
  return points.filter((p) => !points.some((q) => q.x <= p.x && q.y >= p.y && (q.x < p.x || q.y > p.y)))
}

const titleOf = ({ network, images }: ModelEvaluation): string => `${network} on ${images}`

/** One document, a chart per cost. */
export const paretoSvg = (report: MadeEvaluation): string =>
  chartsDocument(titleOf(report), paretoCharts(report), footOf(report))

/** The same charts as a page, with their figures. */
export function paretoHtml(report: MadeEvaluation, columns: readonly EvaluationColumn[]): string {
  const table = {
    head: columns.map(({ head }) => head),
    rows: report.rows.map((row) => columns.map(({ cell }) => cell(row))),
    words: 2,
  }
  const charts = chartDocuments(paretoCharts(report))
  return pageHtml({ title: titleOf(report), charts, tables: [table], notes: footOf(report) })
}

/** How many pictures a share is of says how far it may be off: its standard error. */
function footOf({ rows, circumstances }: MadeEvaluation): string[] {
  const [{ float, reference }] = rows
  const error = (50 / Math.sqrt(reference.images)).toFixed(1)
  return [
    `float on ${count(float.images)} pictures, fixed point on ${count(reference.images)}: a share of these has a ` +
      `standard error of at most ${error} % of all pictures`,
    circumstancesWords(circumstances),
  ]
}

export function paretoCharts({ rows, labelled, profile }: ModelEvaluation): Chart[] {
  const chart = (title: string, xTitle: string, x: (row: VariantRow) => number, formatX: Chart['formatX']): Chart => ({
    ...{ title, xTitle, formatX, yScale: 'share', formatY: percent },
    // Where there are no classes, agreement with the plainest of what was evaluated: its own float network.
    yTitle: labelled ? 'correct, integer reference' : 'agreement of the integer reference with float',
    series: seriesOf(rows, labelled, x, formatX),
    note: 'filled: no other is as cheap and as good; rings around a point: others at the same place',
  })
  const charts = [
    chart('By comparisons', 'comparisons', ({ drelus }) => drelus, count),
    chart('By flights on line', 'flights', ({ flights }) => flights, count),
    chart('By bytes on line', 'bytes on line', (row) => row.onlineBytes, byteSize),
    chart(`By seconds on line, predicted (${profile})`, 'time on line', (row) => row.onlineSeconds, inTime),
  ]
  // What costs all the same is no choice; the first chart stays, whatever it shows.
  const chosenBy = ({ series }: Chart) => new Set(series.flatMap(({ points }) => points.map(({ x }) => x))).size > 1
  if (rows.length === 1) return charts
  const telling = charts.filter(chosenBy)
  return telling.length > 0 ? telling : charts.slice(0, 1)
}

const percent = (share: number): string => `${Number((100 * share).toFixed(2))} %`
const inTime = (seconds: number): string => duration(1000 * seconds)

function seriesOf(
  rows: readonly VariantRow[],
  labelled: boolean,
  x: (row: VariantRow) => number,
  formatX: Chart['formatX'],
): Series[] {
  const points = rows.map((row) => {
    const { correct, agreeing, images } = row.reference
    const y = (labelled ? correct! : agreeing) / images
    const series = windowName(row.windows)
    return { series, x: x(row), y, name: `${row.variant}, ${series}: ${percent(y)} at ${formatX(x(row))}` }
  })
  const best = new Set<ParetoPoint>(front(points))
  return [...new Set(points.map(({ series }) => series))].map((name, color) => ({
    name,
    color,
    points: points.filter(({ series }) => series === name).map((point) => ({ ...point, hollow: !best.has(point) })),
  }))
}
