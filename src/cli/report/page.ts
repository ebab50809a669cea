// A report as a page of its own, without anything from elsewhere: charts side by side where there is room, then tables.
import { escaped } from './svg.js'

export interface PageTable {
  readonly title?: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Columns of words, from the left; all others are numbers. */
  readonly words: number
}

export interface Page {
  readonly title: string
  /** SVG documents. */
  readonly charts: readonly string[]
  readonly tables: readonly PageTable[]
  readonly notes: readonly string[]
}

const STYLE = `:root{color-scheme:light dark;--ink:#1f2937;--pale:#5b6472;--grid:#e5e7eb;--paper:#fff;--more:#0003}
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--pale:#9aa4b2;--grid:#323842;--paper:#14171c;--more:#fff4}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:1.5rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.35rem;line-height:1.3;overflow-wrap:anywhere}h2{font-size:1rem;margin-top:2rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}
.charts svg{width:100%;max-width:36rem;height:auto}
.table{overflow-x:auto;background:linear-gradient(90deg,var(--paper),transparent)0/3rem 100% local,linear-gradient(-90deg,var(--paper),transparent)100%/3rem 100% local,linear-gradient(90deg,var(--more),transparent)0/.8rem 100% scroll,linear-gradient(-90deg,var(--more),transparent)100%/.8rem 100% scroll;background-repeat:no-repeat}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;white-space:nowrap}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}th{font-weight:600}
.word{text-align:left}th:first-child,td:first-child{position:sticky;left:0;background:var(--paper)}
@media(max-width:40rem){th,td{padding:.2rem .45rem}th{white-space:normal;vertical-align:bottom}.word:first-child{white-space:normal;min-width:9rem;overflow-wrap:anywhere}}p{color:var(--pale);font-size:14px;max-width:60rem}`

export function pageHtml({ title, charts, tables, notes }: Page): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title><style>${STYLE}</style></head>
<body><h1>${escaped(title)}</h1>
<div class="charts">
${charts.join('')}</div>
${tables.map(tableHtml).join('\n')}
${notes.map((note) => `<p>${escaped(note)}</p>`).join('\n')}
</body></html>
`
}

function tableHtml({ title, head, rows, words }: PageTable): string {
  const line = (tag: string, cells: readonly string[]) => {
    const shown = cells.map((cell, i) => `<${tag}${i < words ? ' class="word"' : ''}>${escaped(cell)}</${tag}>`)
    return `<tr>${shown.join('')}</tr>`
  }
  const heading = title === undefined ? '' : `<h2>${escaped(title)}</h2>\n`
  const body = rows.map((cells) => line('td', cells)).join('\n')
  return `${heading}<div class="table" tabindex="0"><table><thead>${line('th', head)}</thead>\n<tbody>${body}</tbody></table></div>`
}
