// Draws a network as SVG: boxes from the input down with bars for their ReLUs, lines at the left for what skips boxes.
import type { Architecture } from '../../model/architecture.js'
import { shapeWords } from '../../model/layers/words.js'
import type { Inspection } from '../../tune/inspection/inspect-network.js'
import { begun, count, wrapped } from '../terminal/terminal.js'
import { type Box, boxWords, diagramBoxes } from './diagram-boxes.js'
import { charsIn, escaped, round, svgDocument, svgText } from './svg.js'

/** Of a box; with a lane or two the picture is as wide as a telephone. */
const WIDTH = 350
const INSET = 10
const GAP = 16
const WORDS = 12
const BRANCHES = 11
const LINE = 16
const LANE = 11
const MARGIN = 12
/** Of the longest bar; its count stands beside it. */
const BAR = 160

interface Placed extends Box {
  readonly y: number
  readonly height: number
  readonly words: readonly Words[]
  readonly branchLines: readonly string[]
  readonly relus: number
  readonly drelus: number
}

/** What stands on one line of a box. */
type Words = readonly { readonly text: string; readonly isActivation: boolean }[]

/** An SVG image of the layers with their ReLU counts. */
export function layerDiagram(arch: Architecture, inspection: Inspection): string {
  const plain = diagramBoxes(arch)
  const lanes = assignLanes(plain)
  const left = MARGIN + (lanes.length === 0 ? 0 : 18 + LANE * Math.max(...lanes.map(({ lane }) => lane)))
  const width = left + WIDTH + MARGIN
  const heading = headingLines(inspection, width)
  const boxes = placeBoxes(plain, inspection, heading.bottom)
  const last = boxes[boxes.length - 1]
  const most = Math.max(1, ...boxes.map(({ relus }) => relus))
  const tip =
    '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="6" refY="3" orient="auto"><path d="M0,0 L7,3 L0,6 z" class="fill-pale"/></marker></defs>'
  return svgDocument(width, last.y + last.height + 16, arch.name, [
    tip,
    ...heading.body,
    ...lanes.map((lane) => laneLine(lane, boxes, left)),
    ...boxes.flatMap((box, i) => boxLines(box, i, left, most)),
  ])
}

function headingLines(inspection: Inspection, width: number): { body: string[]; bottom: number } {
  const { name, relus, drelus, params, macs, roundTrips, backend } = inspection
  const ofThem = drelus === relus ? '' : `, ${count(drelus)} DReLUs`
  const trips = roundTrips === null ? '' : ` · ${count(roundTrips)} round trips on ${backend}`
  const facts = `${count(relus)} ReLUs${ofThem} · ${count(params)} parameters · ${count(macs)} multiplications${trips}`
  const bars = relus === 0 ? [] : [`bars: ReLUs${drelus === relus ? '' : ', in strong colour: DReLUs'}`]
  const small = [facts, ...bars].flatMap((line) => wrapped(line, charsIn(width - 2 * MARGIN, WORDS)).split('\n'))
  return {
    body: [
      svgText(MARGIN, 28, begun(name, charsIn(width - 2 * MARGIN, 18)), { size: 18, bold: true }),
      ...small.map((line, i) => svgText(MARGIN, 48 + LINE * i, line, { size: WORDS, color: 'pale' })),
    ],
    bottom: 48 + LINE * small.length,
  }
}

function placeBoxes(boxes: readonly Box[], { layers }: Inspection, top: number): Placed[] {
  const counts = new Map(layers.map((layer) => [layer.id, layer]))
  let y = top
  return boxes.map((box) => {
    const sum = (of: 'relus' | 'drelus') => box.layers.reduce((total, { id }) => total + (counts.get(id)?.[of] ?? 0), 0)
    const words = wordLines(box)
    const lines = branchLines(box)
    const relus = sum('relus')
    const height = 12 + LINE * (words.length + lines.length + (relus > 0 ? 1 : 0))
    const placed = { ...box, y, height, words, branchLines: lines, relus, drelus: sum('drelus') }
    y += height + GAP
    return placed
  })
}

/** As many words on a line as fit, beside the shape on the first. */
function wordLines(box: Box): Words[] {
  const room = charsIn(WIDTH - 2 * INSET, WORDS)
  const lines: { text: string; isActivation: boolean }[][] = []
  let free = 0
  for (const { text, isActivation } of boxWords(box)) {
    const line = lines[lines.length - 1]
    if (line && text.length + 3 <= free) line.push({ text, isActivation })
    else {
      free = room - (line ? 0 : shapeWords(box.out).length + 2) + 3
      lines.push([{ text: begun(text, free - 3), isActivation }])
    }
    free -= Math.min(text.length + 3, free)
  }
  return lines
}

function branchLines({ branches, zeros }: Box): string[] {
  const room = charsIn(WIDTH - 2 * INSET, BRANCHES)
  const lines: string[] = []
  for (const whole of [...branches, ...(zeros > 0 ? [`${zeros} zero`] : [])]) {
    const word = begun(whole, room)
    const line = lines[lines.length - 1]
    if (line !== undefined && line.length + 3 + word.length <= room) lines[lines.length - 1] += `   ${word}`
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
function assignLanes(boxes: readonly Box[]): Lane[] {
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
      return `<path d="${path}" fill="none" class="line-pale" marker-end="url(#tip)"/>`
    })
    .join('')
}

function boxLines(box: Placed, place: number, left: number, most: number): string[] {
  const { y, height, kind, words, out, relus } = box
  const middle = left + WIDTH / 2
  const arrow = `<path d="M${middle},${y - GAP} V${y - 1}" class="line-pale" fill="none" marker-end="url(#tip)"/>`
  const line = (i: number) => y + 4 + LINE * (i + 1) - 3
  return [
    ...(place > 0 && box.from.includes(place - 1) ? [arrow] : []),
    `<g><title>${escaped(box.id)}</title><rect x="${left}" y="${y}" width="${WIDTH}" height="${height}" rx="5" class="fill-${kind} line-pale" stroke-opacity="0.6"/>`,
    ...words.map((each, i) => wordsText(left + INSET, line(i), each)),
    svgText(left + WIDTH - INSET, line(0), shapeWords(out), { size: WORDS, color: 'pale', anchor: 'end' }),
    ...box.branchLines.map((text, i) =>
      svgText(left + INSET, line(words.length + i), text, { size: BRANCHES, color: 'pale' }),
    ),
    ...(relus > 0 ? reluBar(box, left + INSET, line(words.length + box.branchLines.length), most) : []),
    '</g>',
  ]
}

function wordsText(x: number, y: number, words: Words): string {
  const spans = words.map(({ text, isActivation }) =>
    isActivation ? `<tspan class="fill-accent" font-weight="bold">${escaped(text)}</tspan>` : escaped(text),
  )
  return `<text x="${x}" y="${y}" font-size="${WORDS}" class="fill-ink">${spans.join(' · ')}</text>`
}

function reluBar({ relus, drelus }: Placed, x: number, y: number, most: number): string[] {
  const bar = (value: number, color: string) =>
    `<rect x="${x}" y="${y - 9}" width="${round((BAR * value) / most)}" height="10" class="fill-${color}"/>`
  const text = drelus === relus ? count(relus) : `${count(drelus)} of ${count(relus)}`
  const label = svgText(x + (BAR * relus) / most + 6, y, text, { size: BRANCHES, color: 'pale' })
  return [bar(relus, 'relu'), bar(drelus, 'drelu'), label]
}
