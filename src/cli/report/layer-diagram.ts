// Draws a network as SVG: boxes from the input down, bars for the ReLUs, lines at the left for what skips boxes.
import type { Architecture } from '../../model/architecture.js'
import { shapeWords } from '../../model/layers/words.js'
import type { Inspection } from '../../tune/inspection/inspect-network.js'
import { count } from '../terminal/terminal.js'
import { type Box, boxWords, diagramBoxes } from './diagram-boxes.js'

const WIDTH = 470
const TOP = 74
const GAP = 16
const HEAD = 28
const LINE = 15
const LANE = 11
const BAR = 170
/** Characters of a branch list on one line. */
const BRANCH_CHARS = 76

const FILLS: Readonly<Record<Box['kind'], readonly [fill: string, stroke: string]>> = {
  input: ['#f2f2f2', '#888888'],
  linear: ['#e3edf9', '#5b83b5'],
  pool: ['#e3f1e0', '#6a9a5b'],
  sum: ['#ece6f6', '#8a70b5'],
}

interface Placed extends Box {
  readonly y: number
  readonly height: number
  readonly lines: readonly string[]
  readonly relus: number
  readonly drelus: number
}

/** An SVG image of the layers with their ReLU counts. */
export function layerDiagram(arch: Architecture, inspection: Inspection): string {
  const boxes = placeBoxes(diagramBoxes(arch), inspection)
  const lanes = assignLanes(boxes)
  const left = 24 + LANE * (Math.max(-1, ...lanes.map(({ lane }) => lane)) + 1) + 12
  const width = left + WIDTH + 24 + BAR + 130
  const last = boxes[boxes.length - 1]
  const height = last.y + last.height + 24
  const most = Math.max(1, ...boxes.map(({ relus }) => relus))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12">`,
    `<title>${escaped(arch.name)}</title>`,
    '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="6" refY="3" orient="auto"><path d="M0,0 L7,3 L0,6 z" fill="#666"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...heading(inspection, left),
    ...lanes.map((lane) => laneLine(lane, boxes, left)),
    ...boxes.flatMap((box, i) => boxLines(box, boxes[i - 1]?.id, i, left)),
    ...boxes.flatMap((box) => (box.relus > 0 ? reluBar(box, left + WIDTH + 24, most) : [])),
    '</svg>',
    '',
  ].join('\n')
}

function placeBoxes(boxes: readonly Box[], { layers }: Inspection): Placed[] {
  const counts = new Map(layers.map((layer) => [layer.id, layer]))
  let y = TOP
  return boxes.map((box) => {
    const lines = branchLines(box)
    const height = HEAD + LINE * lines.length + (lines.length > 0 ? 6 : 0)
    const sum = (of: 'relus' | 'drelus') => box.layers.reduce((total, { id }) => total + (counts.get(id)?.[of] ?? 0), 0)
    const placed = { ...box, y, height, lines, relus: sum('relus'), drelus: sum('drelus') }
    y += height + GAP
    return placed
  })
}

function branchLines({ branches, zeros }: Box): string[] {
  const words = [...branches, ...(zeros > 0 ? [`${zeros} zero`] : [])]
  const lines: string[] = []
  for (const word of words) {
    const line = lines[lines.length - 1]
    if (line !== undefined && line.length + 3 + word.length <= BRANCH_CHARS) lines[lines.length - 1] += `   ${word}`
    else lines.push(word)
  }
  return lines
}

interface Lane {
  /** Places of the box whose value it carries and of those it goes to. */
  readonly from: number
  readonly to: readonly number[]
  readonly lane: number
}

/** One line for every box whose value goes further than to the next box; short ones stay next to the boxes. */
function assignLanes(boxes: readonly Placed[]): Lane[] {
  const targets = new Map<number, number[]>()
  for (const [to, box] of boxes.entries()) {
    for (const from of box.from) if (from !== to - 1) targets.set(from, [...(targets.get(from) ?? []), to])
  }
  const spans = [...targets].map(([from, to]) => ({ from, to, end: Math.max(...to) }))
  const taken: { readonly from: number; readonly end: number }[][] = []
  return spans
    .sort((a, b) => a.end - a.from - (b.end - b.from))
    .map((span) => {
      const isFree = (others: typeof spans | (typeof taken)[number]) =>
        others.every(({ from, end }) => end < span.from || from > span.end)
      const free = taken.findIndex(isFree)
      const lane = free < 0 ? taken.push([]) - 1 : free
      taken[lane].push(span)
      return { from: span.from, to: span.to, lane }
    })
}

