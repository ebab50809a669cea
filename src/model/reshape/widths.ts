// Other widths for the stages of a network: CryptoNAS's balancing (Ghodsi et al. 2020), as many ReLUs in every layer, and
// DeepReShape's reallocation (Jha and Reagen 2023), the stages' ReLUs in the order in which they matter.
import { RingfenceError, throwIfAny } from '../../errors.js'
import type { Json } from '../json/fields.js'
import { isActivation, type LayerOf } from '../layers/layers.js'
import type { Architecture } from '../network.js'
import { elementCount, type Shape } from '../shape.js'
import { closed, type LayerJson, opened } from './file.js'

/** The layers whose maps are of one size. */
export interface Stage {
  /** Height and width. */
  readonly map: readonly [number, number]
  /** Channels of its first activation. */
  readonly channels: number
  /** Elements of its activations, and how many activations there are. */
  readonly relus: number
  readonly layers: number
}

/** By the maps of its activations, in their order; what is no map belongs to none. */
export function stagesOf(arch: Architecture): readonly Stage[] {
  const stages = new Map<string, Stage>()
  for (const layer of arch.layers) {
    if (!isActivation(layer) || layer.out.length !== 3) continue
    const [channels, height, width] = layer.out
    const key = `${height}x${width}`
    const { relus, layers, ...about } = stages.get(key) ?? { map: [height, width], channels, relus: 0, layers: 0 }
    stages.set(key, { ...about, relus: relus + elementCount(layer.out), layers: layers + 1 })
  }
  return [...stages.values()]
}

const areaOf = ({ map: [height, width] }: Stage): number => height * width

/** The first stage's width, and those behind it by how much each grows. */
export function grownWidths(first: number, growth: readonly number[]): readonly number[] {
  const widths = [first]
  for (const factor of growth) widths.push(widths[widths.length - 1] * factor)
  return widths
}

/** Widths with as many ReLUs in a layer of every stage as in one of the first: four times the channels at half the size. */
export function balancedWidths(stages: readonly Stage[], first = stages[0].channels): readonly number[] {
  return stages.map((stage) => Math.round((first * areaOf(stages[0])) / areaOf(stage)))
}

/** No stage is made wider than the one before it by more. */
const MOST_GROWTH = 16
/** Every growth is tried. */
const MOST_STAGES = 5

/**
 * The smallest growths, each at least 2, with which later stages have more ReLUs the more they matter: of two that do it, one
 * is left out if it is nowhere smaller. In the order of their ReLUs, fewest first.
 * @param stages counted are layers and sizes of maps, not the channels they have now
 * @param order stages from the one whose ReLUs matter most, from 0; [2, 1, 3, 0] for ResNets of four stages
 */
export function alignedGrowths(
  stages: readonly Pick<Stage, 'map' | 'layers'>[],
  order: readonly number[],
): readonly (readonly number[])[] {
  const numbers = [...order].sort((a, b) => a - b)
  if (numbers.length !== stages.length || numbers.some((stage, i) => stage !== i)) {
    const text = `expected the order of ${stages.length} stages, each once, got ${order.map((s) => s + 1).join(', ')}`
    throw new RingfenceError('BAD_INPUT', text)
  }
  if (stages.length > MOST_STAGES)
    throw new RingfenceError('BAD_INPUT', `expected at most ${MOST_STAGES} stages to align, got ${stages.length}`)
  const relus = (growth: readonly number[]) =>
    grownWidths(1, growth).map((width, s) => width * stages[s].layers * stages[s].map[0] * stages[s].map[1])
  const isAligned = (growth: readonly number[]) => {
    const counts = relus(growth)
    return order.every((stage, i) => i === 0 || counts[order[i - 1]] > counts[stage])
  }
  const all = combinations(stages.length - 1).filter(isAligned)
  if (all.length === 0)
    throw new RingfenceError('BAD_INPUT', `no growth up to ${MOST_GROWTH} gives the stages ReLUs in this order`)
  const smaller = (a: readonly number[], b: readonly number[]) => a !== b && a.every((factor, i) => factor <= b[i])
  const total = (growth: readonly number[]) => relus(growth).reduce((a, b) => a + b)
  return all.filter((growth) => !all.some((other) => smaller(other, growth))).sort((a, b) => total(a) - total(b))
}

function combinations(length: number): number[][] {
  if (length === 0) return [[]]
  const rest = combinations(length - 1)
  return rest.flatMap((list) => Array.from({ length: MOST_GROWTH - 1 }, (_, i) => [...list, i + 2]))
}

