// SVG for reports: text that is escaped and measured, and one palette for light and dark, by the reader's setting.

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text of a file, which may hold anything: also without control characters and halves of pairs, which XML forbids. */
export function escaped(text: string): string {
  const bad = (c: string) => c < ' ' || (c.length === 1 && /[\ud800-\udfff\ufffe\uffff]/.test(c))
  return [...text].map((c) => ENTITIES[c] ?? (bad(c) ? '?' : c)).join('')
}

/** A coordinate to a tenth of a pixel. */
export const round = (x: number): number => Math.round(x * 10) / 10

/** Width of a text in pixels, rather too much than too little: fonts differ. */
export const textWidth = (text: string, size: number): number => [...text].length * size * 0.58

/** How many characters are sure to fit. */
export const charsIn = (width: number, size: number): number => Math.floor(width / (size * 0.58))

/** Colours by what they are for: [light, dark]. Fills are `fill-NAME`, strokes `line-NAME`. */
const PALETTE: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  paper: ['#ffffff', '#14171c'],
  ink: ['#1f2937', '#e5e7eb'],
  pale: ['#5b6472', '#9aa4b2'],
  grid: ['#e5e7eb', '#323842'],
  c0: ['#2563eb', '#6ea0ff'],
  c1: ['#c2410c', '#ff9a5c'],
  c2: ['#047857', '#43c59e'],
  c3: ['#7c3aed', '#b794ff'],
  c4: ['#be123c', '#ff7d95'],
  c5: ['#0e7490', '#4cc3dd'],
  input: ['#f2f2f2', '#22262d'],
  linear: ['#e3edf9', '#1d2c40'],
  pool: ['#e3f1e0', '#1f3320'],
  sum: ['#ece6f6', '#2c2440'],
  relu: ['#f6d3b5', '#5b4026'],
  drelu: ['#d9692a', '#e8884a'],
  accent: ['#a34708', '#ffb27a'],
}
/** Colours for series of a chart. */
export const SERIES_COLORS = 6

const rules = (dark: 0 | 1): string =>
  Object.entries(PALETTE)
    .map(([name, colors]) => `.fill-${name}{fill:${colors[dark]}}.line-${name}{stroke:${colors[dark]}}`)
    .join('')

/** Classes rather than variables, so that viewers that are no browsers show the light colours. */
const STYLE = `${rules(0)}@media(prefers-color-scheme:dark){${rules(1)}}`

/** A whole document. @param title what it shows, for readers that do not see it */
export function svgDocument(width: number, height: number, title: string, body: readonly string[]): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" style="max-width:100%;height:auto;color-scheme:light dark" role="img" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13">
<title>${escaped(title)}</title><style>${STYLE}</style>
<rect width="100%" height="100%" class="fill-paper"/>
${body.join('\n')}
</svg>
`
}

export interface TextStyle {
  /** Name in the palette. */
  readonly color?: string
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly size?: number
  readonly bold?: boolean
}

export function svgText(
  x: number,
  y: number,
  content: string,
  { color = 'ink', anchor = 'start', size = 13, bold = false }: TextStyle = {},
): string {
  const weight = bold ? ' font-weight="600"' : ''
  const style = `class="fill-${color}" text-anchor="${anchor}" font-size="${size}"${weight}`
  return `<text x="${round(x)}" y="${round(y)}" ${style} xml:space="preserve">${escaped(content)}</text>`
}
