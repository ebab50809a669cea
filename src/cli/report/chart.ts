// Line charts as SVG, narrow enough for a telephone: a logarithmic scale along x, the legend below, nothing clipped.
import { wrapped } from '../terminal/terminal.js'
import { charsIn, escaped, round, SERIES_COLORS, svgDocument, svgText, textWidth } from './svg.js'

export interface Point {
  readonly x: number
  /** 0 stands on the axis of a logarithmic scale. */
  readonly y: number
  /** Shown by browsers where the pointer rests. */
  readonly name?: string
  readonly hollow?: boolean
}

export interface Series {
  readonly name: string
  /** Joined by a line in the order of x. */
  readonly points: readonly Point[]
  /** Points of their own to be held against the line, as rings; without them the line's own points are marked. */
  readonly rings?: readonly Point[]
  /** Place in the palette. */
  readonly color: number
  readonly dashed?: boolean
}

export interface Chart {
  readonly title: string
  readonly xTitle: string
  readonly yTitle: string
  readonly series: readonly Series[]
  /** Where labels stand below; by default at 1, 2 and 5 of every decade. */
  readonly xTicks?: readonly number[]
  readonly formatX: (x: number) => string
  readonly formatY: (y: number) => string
  readonly yScale: 'logarithmic' | 'share'
  /** What marks mean, below the legend. */
  readonly note?: string
}

const WIDTH = 400
const PLOT_HEIGHT = 210
const MARGIN = 16
const LABEL = 12
const TITLE = 15
const LINE = 18
const MARK = 4

type Scale = (value: number) => number
interface Axis {
  readonly scale: Scale
  readonly ticks: readonly number[]
}

interface Panel {
  readonly height: number
  readonly body: readonly string[]
}

/** Every chart as a document of its own, for pages that arrange them. */
export const chartDocuments = (charts: readonly Chart[]): string[] =>
  charts.map((chart) => {
    const { height, body } = drawn(chart)
    return svgDocument(WIDTH, height, chart.title, body)
  })

/** One document, charts under each other. @param foot small print, each a line or more */
export function chartsDocument(title: string, charts: readonly Chart[], foot: readonly string[]): string {
  const heading = lines(title, 17)
  const body = heading.map((line, i) => svgText(MARGIN, 28 + 22 * i, line, { size: 17, bold: true }))
  let y = 28 + 22 * heading.length
  for (const chart of charts) {
    const panel = drawn(chart)
    body.push(`<g transform="translate(0 ${round(y)})">`, ...panel.body, '</g>')
    y += panel.height + 12
  }
  for (const line of foot.flatMap((text) => lines(text, 11))) {
    body.push(svgText(MARGIN, y, line, { size: 11, color: 'pale' }))
    y += 15
  }
  return svgDocument(WIDTH, y + 4, title, body)
}

const lines = (text: string, size: number): string[] => wrapped(text, charsIn(WIDTH - 2 * MARGIN, size)).split('\n')

function drawn(chart: Chart): Panel {
  const { series, formatX, formatY } = chart
  const points = series.flatMap(({ points, rings = [] }) => [...points, ...rings])
  const heading = lines(chart.title, TITLE)
  const top = 20 + 20 * heading.length + LINE
  const bottom = top + PLOT_HEIGHT
  const y = chart.yScale === 'share' ? shares(points, top, bottom) : magnitudes(points, top, bottom)
  const left = MARGIN + Math.max(...y.ticks.map((tick) => textWidth(formatY(tick), LABEL))) + 8
  const right = WIDTH - MARGIN
  const x = across(points, left, right, chart.xTicks)
  const placed = placedMarks(series, x.scale, y.scale)
  // Rings around marks on the axis reach below it: labels stand under them.
  const below = Math.max(bottom, ...placed.map(({ at, radius }) => at[1] + radius - MARK))
  const legend = legendLines(chart, below + 2 * LINE + 22)
  return {
    height: legend.end,
    body: [
      ...heading.map((line, i) => svgText(MARGIN, 18 + 20 * i, line, { size: TITLE, bold: true })),
      svgText(MARGIN, top - 18, chart.yTitle, { size: LABEL, color: 'pale' }),
      ...y.ticks.map((tick) => gridLine(left, right, y.scale(tick), formatY(tick))),
      ...labelsBelow(x, below, formatX),
      svgText((left + right) / 2, below + 2 * LINE, chart.xTitle, { size: LABEL, color: 'pale', anchor: 'middle' }),
      ...series.map((each) => joined(each, x.scale, y.scale)),
      ...placed.map(markShape),
      ...legend.body,
    ],
  }
}

function gridLine(left: number, right: number, y: number, label: string): string {
  const line = `<line x1="${round(left)}" x2="${right}" y1="${round(y)}" y2="${round(y)}" class="line-grid"/>`
  return line + svgText(left - 8, y + 4, label, { size: LABEL, color: 'pale', anchor: 'end' })
}

/** Labels that would touch the one before are left out; none leaves the picture. */
function labelsBelow({ scale, ticks }: Axis, bottom: number, format: (x: number) => string): string[] {
  let end = 0
  return ticks.flatMap((tick) => {
    const half = textWidth(format(tick), LABEL) / 2
    const at = Math.min(Math.max(scale(tick), half + 2), WIDTH - 2 - half)
    if (at - half < end + 6) return []
    end = at + half
    return [svgText(at, bottom + LINE, format(tick), { size: LABEL, color: 'pale', anchor: 'middle' })]
  })
}

