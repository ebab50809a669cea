// The charts of reports: well-formed, nothing clipped or overlapping, and every point seen.
import { describe, expect, it } from 'vitest'
import { type Chart, chartDocuments, chartsDocument } from '../../src/cli/report/chart.js'
import { circumstances, circumstancesWords } from '../../src/cli/report/circumstances.js'
import { pageHtml } from '../../src/cli/report/page.js'
import { front, type MadeEvaluation, paretoCharts, paretoSvg } from '../../src/cli/report/pareto-chart.js'
import type { VariantRow } from '../../src/files/evaluate-model.js'
import { misplaced } from '../fixtures/drawings.js'

const points = [
  [10, 0.5],
  [20, 0.9],
  [20, 0.8],
  [30, 0.85],
  [4000, 0.95],
].map(([x, y]) => ({ x, y, name: `${x}` }))

const chart = (series: Chart['series'], more: Partial<Chart> = {}): Chart => ({
  title: 'Right answers & what they cost, in a title that takes more than one line of a narrow picture',
  xTitle: 'comparisons',
  yTitle: 'correct',
  series,
  formatX: (x) => x.toLocaleString('en'),
  formatY: (y) => `${Number((100 * y).toFixed(2))} %`,
  yScale: 'share',
  note: 'what the marks mean, in as many words as it takes to be understood by whoever sees it for the first time',
  ...more,
})
const names = ['a<b', 'exact windows', 'of 8 bits on average', 'of 7 bits on average', 'as calibrated']
const many = chart(names.map((name, color) => ({ name, color, points })))

const circles = (svg: string) =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"/g)].map(([, x, y, r]) => [x, y, r].join())

describe('a chart', () => {
  it('is well-formed, with every point and its name', () => {
    const svg = chartsDocument('T & t', [many, many], ['foot'])
    expect(svg).toContain('T &amp; t')
    expect(svg).toContain('a&lt;b')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    for (const tag of ['svg', 'g', 'text', 'title']) {
      expect(svg.match(new RegExp(`<${tag}[ >]`, 'g'))!.length).toBe(svg.match(new RegExp(`</${tag}>`, 'g'))!.length)
    }
  })

  it('clips no text and writes none over another', () => {
    const bits = [4, 6, 8, 10, 12, 16, 20, 24, 32, 64]
    const rates = bits.map((x, i) => ({ x, y: i === 9 ? 0 : 10 ** -i }))
    const zeros = chart([{ name: 'rates', color: 0, points: rates, rings: rates, dashed: true }], {
      yScale: 'logarithmic',
      xTicks: bits,
      formatX: String,
    })
    const one = chart([{ name: 'one', color: 0, points: [{ x: 5, y: 1 }] }], { formatX: () => '1,234,567 comparisons' })
    // Several series that end in nothing, at the same place of the axis.
    const nothing = names.map((name, color) => ({ name, color, points: [...rates, { x: 64, y: 0 }] }))
    const ends = chart(nothing, { yScale: 'logarithmic', xTicks: bits, formatX: String })
    for (const svg of [
      ...chartDocuments([many, zeros, ends, one]),
      chartsDocument('all', [many, zeros, one], ['foot']),
    ]) {
      expect(misplaced(svg)).toEqual([])
      expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    }
  })

  it('would be found if it did', () => {
    const [svg] = chartDocuments([many])
    expect(misplaced(svg.replace('>comparisons<', `>${'comparisons '.repeat(9)}<`))).not.toEqual([])
    expect(misplaced(svg.replace('viewBox="0 0 400', 'viewBox="0 0 300'))).not.toEqual([])
  })

  it('shows points that coincide around each other', () => {
    const [svg] = chartDocuments([many])
    const seen = circles(svg)
    expect(seen).toHaveLength(25)
    expect(new Set(seen).size).toBe(25)
  })

  it('stands points of one size side by side', () => {
    const alike = points.map((point) => ({ ...point, x: 5, y: 1 }))
    const [svg] = chartDocuments([chart([{ name: 'one', color: 0, points: alike }])])
    expect(svg).not.toMatch(/NaN|Infinity/)
    expect(new Set(circles(svg)).size).toBe(5)
  })

  it('has a dark style', () => {
    expect(chartDocuments([many])[0]).toMatch(/@media\(prefers-color-scheme:dark\)\{\.fill-paper/)
  })
})

describe('the Pareto front', () => {
  it('holds the points that nothing beats', () => {
    expect(front(points).map(({ name, y }) => [name, y])).toEqual([
      ['10', 0.5],
      ['20', 0.9],
      ['4000', 0.95],
    ])
  })
})

describe('the charts of an evaluation', () => {
  const score = (correct: number) => {
    return { images: 10, correct, agreeing: correct, logits: [], predictions: [], overflows: 0, maxError: 0 }
  }
  const row = (variant: string, correct: number, more: Partial<VariantRow> = {}): VariantRow => ({
    ...{ variant, windows: 'exact', drelus: 5, flights: 4, onlineBytes: 3000, onlineSeconds: 2, coarse: [] },
    ...{ float: score(9), reference: score(correct), sample: null, ...more },
  })
  const evaluation = (...rows: VariantRow[]): MadeEvaluation => ({
    ...{ network: 'n', images: 'i', labelled: true, inputNotes: [], profile: 'lan', rows },
    circumstances: circumstances(),
  })
  const titles = (...rows: VariantRow[]) => paretoCharts(evaluation(...rows)).map(({ title }) => title)

  it('leave out what costs the same in every row', () => {
    expect(titles(row('a', 9), row('b', 8, { flights: 6 }))).toEqual(['By flights on line'])
    expect(titles(row('a', 9))).toHaveLength(4)
  })

  it('are one where all rows cost the same in every way', () => {
    expect(titles(row('a', 9), row('b', 8))).toEqual(['By comparisons'])
    expect(new Set(circles(paretoSvg(evaluation(row('a', 9), row('b', 8))))).size).toBe(2)
  })
})

describe('a page', () => {
  it('escapes what it shows and says when and on what it was made', () => {
    const made = circumstances()
    const page = pageHtml({
      title: 'T <script>',
      charts: [],
      tables: [{ head: ['<head>'], rows: [['cell']], words: 1 }],
      notes: [circumstancesWords(made)],
    })
    expect(page).toContain('<th class="word">&lt;head&gt;</th>')
    expect(page).not.toContain('<script>')
    for (const part of [made.machine, made.runtime, `ringfence ${made.ringfence}`, made.date.slice(0, 10)]) {
      expect(page).toContain(part.replaceAll('&', '&amp;'))
    }
    expect(made.ringfence).toMatch(/^\d+\.\d+\.\d+/)
  })
})
