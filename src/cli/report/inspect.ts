// What `ringfence inspect` prints: a table of layers, then what they come to.

import { shapeWords } from '../../model/layers/words.js'
import type { InspectedLayer, Inspection } from '../../tune/inspection/inspect-network.js'
import {
  byteSize,
  type Column,
  columnsOf,
  count,
  type Output,
  type Paint,
  painter,
  tableLines,
  wrapped,
} from '../terminal/terminal.js'
import { memoryWords } from './plan-words.js'

const some = (value: number): string => (value === 0 ? '-' : count(value))

export function inspectionText(inspection: Inspection, out: Output): string {
  const paint = painter(out)
  const { name, family, input } = inspection
  const what = [family && `family ${family}`, `input ${shapeWords(input)}`].filter(Boolean).join(', ')
  return [
    wrapped(`${paint('bold', name)}, ${what}`, columnsOf(out)),
    '',
    ...layerTable(inspection, paint, columnsOf(out)),
    '',
    ...summary(inspection, paint).map((line) => wrapped(line, columnsOf(out), '  ')),
    '',
  ].join('\n')
}

function layerTable(inspection: Inspection, paint: Paint, width: number): string[] {
  const { layers } = inspection
  const right = { align: 'right' } as const
  const columns: (Column & { readonly cell: (row: Row) => string })[] = [
    { head: 'layer', shrinks: 'middle', cell: ({ id }) => id },
    { head: 'op', shrinks: 'end', cell: ({ op }) => op },
    { head: 'shape', ...right, optional: true, cell: ({ out }) => (out ? shapeWords(out) : '') },
    { head: 'params', ...right, optional: true, cell: ({ params }) => some(params) },
    { head: 'MACs', ...right, cell: ({ macs }) => some(macs) },
    { head: 'ReLUs', ...right, cell: ({ relus }) => some(relus) },
    { head: 'DReLUs', ...right, cell: ({ relus, drelus }) => (relus === 0 ? '-' : count(drelus)) },
  ]
  if (layers.some(({ window }) => window))
    columns.push({ head: 'ReLU spec', shrinks: 'end', cell: ({ window }) => windowWords(window) })
  const total: Row = { ...inspection, id: 'all layers', op: '', out: undefined, window: null }
  const cells = (row: Row) => columns.map(({ cell }) => cell(row))
  return tableLines(columns, [...layers.map(cells), cells(total)], paint, width)
}

type Row = Omit<InspectedLayer, 'out'> & { readonly out: InspectedLayer['out'] | undefined }

function windowWords(window: InspectedLayer['window']): string {
  if (!window) return ''
  const { kind, lsbIgnored, msbIgnored, fractionBits } = window
  const ignored = [bitsWords(lsbIgnored, 'low'), bitsWords(msbIgnored, 'high')].filter(Boolean)
  const of = fractionBits === undefined ? '' : ` of 2^-${fractionBits}`
  return [kind === 'relu' ? '' : kind, ignored.length > 0 ? `${ignored.join(', ')}${of}` : '']
    .filter(Boolean)
    .join(', ')
}

/** `5 low`, or of channels that differ `3 to 7 low`. */
function bitsWords(ignored: number | readonly number[] = 0, end: string): string {
  const bits = typeof ignored === 'number' ? [ignored] : ignored
  const [least, most] = [Math.min(...bits), Math.max(...bits)]
  if (most === 0) return ''
  return `${least === most ? most : `${least} to ${most}`} ${end}`
}

function summary(inspection: Inspection, paint: Paint): string[] {
  const { relus, drelus, reluLayers, maxPoolComparisons, clipComparisons, folding, guard, memory, published, notes } =
    inspection
  const share = relus === 0 ? '' : ` (${((100 * drelus) / relus).toFixed(1)} %)`
  const comparisons = [
    `DReLUs ${count(drelus)}${drelus === relus ? '' : share}`,
    ...(clipComparisons > 0 ? [`of clips ${count(clipComparisons)} comparisons`] : []),
    ...(maxPoolComparisons > 0 ? [`of max pools ${count(maxPoolComparisons)} comparisons`] : []),
  ]
  return [
    `${paint('bold', `${count(relus)} ReLUs`)} in ${count(reluLayers)} layers; ${comparisons.join('; ')}`,
    `${count(inspection.params)} parameters, ${count(inspection.macs)} multiplications`,
    ...(folding ? foldingLines(inspection, paint) : []),
    ...(guard ? [guardLine(guard)] : []),
    ...(memory ? [memoryWords(memory)] : []),
    ...(published ? [publishedLine(published, paint)] : []),
    ...notes.map((note) => `${paint('yellow', 'note')} ${note}`),
  ]
}

function foldingLines({ folding, backend }: Inspection, paint: Paint): string[] {
  const { linearLayers, convolutions, steps, roundTrips } = folding!
  const change = (what: string, { before, after }: { before: number; after: number }) =>
    `${count(before)} ${what} become ${count(after)}`
  return [
    `linear folding: ${count(linearLayers)} linear layers become ${count(convolutions)} convolutions, ${change('steps', steps)}`,
    `${paint('bold', `${count(roundTrips.after)} round trips`)} on ${backend}, ${count(roundTrips.before)} without folding`,
  ]
}

function guardLine({ epsilonLog2, places, orders, helperBytes, problems }: NonNullable<Inspection['guard']>): string {
  if (problems.length > 0) return `cannot be guarded: ${problems.join('; ')}`
  const signs =
    places === 0
      ? ''
      : `, ${count(places)} comparisons more in ${count(orders)} secret ${orders === 1 ? 'order' : 'orders'}`
  return `with --guard a deviation passes with 2^${epsilonLog2.toFixed(1)} at best${signs}; the helper keeps ${byteSize(helperBytes)}`
}

function publishedLine({ relus, match, note }: NonNullable<Inspection['published']>, paint: Paint): string {
  const verdict = match ? paint('green', '✓ the same') : paint('yellow', '✗ not this count')
  return `published: ${count(relus)} ReLUs, ${verdict}${note ? `; ${note}` : ''}`
}
