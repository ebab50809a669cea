// The comparison bench's results as aligned tables, JSON, CSV, charts and a page.
import { chartDocuments, chartsDocument } from '../../src/cli/report/chart.js'
import { circumstancesWords } from '../../src/cli/report/circumstances.js'
import { csv as csvOf } from '../../src/cli/report/csv.js'
import { pageHtml } from '../../src/cli/report/page.js'
import { type Column, tableLines, wrapped } from '../../src/cli/terminal/terminal.js'
import { flat } from '../report.js'
import { charts } from './figures.js'
import { NETWORK } from './network.js'
import {
  AGREEMENT,
  backendsOf,
  bestRows,
  type CompareRow,
  type Comparison,
  offlineBytes,
  onlineBytes,
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
  return runs
    .flatMap(({ width, times }) => (times < 3 ? Array<string>(times).fill(`${width}`) : `${times}×${width}`))
    .join('+')
}

const perElement = (bytes: number, { elements }: CompareRow) => (bytes / elements).toFixed(2)
const percent = (share: number) => (share === 0 ? '0' : `${(share * 100).toPrecision(3)} %`)
const nanoseconds = (ns: number) => ns.toFixed(ns < 100 ? 1 : 0)
const starred = (text: string, isBest: boolean) => `${text}${isBest ? ' *' : '  '}`

/** A row's name in one column: `mcc 16: 4+4+4+4`, `securenn relu 8`. */
function named(row: CompareRow): string {
  const what = `${row.backend}${row.operation === 'comparison' ? '' : ` ${row.operation}`} ${row.bits}`
  return row.shape.length === 0 ? what : `${what}: ${shapeOf(row)}`
}

type Cell = Column & { readonly cell: (row: CompareRow) => string }

interface Table {
  readonly title: string
  /** The first holds words, the others numbers; a terminal leaves out what is optional. */
  readonly columns: readonly Cell[]
  readonly rows: readonly CompareRow[]
}

const first: Cell = { head: 'back end, bits: shape', shrinks: 'end', cell: named }
const number = (head: string, cell: Cell['cell']): Cell => ({ head, cell, align: 'right' })
const optional = (column: Cell): Cell => ({ ...column, optional: true })

const tables = (comparison: Comparison): Table[] =>
  [work, bytes, seconds, signs].map((table) => table(comparison)).filter(({ rows }) => rows.length > 0)

function work({ rows, place }: Comparison): Table {
  const spread = (ns: number, of: number) => `${((100 * ns) / of).toFixed(0)} %`
  const party = (head: string, key: keyof CompareRow['local']['spread']): Cell[] => [
    number(head, ({ local }) => nanoseconds(local[key])),
    optional(number('±', ({ local }) => spread(local.spread[key], local[key]))),
  ]
  return {
    title:
      `Nanoseconds of work per comparison, batches of ${rows[0].elements.toLocaleString('en')}; end to end: ${place}, ` +
      `on line, ${rows[0].endToEnd.runs} batches; ±: half of the repetitions lie within; *: the fastest shape`,
    columns: [
      first,
      ...party('client', 'clientNs'),
      ...party('server', 'serverNs'),
      ...party('helper', 'helperNs'),
      number('end to end', ({ endToEnd, best }) =>
        starred(`${(endToEnd.perSecond / 1e6).toFixed(2)} M/s`, best.includes('time')),
      ),
      number('±', ({ endToEnd }) => spread(endToEnd.spread, 1)),
    ],
    rows,
  }
}

function bytes({ rows }: Comparison): Table {
  const per = (head: string, of: (row: CompareRow) => number) => number(head, (row) => perElement(of(row), row))
  return {
    title:
      'Bytes per comparison, frame headers included; helper: both its links; flights: the longest chain of messages ' +
      'over all links; *: the shape of fewest bytes',
    columns: [
      first,
      per('up', ({ online }) => online.up),
      per('down', ({ online }) => online.down),
      per('helper', ({ online }) => online.helper),
      per('off line', offlineBytes),
      number('in all', (row) => {
        return starred(perElement(onlineBytes(row) + offlineBytes(row), row), row.best.includes('bytes'))
      }),
      number('flights', ({ online }) => `${online.flights}`),
    ],
    rows,
  }
}

