// The leakage audit as a page: pictures beside what attacks made of them, then every attack's figures.
import { encode } from 'fast-png'
import type { Attack, Target } from '../../audit/audit.js'
import type { AuditedModel } from '../../files/training/audit-model.js'
import { type Circumstances, circumstancesWords } from './circumstances.js'
import { pageHtml } from './page.js'
import { svgDocument, svgText } from './svg.js'

const TITLES: Readonly<Record<Target, string>> = {
  control: 'Controls: nothing hides the values, or one mask hides all',
  view: 'What parties see',
  answer: 'What the answer alone says',
}
const SIDE = 56
const GAP = 4
const LINE = 18

export function auditHtml(report: AuditedModel, circumstances: Circumstances): string {
  const { network, variant, images, attacks, level, leaks, blind, recorded } = report
  const views = attacks.filter(({ target }) => target === 'view').length
  const sheets = isPicture(report.shape) ? (['control', 'view', 'answer'] as const) : []
  return pageHtml({
    title: `${network}, ${variant}: ${leaks === 0 ? 'no attack' : `${leaks} attacks`} of ${views} on what parties see found anything`,
    charts: sheets.map((target) => sheetOf(target, report)),
    tables: [
      {
        head: ['target', 'who sees it', 'attacked', 'by', 'hits', 'rank', 'p', 'PSNR, dB', 'of others, dB', 'found'],
        rows: attacks.map(rowOf),
        words: 4,
      },
    ],
    notes: [
      `${images}; regression learned from ${recorded} others. An attack found something where p is below ${level.toPrecision(2)}: ` +
        'how often pictures given out at random would fit the reconstructions as well.',
      'rank: the share of the other pictures that fit better than its own, 0.5 by chance. hits: reconstructions that fit no picture as well as their own.',
      ...(blind > 0 ? [`${blind} controls found nothing: these attacks prove nothing.`] : []),
      circumstancesWords(circumstances),
    ],
  })
}

const isPicture = ([channels, ...plane]: readonly number[]): boolean =>
  plane.length === 2 && (channels === 1 || channels === 3)

function rowOf({ target, party, of, by, verdict, found }: Attack): string[] {
  const { hits, count, rank, p, psnr, unrelated } = verdict
  const figures = [`${hits}/${count}`, rank.toFixed(3), p.toPrecision(2), psnr.toFixed(1), unrelated.toFixed(1)]
  return [target, party ?? '', of, by, ...figures, found ? 'yes' : 'no']
}

/** Rows of pictures: the true ones, then those of every attack; of views the ones that fit best. */
function sheetOf(target: Target, { attacks, shown, shape }: AuditedModel): string {
  const own = attacks.filter((attack) => attack.target === target)
  const rows = [...own].sort((a, b) => a.verdict.p - b.verdict.p).slice(0, 8)
  const range = rangeOf(shown)
  const all = [{ name: 'the pictures', pictures: shown }, ...rows.map(named)]
  const height = LINE + SIDE + GAP
  const body = all.flatMap(({ name, pictures }, i) => [
    svgText(0, 40 + i * height, name, { size: 12 }),
    ...pictures.map((picture, k) => {
      const at = `x="${k * (SIDE + GAP)}" y="${46 + i * height}" width="${SIDE}" height="${SIDE}"`
      return `<image ${at} style="image-rendering:pixelated" href="${dataUri(picture, shape, range)}"/>`
    }),
  ])
  const title = TITLES[target]
  const head = svgText(0, 16, title, { size: 14, bold: true })
  return svgDocument(shown.length * (SIDE + GAP), 40 + all.length * height, title, [head, ...body])
}

const named = ({ party, of, by, shown }: Attack) => ({
  name: `${party === null ? '' : `${party}: `}${of}, ${by}`,
  pictures: shown,
})

function rangeOf(pictures: readonly Float32Array[]): readonly [number, number] {
  const least = (list: Float32Array) => list.reduce((a, b) => Math.min(a, b))
  const most = (list: Float32Array) => list.reduce((a, b) => Math.max(a, b))
  return [Math.min(...pictures.map(least)), Math.max(...pictures.map(most))]
}

/** Levels from 0 to 255 over the true pictures' range. */
function dataUri(
  picture: Float32Array,
  [channels, height, width]: readonly number[],
  [low, high]: readonly [number, number],
): string {
  const plane = height * width
  const data = new Uint8ClampedArray(picture.length)
  picture.forEach((value, i) => {
    data[(i % plane) * channels + Math.floor(i / plane)] = (255 * (value - low)) / Math.max(high - low, 1e-9)
  })
  const png = encode({ width, height, channels: channels as 1 | 3, depth: 8, data: new Uint8Array(data.buffer) })
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`
}
