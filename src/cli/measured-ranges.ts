// The measuring part of `ringfence calibrate`: once for the network as it is, and again with the factors that followed.
import { RingfenceError } from '../errors.js'
import type { ImageSet } from '../files/image-set.js'
import type { ModelDirectory } from '../files/model-directory.js'
import type { PartFile } from '../files/part-file.js'
import type { Weights } from '../model/weights.js'
import { type ChannelFactors, equalize } from '../plan/equalize/equalize.js'
import { channelFactors, type FactorsPer } from '../tune/calibration/channel-factors.js'
import { formatRanges, measureRanges, parseRanges, type Ranges } from '../tune/calibration/ranges.js'
import { measurementKey } from '../tune/distortion/part.js'
import { startThreads } from '../tune/workers/pool.node.js'
import type { ProgressBar } from './terminal/progress-bar.js'
import { Remaining } from './terminal/remaining.js'

export interface Measured {
  /** Of the network as it is. */
  readonly plain: Ranges
  /** Undefined where no factors were asked for. */
  readonly channels: ChannelFactors | undefined
  /** Of the network with its factors. */
  readonly ranges: Ranges
}

interface Order {
  readonly per: FactorsPer | undefined
  readonly margin: number
  readonly threads: number
  readonly force: boolean
}

/** Measures, keeping in `part` what is known, and going on from what that holds. @throws RingfenceError ABORTED */
export async function measuredRanges(
  order: Order,
  model: ModelDirectory,
  images: ImageSet,
  part: PartFile,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<Measured> {
  const { arch, weights, spec } = model
  const { per, margin } = order
  const factors = per ? ` ${per} ${margin}` : ''
  const key = measurementKey(
    { ...arch, name: `${arch.name} ranges ${specKey(spec)}${factors}` },
    weights,
    images.inputs,
    [],
  )
  const text = order.force ? undefined : await part.read()
  const left = text === undefined ? {} : resumed(text, key, part.path)
  const measure = async (own: Weights, stage: string, resume: Ranges | undefined, known: object): Promise<Ranges> => {
    const remaining = new Remaining()
    const onProgress = (done: number, ranges: Ranges) => {
      bar.update(done, stage, [`${ranges.inputs} of ${images.inputs.length} pictures`, remaining.text(done)].join('  '))
      part.keep(() => JSON.stringify({ format: PART, key, ...known, ranges: JSON.parse(formatRanges(ranges)) }))
    }
    try {
      const options = { startPool: startThreads(order.threads), signal, onProgress, ...(resume ? { resume } : {}) }
      return await measureRanges({ arch, weights: own, spec }, images.inputs, options)
    } catch (error) {
      throw await part.left(error)
    }
  }
  const plain = left.plain ?? (await measure(weights, 'measuring', left.ranges, {}))
  if (!per) return { plain, channels: undefined, ranges: plain }
  const channels = channelFactors(arch, plain, { per, margin })
  const known = { plain: JSON.parse(formatRanges(plain)) }
  const resume = left.plain && left.ranges
  const ranges = await measure(equalize(arch, weights, channels), 'measuring with factors', resume, known)
  return { plain, channels, ranges }
}

const PART = 'ranges-part/1'

const specKey = (spec: ModelDirectory['spec']): string =>
  spec ? JSON.stringify([...spec.layers].map(([id, relu]) => [id, relu])) : ''

/** `plain` is there once it is complete; `ranges` then are those with factors. */
function resumed(text: string, key: string, path: string): { plain?: Ranges; ranges?: Ranges } {
  let part: { format?: unknown; key?: unknown; plain?: unknown; ranges?: unknown } = {}
  try {
    part = JSON.parse(text)
  } catch {}
  if (part.format === PART && part.key === key) {
    return { ...(part.plain ? { plain: parseRanges(part.plain) } : {}), ranges: parseRanges(part.ranges) }
  }
  throw new RingfenceError(
    'BAD_INPUT',
    `${path} was left by a measurement of another model or other pictures; go on with those, or start anew with --force`,
  )
}