const color = ({ color: place }: Series): string => `c${place % SERIES_COLORS}`
const dash = ({ dashed }: Series): string => (dashed ? ' stroke-dasharray="6 4"' : '')

function joined(series: Series, x: Scale, y: Scale): string {
  const corners = [...series.points]
    .sort((a, b) => a.x - b.x)
    .map((point) => `${round(x(point.x))},${round(y(point.y))}`)
  return `<polyline points="${corners.join(' ')}" fill="none" stroke-width="2" stroke-opacity="0.7" class="line-${color(series)}"${dash(series)}/>`
}

interface Mark {
  readonly series: Series
  readonly point: Point
  readonly at: readonly [x: number, y: number]
  readonly radius: number
  readonly isRing: boolean
}

/** Points that coincide stand around each other, the first in the middle: every one is seen. */
function placedMarks(all: readonly Series[], x: Scale, y: Scale): Mark[] {
  const taken: (readonly [number, number])[] = []
  return all.flatMap((series) =>
    (series.rings ?? series.points).map((point) => {
      const at = [round(x(point.x)), round(y(point.y))] as const
      const under = taken.filter(([a, b]) => Math.hypot(a - at[0], b - at[1]) < MARK).length
      taken.push(at)
      return { series, point, at, radius: MARK + 3.5 * under, isRing: under > 0 || series.rings !== undefined }
    }),
  )
}

function markShape({ series, point, at, radius, isRing }: Mark): string {
  const fill = isRing ? 'fill="none"' : ''
  const inside = isRing ? '' : point.hollow ? ' fill-paper' : ` fill-${color(series)}`
  const shape = `<circle cx="${at[0]}" cy="${at[1]}" r="${radius}" stroke-width="2" ${fill} class="line-${color(series)}${inside}">`
  return `${shape}<title>${escaped(point.name ?? series.name)}</title></circle>`
}

function legendLines({ series, note }: Chart, top: number): { body: string[]; end: number } {
  const body: string[] = []
  let [x, y] = [MARGIN, top]
  for (const each of series) {
    const width = 34 + textWidth(each.name, LABEL) + 14
    if (x > MARGIN && x + width > WIDTH - MARGIN) [x, y] = [MARGIN, y + LINE]
    const sample = `<line x1="${round(x)}" x2="${round(x + 26)}" y1="${y - 4}" y2="${y - 4}" stroke-width="2" class="line-${color(each)}"${dash(each)}/>`
    body.push(sample, svgText(x + 34, y, each.name, { size: LABEL }))
    x += width
  }
  for (const line of note === undefined ? [] : lines(note, 11)) {
    y += LINE
    body.push(svgText(MARGIN, y, line, { size: 11, color: 'pale' }))
  }
  return { body, end: y + 14 }
}

/** Doubling is a fixed distance. Ticks at 1, 2 and 5 of every decade, or, where that is none or one, at the ends. */
function across(points: readonly Point[], left: number, right: number, given?: readonly number[]): Axis {
  const values = points.map(({ x }) => x)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const span = Math.log(most / least)
  const room = 14
  const scale = (value: number) =>
    span === 0 ? (left + right) / 2 : left + room + (Math.log(value / least) / span) * (right - left - 2 * room)
  if (given) return { scale, ticks: given }
  const decades = Array.from({ length: 30 }, (_, i) => 10 ** (i - 12))
  const inside = decades.flatMap((d) => [d, 2 * d, 5 * d]).filter((tick) => tick >= least && tick <= most)
  return { scale, ticks: inside.length > 1 ? inside : [...new Set([least, most])] }
}

/** Whole decades, or 1, 2 and 5 of a single one; zero has a line of its own below them. */
function magnitudes(points: readonly Point[], top: number, bottom: number): Axis {
  const positive = points.map(({ y }) => y).filter((y) => y > 0)
  const exponents = positive.length === 0 ? [0] : positive.map(Math.log10)
  const least = Math.floor(Math.min(...exponents))
  const most = Math.max(least + 1, Math.ceil(Math.max(...exponents)))
  const zeros = points.some(({ y }) => y === 0)
  const floor = zeros ? bottom - 30 : bottom
  const scale = (value: number) =>
    value <= 0 ? bottom : floor - ((Math.log10(value) - least) / (most - least)) * (floor - top)
  const decades = Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i))
  // One decade alone says too little.
  const ticks = decades.length > 2 ? decades : [decades[0], 2 * decades[0], 5 * decades[0], decades[1]]
  return { scale, ticks: zeros ? [0, ...ticks] : ticks }
}

/** From a whole step below the lowest point to one above the highest. */
function shares(points: readonly Point[], top: number, bottom: number): Axis {
  const values = points.map(({ y }) => y)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (high - low) / size <= 6) ?? 0.2
  const first = Math.max(0, Math.floor(low / step - 0.5))
  const last = Math.min(Math.round(1 / step), Math.ceil(high / step + 0.5))
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
  return { scale: (value) => bottom - ((value / step - first) / (last - first)) * (bottom - top), ticks }
}