/** Without the ReLU of the stem, the first convolution's, which DeepReShape does not count. */
export function withoutStem(arch: Architecture): readonly Stage[] {
  const [first] = arch.layers.filter((layer) => isActivation(layer))
  const before = arch.layers.slice(0, arch.layers.indexOf(first)).filter(({ op }) => op === 'conv2d')
  return stagesOf(arch).map((stage, s) =>
    s === 0 && before.length === 1
      ? { ...stage, layers: stage.layers - 1, relus: stage.relus - elementCount(first.out) }
      : stage,
  )
}

/**
 * The file with other channels: every convolution of a stage has as many times more as the stage's width says. What gives
 * out the network's answer keeps its own. Weights do not fit any more.
 * @param json an `arch/1` file, explicit or of a family
 * @param widths channels of each stage's first activation
 * @returns the explicit form
 * @throws RingfenceError BAD_FILE for a file that is wrong; BAD_INPUT for widths that are not one per stage, channels that
 *   would not be whole, or layers that would not fit together
 */
export function withStageWidths(json: unknown, widths: readonly number[]): Json {
  const file = opened(json)
  const { arch } = file
  const stages = stagesOf(arch)
  const problems: string[] = []
  const isWidth = (width: number) => Number.isSafeInteger(width) && width >= 1
  if (widths.length !== stages.length || !widths.every(isWidth)) {
    const maps = stages.map(({ map }) => map.join('×')).join(', ')
    problems.push(
      `expected ${stages.length} widths, whole numbers from 1 on, for the maps ${maps}; got ${widths.join(', ')}`,
    )
  }
  throwIfAny('BAD_INPUT', `${arch.name} cannot get these widths:`, problems)
  const channels = new Map(arch.inputs.map(({ name, shape }) => [name, shape[0]]))
  const last = answersOf(arch)
  const scaled = (id: string, [own, ...map]: Shape): number => {
    const s = stageOf(stages, map)
    const exact = (own * widths[s]) / stages[s].channels
    if (!Number.isInteger(exact)) {
      problems.push(
        `layer ${id}: ${own} channels, ${widths[s]}/${stages[s].channels} times as many are no whole number`,
      )
    }
    return Math.max(1, Math.round(exact))
  }
  const layers = file.layers.map((fields, i): LayerJson => {
    const layer = arch.layers[i]
    const inputs = layer.in.map((id) => channels.get(id)!)
    const keep = (count: number) => channels.set(layer.id, count)
    if (layer.op === 'concat' && layer.axis === 0) keep(inputs.reduce((a, b) => a + b))
    else if (layer.op === 'conv2d' || layer.op === 'convTranspose2d') {
      const changed = convolution(layer, inputs[0], () =>
        last.has(layer.id) ? layer.cout : scaled(layer.id, layer.out),
      )
      keep(changed.cout)
      return { ...fields, ...changed }
    } else if (layer.op === 'shortcutA') {
      const own = scaled(layer.id, layer.out)
      keep(own)
      return { ...fields, padChannels: padded(layer, own - inputs[0]) }
    } else keep(inputs[0] ?? layer.out[0])
    return fields
  })
  throwIfAny('BAD_INPUT', `${arch.name} cannot get these widths:`, problems)
  return closed(file, layers, 'the change of widths')
}

/** A depthwise convolution follows what it reads. */
function convolution(
  { cout, groups, inShapes: [[cin]] }: LayerOf<'conv2d'> | LayerOf<'convTranspose2d'>,
  input: number,
  scaled: () => number,
): { readonly cout: number; readonly groups?: number } {
  if (groups === 1 || groups !== cin) return { cout: scaled() }
  return { cout: (cout / cin) * input, groups: input }
}

/** Zero channels before and after the data, parted as they were. */
function padded({ padChannels: [before, after] }: LayerOf<'shortcutA'>, total: number): readonly [number, number] {
  const share = before + after === 0 ? 0 : before / (before + after)
  const first = Math.floor(share * total)
  return [first, total - first]
}

/** Of a map without an activation of its own, the next smaller one that has some, or the last. */
function stageOf(stages: readonly Stage[], [height, width]: readonly number[]): number {
  const own = stages.findIndex(({ map }) => map[0] === height && map[1] === width)
  if (own >= 0) return own
  const smaller = stages.findIndex((stage) => areaOf(stage) < height * width)
  return smaller >= 0 ? smaller : stages.length - 1
}

/** Convolutions behind which no other weights are. */
function answersOf(arch: Architecture): ReadonlySet<string> {
  const weighty = new Set(['conv2d', 'convTranspose2d', 'linear'])
  const before = new Set<string>()
  const answers = new Set<string>()
  for (const { id, op, in: inputs } of [...arch.layers].reverse()) {
    if (weighty.has(op) && !before.has(id)) answers.add(id)
    if (weighty.has(op) || before.has(id)) for (const input of inputs) before.add(input)
  }
  return answers
}
