// Line charts as SVG: bit counts along x, a logarithmic scale up, labels at the lines' ends.

export interface Series {
  readonly name: string
  readonly color: string
  /** Bit count and value; a value of 0 stands on the axis. */
  readonly points: readonly (readonly [number, number])[]
  /** Points of their own to be held against the line, as rings; without them the line's own points are marked. */
  readonly rings?: Series['points']
  readonly dashed?: boolean
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly series: readonly Series[]
  readonly format: (value: number) => string
}

const WIDTH = 960
const HEIGHT = 320
const LEFT = 84
const RIGHT = 230
const TOP = 48
const BOTTOM = 44
const FONT = 'font-family="system-ui, Helvetica, Arial, sans-serif"'
const INK = '#1f2937'
const PALE = '#6b7280'
const GRID = '#e5e7eb'
/** Between neighbouring labels. */
const LABEL_HEIGHT = 16

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
const round = (x: number) => Math.round(x * 10) / 10

/** One SVG document, charts under each other. */
export function svg(title: string, charts: readonly Chart[]): string {
  const height = charts.length * HEIGHT + 40
  const body = charts.map((chart, i) => `<g transform="translate(0 ${40 + i * HEIGHT})">${panel(chart)}</g>`).join('\n')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT} font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
${text(24, 28, title, { size: 17, weight: 600 })}
${body}
</svg>
`
}

interface TextStyle {
  fill?: string
  anchor?: 'start' | 'middle' | 'end'
  size?: number
  weight?: number
}

function text(
  x: number,
  y: number,
  content: string,
  { fill = INK, anchor = 'start', size = 13, weight = 400 }: TextStyle = {},
) {
  const style = `fill="${fill}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}"`
  return `<text x="${round(x)}" y="${round(y)}" ${style}>${escaped(content)}</text>`
}

type Scale = (value: number) => number

function panel(chart: Chart): string {
  const points = chart.series.flatMap((series) => [...series.points, ...(series.rings ?? [])])
  const bits = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b)
  const positive = points.map(([, y]) => y).filter((y) => y > 0)
  const decades = [...positive.map(Math.log10), ...(positive.length === 0 ? [0] : [])]
  const least = Math.floor(Math.min(...decades))
  const most = Math.max(least + 1, Math.ceil(Math.max(...decades)))
  const zeros = points.some(([, y]) => y === 0)
  const [x, y] = [across(bits), upwards(least, most, zeros)]
  const ticks = Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i))
  const levels = zeros ? [0, ...ticks] : ticks
  return [
    text(24, 22, chart.title, { size: 15, weight: 600 }),
    text(LEFT, 40, chart.unit, { fill: PALE, size: 12 }),
    ...levels.map((level) => gridLine(y(level), level === 0 ? '0' : chart.format(level))),
    ...bits.map((n) => text(x(n), HEIGHT - BOTTOM + 20, String(n), { fill: PALE, anchor: 'middle', size: 12 })),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 37, 'compared bits', { fill: PALE, anchor: 'middle', size: 12 }),
    ...chart.series.map((series) => drawn(series, x, y)),
    ...labels(chart.series, x, y),
  ].join('\n')
}

/** Doubling the bits is a fixed distance: small counts are where the choice is. */
function across(bits: readonly number[]): Scale {
  const [first, last] = [Math.log2(bits[0]), Math.log2(bits[bits.length - 1])]
  const span = WIDTH - RIGHT - LEFT - 40
  return (n) => LEFT + 20 + (last === first ? span / 2 : ((Math.log2(n) - first) / (last - first)) * span)
}

function upwards(least: number, most: number, zeros: boolean): Scale {
  const bottom = HEIGHT - BOTTOM
  const floor = zeros ? bottom - 30 : bottom
  return (value) => (value <= 0 ? bottom : floor - ((Math.log10(value) - least) / (most - least)) * (floor - TOP))
}

function gridLine(y: number, label: string): string {
  const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y)}" y2="${round(y)}" stroke="${GRID}"/>`
  return line + text(LEFT - 10, y + 4, label, { fill: PALE, anchor: 'end', size: 12 })
}

function drawn({ points, rings, color, dashed }: Series, x: Scale, y: Scale): string {
  const at = ([n, value]: readonly [number, number]) => [round(x(n)), round(y(value))] as const
  const dash = dashed ? ' stroke-dasharray="6 4"' : ''
  const corners = points.map((point) => at(point).join(',')).join(' ')
  const marks = (rings ?? points).map((point) => {
    const [cx, cy] = at(point)
    return `<circle cx="${cx}" cy="${cy}" r="4" fill="${rings ? 'none' : color}" stroke="${color}" stroke-width="2"/>`
  })
  return `<polyline points="${corners}" fill="none" stroke="${color}" stroke-width="2"${dash}/>${marks.join('')}`
}

/** Names beside the last points, moved apart where they would touch. */
function labels(series: readonly Series[], x: Scale, y: Scale): string[] {
  const wanted = series
    .filter(({ points }) => points.length > 0)
    .map(({ name, color, points }) => {
      const [n, value] = points[points.length - 1]
      return { name, color, from: [x(n), y(value)] as const, at: y(value) }
    })
    .sort((a, b) => a.at - b.at)
  for (let i = 1; i < wanted.length; i++) wanted[i].at = Math.max(wanted[i].at, wanted[i - 1].at + LABEL_HEIGHT)
  const beyond = Math.max(0, (wanted.at(-1)?.at ?? 0) - (HEIGHT - BOTTOM))
  return wanted.map(({ name, color, from, at }) => {
    const [left, top] = [WIDTH - RIGHT + 14, at - beyond]
    const path = `M${round(from[0] + 7)} ${round(from[1])} L${left - 4} ${round(top)}`
    return `<path d="${path}" stroke="${color}" stroke-opacity="0.35" fill="none"/>${text(left, top + 4, name, { fill: color })}`
  })
}
