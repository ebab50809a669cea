// Masks of single elements for the planner: per channel a few that keep ever fewer ReLUs, each within the one before it.
import { type Fields, quote } from '../../model/json/fields.js'
import { fromBase64, toBase64 } from '../../model/relu/mask-bits.js'
import { asMap, elementCount, type Shape } from '../../model/shape.js'

/** A layer's nested masks, and how much the outputs change when one channel uses one of them. */
export interface LayerMasks {
  /** Masks that every channel has, at most 255. */
  readonly count: number
  /** Per element, in CHW order, how many of its channel's masks keep its ReLU: mask j does where it is more than j. */
  readonly levels: Uint8Array
  /**
   * Mean squared change of the outputs when all that mask j of channel c does not keep is passed on unchanged: value
   * c * count + j. NaN where nothing was measured yet.
   */
  readonly values: Float64Array
}

/** How many elements of a channel every mask keeps. */
export function keptCounts({ count, levels }: Pick<LayerMasks, 'count' | 'levels'>, shape: Shape): readonly number[][] {
  const [channels, height, width] = asMap(shape)
  return Array.from({ length: channels }, (_, c) => {
    const kept = new Array<number>(count).fill(0)
    for (const level of levels.subarray(c * height * width, (c + 1) * height * width)) {
      for (let j = 0; j < level; j++) kept[j]++
    }
    return kept
  })
}

/** The elements that mask `j` of each channel keeps, one byte each; `j` is -1 where a channel keeps all of them. */
export function maskOf({ levels }: LayerMasks, shape: Shape, choice: readonly number[]): Uint8Array {
  const [, height, width] = asMap(shape)
  return levels.map((level, i) => Number(level > choice[Math.floor(i / (height * width))]))
}

/**
 * Ranks every channel's elements by importance and keeps, for each share, that part of them; the first of equal ones.
 * @param importance per element, CHW; larger is kept longer
 * @param shares of a channel's elements, each 0 to 1, falling
 */
export function nestedLevels(importance: Float64Array, shape: Shape, shares: readonly number[]): Uint8Array {
  const [channels, height, width] = asMap(shape)
  const plane = height * width
  const levels = new Uint8Array(channels * plane)
  const kept = shares.map((share) => Math.round(share * plane))
  for (let c = 0; c < channels; c++) {
    const order = Uint32Array.from({ length: plane }, (_, i) => c * plane + i)
    order.sort((a, b) => importance[b] - importance[a] || a - b)
    for (const [rank, i] of order.entries()) levels[i] = kept.filter((count) => rank < count).length
  }
  return levels
}

/** As a `distortion/1` file holds them; null for NaN. */
export function masksJson({ count, levels, values }: LayerMasks, rows: number): object {
  const row = (c: number) => [...values.subarray(c * count, (c + 1) * count)]
  return { count, levels: toBase64(levels), values: Array.from({ length: rows }, (_, c) => row(c)) }
}

/**
 * Reads what `masksJson` wrote; adds what is wrong to the problems of `fields`.
 * @param partial accepts values that were not measured yet
 */
export function readMasks(fields: Fields, shape: Shape, partial: boolean): LayerMasks | undefined {
  const channels = asMap(shape)[0]
  const count = fields.integer('count', { min: 1, max: 255 })
  const levels = readLevels(fields, count, elementCount(shape))
  const rows = fields.value('values')
  const values = new Float64Array(channels * Math.max(count, 1)).fill(Number.NaN)
  fields.noOthers()
  if (!Array.isArray(rows) || rows.length !== channels) {
    fields.fault('values', `${channels} rows, one per channel`)
    return undefined
  }
  for (const [c, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length !== count) {
      fields.problem(`channel ${c}: expected ${count} numbers, one per mask, got ${quote(row)}`)
      continue
    }
    for (const [j, value] of row.entries()) {
      if (typeof value === 'number' && Number.isFinite(value) && value >= 0) values[c * count + j] = value
      else if (value !== null || !partial) {
        fields.problem(`channel ${c}, mask ${j}: expected a number >= 0, got ${quote(value)}`)
      }
    }
  }
  return fields.failed ? undefined : { count, levels, values }
}

function readLevels(fields: Fields, count: number, elements: number): Uint8Array {
  const levels = tryBase64(fields.string('levels'))
  if (!levels) fields.fault('levels', 'base64')
  else if (levels.length !== elements) {
    fields.problem(`levels: expected ${elements} bytes, one per element, got ${levels.length}`)
  } else {
    const most = levels.reduce((high, level) => Math.max(high, level), 0)
    if (most > count) fields.problem(`levels: expected at most ${count}, one per mask, got ${most}`)
  }
  return levels ?? new Uint8Array(0)
}

function tryBase64(text: string): Uint8Array | undefined {
  try {
    return fromBase64(text)
  } catch {
    return undefined
  }
}
