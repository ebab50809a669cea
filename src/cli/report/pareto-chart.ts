// Accuracy against what an inference costs, as SVG: one panel per cost, a line per choice of windows.

export interface ParetoPoint {
  /** Points of one series are joined by a line. */
  readonly series: string
  readonly name: string
  readonly x: number
  /** A share, 0 to 1. */
  readonly y: number
}

export interface ParetoPanel {
  readonly title: string
  readonly points: readonly ParetoPoint[]
  readonly format: (x: number) => string
}

const WIDTH = 960
const HEIGHT = 340
const [LEFT, RIGHT, TOP, BOTTOM] = [70, 210, 44, 48]
const FONT = 'font-family="system-ui, Helvetica, Arial, sans-serif"'
const COLORS = ['#2563eb', '#d97706', '#059669', '#dc2626', '#7c3aed', '#0891b2']
const [INK, PALE, GRID] = ['#1f2937', '#6b7280', '#e5e7eb']

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
const round = (x: number) => Math.round(x * 10) / 10

/** One SVG document, panels under each other. */
export function paretoSvg(title: string, yTitle: string, panels: readonly ParetoPanel[]): string {
  const height = 40 + panels.length * HEIGHT
  const body = panels.map((panel, i) => `<g transform="translate(0 ${40 + i * HEIGHT})">${drawn(panel, yTitle)}</g>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT} font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${text(24, 28, title, INK, 'start', 17)}
${body.join('\n')}
</svg>
`
}

/** A page with the chart and its figures. */
export function paretoHtml(title: string, svg: string, rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) => row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')
  const [head, ...body] = rows
  const style = 'body{font:14px system-ui,sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}'
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title><style>${style}td:first-child{text-align:left}</style>
${svg}<table><tr>${cells(head, 'th')}</tr>
${body.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}
</table></html>
`
}

/** The points that no other point beats: none is at most as dear and at least as good. */
export function front(points: readonly ParetoPoint[]): readonly ParetoPoint[] {
  return points.filter((p) => !points.some((q) => q.x <= p.x && q.y >= p.y && (q.x < p.x || q.y > p.y)))
}

function text(x: number, y: number, content: string, fill = INK, anchor = 'start', size = 12): string {
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}" text-anchor="${anchor}" font-size="${size}">${escaped(content)}</text>`
}

type Scale = (value: number) => number

function drawn({ title, points, format }: ParetoPanel, yTitle: string): string {
  const [x, ticks] = across(points.map((point) => point.x))
  const [y, levels] = upwards(points.map((point) => point.y))
  const series = [...new Set(points.map((point) => point.series))]
  const best = new Set(front(points))
  return [
    text(24, 18, title, INK, 'start', 14),
    text(LEFT, TOP - 8, yTitle, PALE),
    ...levels.map((level) => {
      const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(level))}" y2="${round(y(level))}" stroke="${GRID}"/>`
      return line + text(LEFT - 8, y(level) + 4, `${round(100 * level)} %`, PALE, 'end')
    }),
    ...ticks.map((tick) => text(x(tick), HEIGHT - BOTTOM + 18, format(tick), PALE, 'middle')),
    ...series.map((name, i) =>
      line(
        points.filter((point) => point.series === name),
        COLORS[i % COLORS.length],
        x,
        y,
        best,
      ),
    ),
    ...series.map((name, i) => legend(name, COLORS[i % COLORS.length], i)),
    text(
      WIDTH - RIGHT + 24,
      TOP + 18 * series.length + 12,
      'filled: no other is as cheap and as good',
      PALE,
      'start',
      10,
    ),
  ].join('\n')
}

function legend(name: string, color: string, i: number): string {
  const at = TOP + 18 * i
  const mark = `<circle cx="${WIDTH - RIGHT + 28}" cy="${at}" r="5" fill="${color}"/>`
  return mark + text(WIDTH - RIGHT + 40, at + 4, name, color)
}

function line(points: readonly ParetoPoint[], color: string, x: Scale, y: Scale, best: Set<ParetoPoint>): string {
  const sorted = points.toSorted((a, b) => a.x - b.x)
  const corners = sorted.map((point) => `${round(x(point.x))},${round(y(point.y))}`).join(' ')
  const marks = sorted.map((point) => {
    const fill = best.has(point) ? color : '#ffffff'
    const circle = `<circle cx="${round(x(point.x))}" cy="${round(y(point.y))}" r="5" fill="${fill}" stroke="${color}" stroke-width="2">`
    return `${circle}<title>${escaped(`${point.name}: ${round(100 * point.y)} %`)}</title></circle>`
  })
  return `<polyline points="${corners}" fill="none" stroke="${color}" stroke-opacity="0.5" stroke-width="2"/>${marks.join('')}`
}

/** Logarithmic; ticks at 1, 2 and 5 of every decade, or, where that is none or one, at the ends. */
function across(values: readonly number[]): [Scale, number[]] {
  const [least, most] = [Math.min(...values) / 1.1, Math.max(...values) * 1.1]
  const span = WIDTH - RIGHT - LEFT
  const scale = (value: number) => LEFT + (Math.log(value / least) / Math.log(most / least)) * span
  const decades = Array.from({ length: 30 }, (_, i) => 10 ** (i - 12))
  const ticks = decades.flatMap((decade) => [decade, 2 * decade, 5 * decade])
  const inside = ticks.filter((tick) => tick >= least && tick <= most)
  return [scale, inside.length > 1 ? inside : [...new Set([Math.min(...values), Math.max(...values)])]]
}

/** From a whole step below the lowest point to one above the highest. */
function upwards(values: readonly number[]): [Scale, number[]] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (high - low) / size <= 6) ?? 0.2
  const first = Math.max(0, Math.floor(low / step - 0.5))
  const last = Math.min(Math.round(1 / step), Math.ceil(high / step + 0.5))
  const levels = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
  const bottom = HEIGHT - BOTTOM
  return [(value) => bottom - ((value - first * step) / ((last - first) * step)) * (bottom - TOP), levels]
}
