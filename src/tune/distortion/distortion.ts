// Measures how much the outputs of a network change when one channel of one activation layer uses a block: what the
// knapsack weighs against comparisons (arXiv 2304.10442, §4).
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { quote } from '../../model/json/fields.js'
import type { Layer, Pair } from '../../model/layers/layers.js'
import { checkInput } from '../../model/pictures/input.js'
import { formatShape } from '../../model/shape.js'
import type { Weights } from '../../model/weights.js'
import { shortened } from '../knapsack/problem.js'
import { type PoolOptions, runTasks } from '../workers/pool.js'
import { type DistortionSetup, type DistortionTask, keepsPasses } from './job.js'
import { nestedLevels } from './nested-masks.js'
import {
  activationLayers,
  channelCount,
  type DistortionTable,
  isCandidate,
  isTooLarge,
  type LayerDistortion,
  specNameOf,
} from './table.js'

/** Plain ReLU, eight blocks that halve what is compared again and again, and no ReLU at all. */
export const COMMON_BLOCKS: readonly Pair[] = [
  ...([1, 2, 4, 8] as const).flatMap((side): Pair[] => {
    const square: Pair = [side, side]
    return side === 1 || side === 2 ? [square, [side, 2 * side], [2 * side, side]] : [square]
  }),
  [0, 1],
]

/** The part of its elements that each nested mask of a channel keeps. */
export const MASK_SHARES: readonly number[] = [0.75, 0.5, 0.25, 0.12, 0.06, 0]

/** How far a measurement is. */
export interface DistortionProgress {
  /** Share of the work, 0 to 1. */
  readonly done: number
  /** Rows of channels that are measured, of `rows`. */
  readonly measured: number
  readonly rows: number
  readonly layer: string
  /** What is measured so far, good until the next call. */
  readonly table: DistortionTable
}

/** What is measured, and by whom. */
export interface DistortionOptions extends PoolOptions {
  /** Candidates: [height, width], [0,1] identity, [1,0] zero. `COMMON_BLOCKS` without it. */
  readonly blocks?: readonly Pair[]
  /** Whether every layer is also measured as identity throughout. Default true. */
  readonly wholeLayers?: boolean
  /**
   * Measures masks of single elements too: the part of a channel's elements, 0 to 1 and falling, that each one keeps
   * (`MASK_SHARES`). Which elements those are is an estimate, from what each would pass on if it were not switched: its
   * mean squared difference over the inputs. What the masks do to the outputs is measured. None without it.
   */
  readonly masks?: readonly number[]
  /** What an earlier call with the same network, inputs and candidates measured; only the rest is. */
  readonly resume?: DistortionTable
  /** Told after every row. */
  readonly onProgress?: (progress: DistortionProgress) => void
}

/**
 * Mean squared change of the outputs (over inputs and outputs) for every layer, channel and candidate, when all other
 * activations stay plain. Only what lies behind the changed layer is computed. The result has the same bits whoever works.
 * @param inputs CHW, preprocessed
 * @throws RingfenceError BAD_INPUT without inputs, for inputs, candidates or a table to resume that do not fit; ABORTED by
 *   `signal`, when the last table that `onProgress` got can be resumed
 */
export async function distortion(
  arch: Architecture,
  weights: Weights,
  inputs: readonly Float32Array[],
  options: DistortionOptions = {},
): Promise<DistortionTable> {
  const { blocks = COMMON_BLOCKS, wholeLayers = true, masks: shares = [], resume, onProgress } = options
  const layers = activationLayers(arch)
  checkOptions(arch, layers, inputs, blocks, shares, resume)
  const setup = { arch, weights, inputs, blocks }
  const measured = new Map(layers.map((layer) => [specNameOf(layer), startOf(layer, blocks, resume)]))
  if (shares.length > 0) await addMasks(setup, layers, measured, shares, options)
  const table: DistortionTable = { format: 'distortion/1', network: arch.name, images: inputs.length, layers: measured }
  const tasks = tasksFor(arch, inputs, layers, measured, wholeLayers)
  const behind = workBehind(arch)
  const load = tasks.map((task) => behind.get(task.layer)! * changesOf(task, blocks.length))
  const rows = [...measured.values()].reduce((sum, { shape, masks }) => sum + channelCount(shape) * (masks ? 2 : 1), 0)
  const work = load.reduce((sum, one) => sum + one, 0)
  const finished = rows - tasks.reduce((sum, task) => sum + rowsOf(task), 0)
  let [worked, count] = [0, finished]
  const onResult = (values: Float64Array, index: number) => {
    const task = tasks[index]
    const name = specNameOf(arch.byId.get(task.layer)!)
    const layer = measured.get(name)!
    if (!('from' in task)) measured.set(name, { ...layer, identity: values[0] })
    else if (task.masks) layer.masks!.values.set(values, task.from * task.masks.count)
    else layer.values.set(values, task.from * blocks.length)
    worked += load[index]
    count += rowsOf(task)
    onProgress?.({ done: worked / work, measured: count, rows, layer: name, table })
  }
  await runTasks('distortion', setup, tasks, onResult, options)
  return table
}

const rowsOf = (task: DistortionTask): number => ('from' in task ? task.to - task.from : 0)
const changesOf = (task: DistortionTask, blocks: number): number =>
  'from' in task ? rowsOf(task) * (task.masks?.count ?? blocks) : 1

