// How much the wrong signs of one layer move the outputs: measured with the integer reference, one layer at a time.
import type { Calibration } from '../../plan/calibrate.js'
import { compile } from '../../plan/compile/compile.js'
import type { LogitsPart, LogitsTask } from '../evaluation/logits-job.js'
import { type PoolOptions, runTasks } from '../workers/pool.js'
import type { Ranges } from './ranges.js'
import type { RangesSetup } from './ranges-job.js'
import { comparedLayers, type WindowOptions, wrongSigns } from './windows.js'

export interface GainOptions extends PoolOptions, Pick<WindowOptions, 'ring' | 'bits' | 'margin'> {
  /** Told which share of the work is done, 0 to 1. */
  readonly onProgress?: (done: number) => void
}

/** The noise at which a layer is probed: visible in the outputs, not yet all there is to see. */
const PROBE = 0.08

/**
 * Mean squared change of the outputs by the squared noise of each layer, as `wrongSigns` gives it.
 * @param inputs a few, CHW, preprocessed: each is run once per layer
 * @returns by id of the activation layer
 * @throws RingfenceError as `compile`; ABORTED by `signal`
 */
export async function measureGains(
  { arch, weights, spec }: RangesSetup,
  inputs: readonly Float32Array[],
  ranges: Ranges,
  calibration: Calibration,
  { ring = 32, bits = 16, margin = 1, startPool, signal, onProgress }: GainOptions = {},
): Promise<ReadonlyMap<string, number>> {
  const compiled = compile(arch, weights, calibration, spec, { ring, bits, margin, lo: 0 })
  const probes = comparedLayers(compiled.plan, ranges).map(({ id, scale, sample }) => {
    const noise = (lo: number) => wrongSigns(sample, 2 ** (lo - scale)).noise
    let lo = 1
    while (lo < bits - 2 && noise(lo) < PROBE) lo++
    return { id, lo, noise: noise(lo) }
  })
  const kinds = [undefined, ...probes.map(({ id, lo }) => ({ [id]: lo }))]
  const tasks = inputs.flatMap((input, first) =>
    kinds.map((lo): LogitsTask => ({ first, inputs: [input], ...(lo ? { lo } : {}) })),
  )
  const logits: Float32Array[] = []
  let done = 0
  const onResult = (part: LogitsPart, index: number) => {
    logits[index] = part.logits[0]
    onProgress?.(++done / tasks.length)
  }
  await runTasks('reference', { compiled }, tasks, onResult, { startPool, signal })
  const outputs = logits[0].length
  const gains = probes.map(({ id, noise }, l) => {
    const squares = inputs.map((_, i) => {
      const [exact, changed] = [logits[i * kinds.length], logits[i * kinds.length + l + 1]]
      return changed.reduce((sum, value, k) => sum + (value - exact[k]) ** 2, 0)
    })
    const change = squares.reduce((sum, square) => sum + square, 0) / (inputs.length * outputs)
    return [id, noise === 0 ? 0 : change / noise ** 2] as const
  })
  return new Map(gains)
}