function laneLine({ from, to, lane }: Lane, boxes: readonly Placed[], left: number): string {
  const x = left - 18 - LANE * lane
  const start = boxes[from].y + boxes[from].height - 7
  return to
    .map((target) => {
      const end = boxes[target].y + 8
      const path = `M${left},${start} H${x + 5} Q${x},${start} ${x},${start + 5} V${end - 5} Q${x},${end} ${x + 5},${end} H${left - 1}`
      return `<path d="${path}" fill="none" stroke="#777" marker-end="url(#tip)"/>`
    })
    .join('')
}

function heading({ name, relus, drelus, params, macs, roundTrips, backend }: Inspection, left: number): string[] {
  const ofThem = drelus === relus ? '' : `, ${count(drelus)} DReLUs`
  const trips = roundTrips === null ? '' : ` · ${count(roundTrips)} round trips on ${backend}`
  return [
    `<text x="${left}" y="28" font-size="18" font-weight="bold">${escaped(name)}</text>`,
    `<text x="${left}" y="48" fill="#444">${count(relus)} ReLUs${ofThem} · ${count(params)} parameters · ${count(macs)} multiplications${trips}</text>`,
    `<text x="${left + WIDTH + 24}" y="${TOP - 8}" fill="#444">ReLUs${drelus === relus ? '' : ' (dark: DReLUs)'}</text>`,
  ]
}

function boxLines(box: Placed, above: string | undefined, place: number, left: number): string[] {
  const [fill, stroke] = FILLS[box.kind]
  const middle = left + WIDTH / 2
  const words = boxWords(box).map(({ text, isActivation }) =>
    isActivation ? `<tspan fill="#b4520f" font-weight="bold">${escaped(text)}</tspan>` : escaped(text),
  )
  const isNext = above !== undefined && box.from.includes(place - 1)
  return [
    ...(isNext
      ? [`<path d="M${middle},${box.y - GAP} V${box.y - 1}" stroke="#666" fill="none" marker-end="url(#tip)"/>`]
      : []),
    `<g><title>${escaped(box.id)}</title><rect x="${left}" y="${box.y}" width="${WIDTH}" height="${box.height}" rx="5" fill="${fill}" stroke="${stroke}"/>`,
    `<text x="${left + 10}" y="${box.y + 18}">${words.join(' · ')}</text>`,
    `<text x="${left + WIDTH - 10}" y="${box.y + 18}" text-anchor="end" fill="#444">${shapeWords(box.out)}</text>`,
    ...box.lines.map(
      (line, i) =>
        `<text x="${left + 10}" y="${box.y + HEAD + 10 + LINE * i}" font-size="11" fill="#555" xml:space="preserve">${escaped(line)}</text>`,
    ),
    '</g>',
  ]
}

function reluBar({ y, relus, drelus }: Placed, x: number, most: number): string[] {
  const bar = (value: number, fill: string) =>
    `<rect x="${x}" y="${y + 7}" width="${((BAR * value) / most).toFixed(1)}" height="14" fill="${fill}"/>`
  const text = drelus === relus ? count(relus) : `${count(drelus)} of ${count(relus)}`
  return [
    bar(relus, '#f6d3b5'),
    bar(drelus, '#e07b39'),
    `<text x="${(x + (BAR * relus) / most + 6).toFixed(1)}" y="${y + 18}" fill="#444">${text}</text>`,
  ]
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text of a file, which may hold anything: also without control characters, which XML forbids. */
function escaped(text: string): string {
  return [...text]
    .map(
      (c) => ENTITIES[c] ?? (c < ' ' || (/[\ud800-\udfff\ufffe\uffff]/.test(c) === true && c.length === 1) ? '?' : c),
    )
    .join('')
}