function seconds({ rows }: Comparison): Table {
  const ms = (value: number) => (value * 1000).toFixed(1)
  return {
    title: `Milliseconds per batch by declared cost, and how far apart the emulated network was (!: more than ${AGREEMENT * 100} %)`,
    columns: [
      first,
      ...PROFILES.flatMap((profile) => [
        number(profile, (row) => ms(row.seconds[profile])),
        ...SHAPED.filter((name) => name === profile).flatMap((name) => [
          optional(number('emulated', ({ shaped }) => ms(shaped[name].measured))),
          number('apart', ({ shaped }) => {
            const { difference } = shaped[name]
            return `${(difference * 100).toFixed(1)} %${Math.abs(difference) > AGREEMENT ? ' !' : '  '}`
          }),
        ]),
      ]),
    ],
    rows,
  }
}

function signs({ rows }: Comparison): Table {
  const layer = rows.find(({ wrongSign }) => wrongSign.layer)?.wrongSign.layer?.name
  const real = (of: 'measured' | 'predicted') => (row: CompareRow) => percent(row.wrongSign.layer![of])
  return {
    title: `Wrong signs: of uniform values${layer ? `, and of the activations of ${layer} in ResNet-20` : ''}`,
    columns: [
      { head: 'back end, bits', cell: ({ backend, bits }) => `${backend} ${bits}` },
      number('of', ({ opened }) => `${opened}`),
      number('uniform', ({ wrongSign }) => percent(wrongSign.measured)),
      number('predicted', ({ wrongSign }) => percent(wrongSign.predicted)),
      ...(layer ? [number('layer', real('measured')), number('predicted', real('predicted'))] : []),
    ],
    // Wrong signs do not depend on the shape: the one of fewest bytes stands for its bit count.
    rows: backendsOf(rows).flatMap((backend) => bestRows(rows, backend, 'bytes')),
  }
}

function notes({ unsupported, circumstances }: Comparison): string[] {
  return [
    'shape: widths of the chunks that a back end cuts the compared bits into, least significant first; 5×4 is five of 4 bits.',
    ...unsupported.map(({ backend, bits, reason }) => `${backend} ${bits}: none, ${reason}.`),
    NETWORK,
    circumstancesWords(circumstances),
  ]
}

/** @param columns of the terminal */
export function text(comparison: Comparison, columns: number): string {
  const plain = (_: unknown, cell: string) => cell
  const parts = tables(comparison).map(({ title, columns: heads, rows }) => {
    const cells = rows.map((row) => heads.map(({ cell }) => cell(row)))
    return [wrapped(title, columns), '', ...tableLines(heads, cells, plain, columns)].join('\n')
  })
  const next = '  next npm run bench -- compare --html FILE'
  return [...parts, ...notes(comparison).map((note) => wrapped(note, columns)), next].join('\n\n')
}

export function json({ rows, unsupported, place, circumstances }: Comparison): string {
  return JSON.stringify({ compare: rows, unsupported, place, ...circumstances })
}

/** One line per row; nested fields become dotted names. */
export function csv({ rows, circumstances }: Comparison): string {
  const lines = rows.map(({ shape, best, ...rest }) =>
    flat({ ...rest, shape: shape.join('+'), best: best.join(' '), ...circumstances }),
  )
  return csvOf(lines).trimEnd()
}

const titleOf = ({ rows }: Comparison): string =>
  `Comparing with zero: what a bit costs (${rows[0].elements.toLocaleString('en')} at once)`

export const svg = (comparison: Comparison): string =>
  chartsDocument(titleOf(comparison), charts(comparison), [circumstancesWords(comparison.circumstances)])

export function html(comparison: Comparison): string {
  return pageHtml({
    title: titleOf(comparison),
    charts: chartDocuments(charts(comparison)),
    tables: tables(comparison).map(({ title, columns, rows }) => ({
      title,
      head: columns.map(({ head }) => head),
      rows: rows.map((row) => columns.map(({ cell }) => cell(row))),
      words: 1,
    })),
    notes: notes(comparison),
  })
}