/** Ranks the elements of every layer that has no masks yet. */
async function addMasks(
  setup: DistortionSetup,
  layers: readonly Layer[],
  measured: Map<string, LayerDistortion>,
  shares: readonly number[],
  options: PoolOptions,
): Promise<void> {
  const open = layers.filter((layer) => measured.get(specNameOf(layer))!.masks?.count !== shares.length)
  const onResult = (importance: Float64Array, index: number) => {
    const { out } = open[index]
    const name = specNameOf(open[index])
    const levels = nestedLevels(importance, out, shares)
    const values = new Float64Array(channelCount(out) * shares.length).fill(Number.NaN)
    measured.set(name, { ...measured.get(name)!, masks: { count: shares.length, levels, values } })
  }
  const tasks = open.map(({ id }) => ({ layer: id, elements: true }) as const)
  await runTasks('distortion', setup, tasks, onResult, options)
}

function checkOptions(
  arch: Architecture,
  layers: readonly Layer[],
  inputs: readonly Float32Array[],
  blocks: readonly Pair[],
  shares: readonly number[],
  resume: DistortionTable | undefined,
): void {
  const problems: string[] = []
  if (inputs.length === 0) problems.push('inputs: expected at least one, got none')
  for (const input of inputs) checkInput(input, arch.inputs[0].shape)
  if (layers.length === 0) problems.push(`network ${quote(arch.name)} has no activation`)
  if (blocks.length === 0) problems.push('blocks: expected at least one candidate')
  const keys = blocks.map((block) => (isCandidate(block) ? formatShape(block) : undefined))
  keys.forEach((key, i) => {
    if (key === undefined) {
      problems.push(`blocks: expected [height, width] >= 1, [0,1] or [1,0], got ${quote(blocks[i])}`)
    } else if (keys.indexOf(key) < i) problems.push(`blocks: ${key} stands there twice`)
  })
  const falls = shares.every((share, j) => share >= 0 && share <= (j === 0 ? 1 : shares[j - 1]))
  if (!falls || shares.length > 255)
    problems.push('masks: expected at most 255 shares from 0 to 1, none above the last')
  if (resume) problems.push(...resumeProblems(arch, layers, inputs.length, blocks, resume))
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'distortions cannot be measured:', shortened(problems))
}

function resumeProblems(
  arch: Architecture,
  layers: readonly Layer[],
  images: number,
  blocks: readonly Pair[],
  resume: DistortionTable,
): string[] {
  const problems: string[] = []
  if (resume.network !== arch.name) problems.push(`resume: the table is of ${resume.network}, not of ${arch.name}`)
  if (resume.images !== images) problems.push(`resume: the table is of ${resume.images} images, not of ${images}`)
  const wanted = JSON.stringify(blocks)
  const others = layers.filter((layer) => {
    const known = resume.layers.get(specNameOf(layer))
    return known && JSON.stringify(known.blocks) !== wanted
  })
  return [...problems, ...others.map((layer) => `resume: layer ${specNameOf(layer)} has other candidates`)]
}

/** What is known of a layer at the start, in memory of its own. */
function startOf(layer: Layer, blocks: readonly Pair[], resume: DistortionTable | undefined): LayerDistortion {
  const known = resume?.layers.get(specNameOf(layer))
  if (known) {
    const { masks } = known
    return {
      ...{ ...known, values: known.values.slice() },
      ...(masks ? { masks: { ...masks, values: masks.values.slice() } } : {}),
    }
  }
  const size = channelCount(layer.out) * blocks.length
  return { shape: layer.out, blocks, values: new Float64Array(size).fill(Number.NaN) }
}

/** What is not measured yet, layer after layer. */
function tasksFor(
  arch: Architecture,
  inputs: readonly Float32Array[],
  layers: readonly Layer[],
  measured: ReadonlyMap<string, LayerDistortion>,
  wholeLayers: boolean,
): DistortionTask[] {
  const together = keepsPasses({ arch, inputs }) ? 1 : CHANNELS_A_TASK
  return layers.flatMap((layer): DistortionTask[] => {
    const { blocks, values, identity, masks } = measured.get(specNameOf(layer))!
    const fits = blocks.map((block) => !isTooLarge(block, layer.out))
    const isOpen = (c: number) => fits.some((fit, j) => fit && Number.isNaN(values[c * blocks.length + j]))
    const isUnmasked = (c: number) => masks?.values.subarray(c * masks.count, (c + 1) * masks.count).some(Number.isNaN)
    const channels = channelCount(layer.out)
    const tasks: DistortionTask[] = runsOf(channels, together, isOpen).map((run) => ({ layer: layer.id, ...run }))
    if (masks) {
      const nested = { count: masks.count, levels: masks.levels }
      for (const run of runsOf(channels, together, isUnmasked)) tasks.push({ layer: layer.id, ...run, masks: nested })
    }
    if (wholeLayers && identity === undefined) tasks.push({ layer: layer.id, identity: true })
    return tasks
  })
}

/** Runs of at most `most` neighbours that are open. */
function runsOf(
  count: number,
  most: number,
  isOpen: (c: number) => boolean | undefined,
): { readonly from: number; readonly to: number }[] {
  const runs: { from: number; to: number }[] = []
  for (let from = 0; from < count; from++) {
    if (!isOpen(from)) continue
    let to = from + 1
    while (to < count && to - from < most && isOpen(to)) to++
    runs.push({ from, to })
    from = to - 1
  }
  return runs
}

/** Where values are not kept, every task begins with all inputs' way through the network. */
const CHANNELS_A_TASK = 8

/** Per layer the multiplications behind it, and something for what else is to do. */
function workBehind(arch: Architecture): ReadonlyMap<string, number> {
  let sum = 1e5
  return new Map(
    countNetwork(arch)
      .layers.toReversed()
      .map(({ id, macs }) => {
        const behind = sum
        sum += macs
        return [id, behind]
      }),
  )
}
