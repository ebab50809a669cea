// Measures the distortion table of a model's folder on a set of pictures, and writes it.

import { availableParallelism } from 'node:os'
import type { Resize } from '../model/pictures/resize.js'
import { COMMON_BLOCKS, type DistortionOptions, distortion } from '../tune/distortion/distortion.js'
import { formatDistortionPart, parseDistortionPart } from '../tune/distortion/part.js'
import { type DistortionTable, formatDistortionTable } from '../tune/distortion/table.js'
import { measurementKey } from '../tune/part.js'
import { readImageSet } from './image-set.js'
import { type MeasuringOptions, poolOf, queueOf, resumably, type Shared } from './measuring.js'
import { loadModelDirectory } from './model-directory.js'
import { findModel, loadPlainModel } from './prepared-model.js'
import { requireWritable, writeText } from './whole-files.js'

/** Which model on which pictures, and as `distortion`. */
export interface MeasureDistortionOptions
  extends MeasuringOptions,
    Shared,
    Pick<DistortionOptions, 'blocks' | 'masks'> {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  /** Default the first of plain ReLUs. */
  readonly variant?: string
  /** Also takes weights that were trained for a ReLU spec, with plain ReLUs in its place: for a plan after training. */
  readonly restored?: boolean
  /** As `readImageSet` reads; classes are not needed. */
  readonly images: string
  /** At most this many pictures, evenly spread; default 128. */
  readonly limit?: number
  /** Makes pictures of another size fit; without it they are refused. */
  readonly resize?: Resize
  /** Default `distortion.json`. */
  readonly output?: string
}

/** The table, and how it was made. */
export interface MeasuredDistortion {
  readonly network: string
  readonly variant: string
  /** The pictures, in words. */
  readonly images: string
  readonly output: string
  readonly table: DistortionTable
  /** Of channels; of their masks too, where there are some. */
  readonly rows: number
  readonly candidates: number
  /** Nested masks of every channel. */
  readonly masks: number
  /** Rows that an earlier run left. */
  readonly resumed: number
  readonly seconds: number
  readonly threads: number
}

/**
 * Measures how much the outputs of a model change when one channel shares its comparisons; writes a `distortion/1` file.
 * @throws RingfenceError BAD_INPUT for an output that is there, a model without a plain variant, or as `distortion`;
 *   BAD_FILE for files that cannot be read; ABORTED by `signal`, when `output`.part has what was measured and the same
 *   call goes on from there
 */
export async function measureDistortion(options: MeasureDistortionOptions): Promise<MeasuredDistortion> {
  const { output = 'distortion.json', force = false, blocks = COMMON_BLOCKS, masks = [], onProgress } = options
  const { limit = 128, threads = availableParallelism() } = options
  await requireWritable([output], force)
  onProgress?.({ stage: 'reading', done: 0 })
  const { arch, weights, variant } = await (options.restored
    ? loadModelDirectory(findModel(options.model), options.variant)
    : loadPlainModel(options.model, options.variant))
  const { inputs, source } = await readImageSet(options.images, arch, {
    limit,
    resize: options.resize,
    labelled: false,
  })
  const key = measurementKey(arch, weights, inputs, blocks, masks)
  const started = performance.now()
  let resumed: number | undefined
  const queue = await queueOf(options, key)
  const table = await resumably(
    output,
    options,
    (left, part) => {
      const resume = left === undefined ? undefined : parseDistortionPart(left, arch, key, part.path)
      if (!resume) resumed = 0
      return distortion(arch, weights, inputs, {
        ...{ blocks, masks, ...poolOf(options, queue), ...(resume ? { resume } : {}) },
        onProgress: ({ done, measured, rows, layer, table }) => {
          resumed ??= measured - 1
          onProgress?.({ stage: 'measuring', done, detail: `${measured} of ${rows} rows, ${layer}` })
          part.keep(() => formatDistortionPart(table, key))
        },
      })
    },
    (table) => writeText(output, formatDistortionTable(table), force),
  ).finally(() => queue?.close())
  const channels = [...table.layers.values()].reduce((sum, { values }) => sum + values.length / blocks.length, 0)
  const rows = masks.length > 0 ? 2 * channels : channels
  return {
    ...{ network: arch.name, variant, images: source, output, table, rows, candidates: blocks.length },
    ...{ masks: masks.length, resumed: Math.max(0, resumed ?? rows) },
    ...{ seconds: (performance.now() - started) / 1000, threads },
  }
}
