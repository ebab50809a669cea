// The comparison bench's results as an aligned table, JSON, CSV, charts and a page.
import { table } from '../report.js'
import { chartsSvg } from './figures.js'
import { NETWORK } from './network.js'
import {
  AGREEMENT,
  backendsOf,
  bestRows,
  type CompareRow,
  type Comparison,
  offlineBytes,
  PROFILES,
  SHAPED,
} from './rows.js'

/** Chunk widths, least significant first; three or more of a kind as 5×4. */
function shapeOf({ shape }: CompareRow): string {
  const runs: { width: number; times: number }[] = []
  for (const width of shape) {
    const last = runs.at(-1)
    if (last?.width === width) last.times++
    else runs.push({ width, times: 1 })
  }
  const named = runs.flatMap(({ width, times }) =>
    times < 3 ? Array<string>(times).fill(`${width}`) : `${times}×${width}`,
  )
  return named.join('+') || '–'
}

const perElement = (bytes: number, { elements }: CompareRow) => (bytes / elements).toFixed(2)
const percent = (share: number) => (share === 0 ? '0' : `${(share * 100).toPrecision(3)} %`)
const nanoseconds = (ns: number) => ns.toFixed(ns < 100 ? 1 : 0)
const named = (row: CompareRow) => [row.backend, row.operation, `${row.bits}`, shapeOf(row)]

interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const tables = (comparison: Comparison): Table[] => [work(comparison), seconds(comparison), signs(comparison)]

function work({ rows, unsupported, place }: Comparison): Table {
  const head = [
    ...['back end', 'operation', 'bits', 'shape', 'client ns', 'server ns', 'helper ns', 'end to end'],
    ...['up B', 'down B', 'helper B', 'off line B', 'flights', 'best'],
  ]
  const cells = rows.map((row) => [
    ...named(row),
    ...[row.local.clientNs, row.local.serverNs, row.local.helperNs].map(nanoseconds),
    `${(row.endToEnd.perSecond / 1e6).toFixed(2)} M/s`,
    ...[row.online.up, row.online.down, row.online.helper, offlineBytes(row)].map((b) => perElement(b, row)),
    `${row.online.flights}`,
    row.best.join(', '),
  ])
  const blank = Array<string>(head.length - 5).fill('')
  const missing = unsupported.map(({ backend, bits, reason }) => [backend, 'none', `${bits}`, '–', ...blank, reason])
  return {
    title: `Work and bytes per comparison, batches of ${rows[0].elements.toLocaleString('en')}; end to end: ${place}, on line`,
    head,
    rows: [...cells, ...missing],
  }
}

function seconds({ rows }: Comparison): Table {
  return {
    title: `Milliseconds per batch by declared cost, and what the emulated network made of it (≤ ${AGREEMENT * 100} % apart)`,
    head: [
      ...['back end', 'operation', 'bits', 'shape', ...PROFILES],
      ...SHAPED.flatMap((profile) => [`${profile} emulated`, 'apart']),
    ],
    rows: rows.map((row) => [
      ...named(row),
      ...PROFILES.map((profile) => (row.seconds[profile] * 1000).toFixed(1)),
      ...SHAPED.flatMap((profile) => {
        const { measured, difference } = row.shaped[profile]
        const beyond = Math.abs(difference) > AGREEMENT ? ' !' : ''
        return [(measured * 1000).toFixed(1), `${(difference * 100).toFixed(1)} %${beyond}`]
      }),
    ]),
  }
}

function signs({ rows }: Comparison): Table {
  const layer = rows.find(({ wrongSign }) => wrongSign.layer)?.wrongSign.layer?.name
  return {
    title: `Wrong signs: of uniform values${layer ? `, and of the activations of ${layer} in ResNet-20` : ''}`,
    head: ['back end', 'bits', 'of', 'uniform', 'predicted', ...(layer ? ['layer', 'predicted'] : [])],
    rows: perBits(rows).map(({ backend, bits, opened, wrongSign: { measured, predicted, layer: real } }) => [
      ...[backend, `${bits}`, `${opened}`, percent(measured), percent(predicted)],
      ...(real ? [percent(real.measured), percent(real.predicted)] : []),
    ]),
  }
}

/** Wrong signs do not depend on the shape: the one of fewest bytes stands for its bit count. */
function perBits(rows: readonly CompareRow[]): CompareRow[] {
  return backendsOf(rows).flatMap((backend) => bestRows(rows, backend, 'bytes'))
}

const NOTES = [
  'shape: widths of the chunks that a back end cuts the compared bits into, least significant first; 5×4 is five of 4 bits.',
  'Bytes are those of one comparison, frame headers included; helper: both links of the helper together. ' +
    'Flights are the longest chain of messages over all links.',
  'best: of the shapes of a back end at a bit count, fewest bytes on line and off line together, and fastest on line.',
  NETWORK,
]

export function text(comparison: Comparison): string {
  const parts = tables(comparison).map(({ title, head, rows }) => `${title}\n\n${table(head, rows)}`)
  return [...parts, ...NOTES].join('\n\n')
}

export function json({ rows, unsupported }: Comparison): string {
  return JSON.stringify({ compare: rows, unsupported })
}

/** One line per row; nested fields become dotted names. */
export function csv({ rows }: Comparison): string {
  const lines = rows.map((row) => {
    const { shape, best, ...rest } = row
    return new Map(flat({ ...rest, shape: shape.join('+'), best: best.join(' ') }))
  })
  const names = [...new Set(lines.flatMap((line) => [...line.keys()]))]
  return [names.join(','), ...lines.map((line) => names.map((name) => line.get(name) ?? '').join(','))].join('\n')
}

function flat(value: object, prefix = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, part]) => {
    if (part === null) return []
    return typeof part === 'object' ? flat(part, `${prefix}${key}.`) : [[`${prefix}${key}`, String(part)]]
  })
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;margin:2rem auto;max-width:76rem;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;display:block;overflow-x:auto;white-space:nowrap}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e5e7eb}
th{font-weight:600}td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}h2{font-size:16px;margin-top:2rem}svg{max-width:100%;height:auto}`

/** A page of its own, without anything from elsewhere. */
export function html(comparison: Comparison): string {
  const clean = (cell: string) => cell.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`)
  const row = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${clean(cell)}</${tag}>`).join('')}</tr>`
  const body = tables(comparison).map(
    ({ title, head, rows }) =>
      `<h2>${clean(title)}</h2>\n<table>${row('th', head)}\n${rows.map((cells) => row('td', cells)).join('\n')}</table>`,
  )
  const rest = NOTES.map((note) => `<p>${clean(note)}</p>`)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What a compared bit costs</title><style>${STYLE}</style></head>
<body>
${chartsSvg(comparison)}
${[...body, ...rest].join('\n')}
</body></html>
`
}
