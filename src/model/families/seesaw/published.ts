// The 13 networks that the Seesaw repository's README prints, and whether a network at hand is one of them.
import type { Architecture } from '../../architecture.js'
import { countNetwork } from '../../count.js'
import { depthOf, type SeesawModel, seesawModels } from './models.js'

export interface Published {
  /** The count as it was published. */
  readonly relus: number
  /** Whether it is this network's own count. */
  readonly match: boolean
  /** What is odd about the publication. */
  readonly note?: string
}

interface Entry {
  readonly model: string
  /** One digit per choice key, a blank between stages. */
  readonly bits: string
  readonly relus: number
  /** The name that it was printed under, where that is not the model's. */
  readonly printed?: string
}

const ENTRIES: readonly Entry[] = [
  { model: 'cifarsupermodel50', bits: '000 0000 000000 001', relus: 36_864 },
  { model: 'cifarsupermodel50', bits: '000 0000 000000 011', relus: 45_056, printed: 'cifarsupermodel16' },
  { model: 'cifarsupermodel50', bits: '000 1000 000000 011', relus: 77_824 },
  { model: 'cifarsupermodel50', bits: '000 1000 111000 001', relus: 118_784 },
  { model: 'cifarsupermodel101', bits: '000 0000 00000001001010010100111 110', relus: 147_456 },
  { model: 'cifarsupermodel50', bits: '000 1100 111100 101', relus: 176_128 },
  { model: 'cifarsupermodel80', bits: '000 1010 1001000100110111 111', relus: 249_856 },
  { model: 'cifarsupermodel101', bits: '110 1111 00000000000000000000000 101', relus: 307_200 },
  { model: 'supermodel50', bits: '000 0000 000000 001', relus: 112_896 },
  { model: 'supermodel50', bits: '000 1000 000101 111', relus: 363_776 },
  { model: 'supermodel50', bits: '100 1000 000101 111', relus: 564_480 },
  { model: 'supermodel50', bits: '100 0110 010010 011', relus: 639_744 },
  { model: 'supermodel50', bits: '111 1111 111111 111', relus: 1_467_648 },
]

/** The published figure for an assembled Seesaw network; undefined when it is none of those that were published. */
export function publishedSeesaw(arch: Architecture): Published | undefined {
  const model = modelOf(arch)
  const bits = choiceBits(arch)
  const entry = ENTRIES.find((known) => known.model === model?.name && known.bits.replaceAll(' ', '') === bits)
  if (!model || !entry) return undefined
  const { relus, aggregate } = reluCounts(arch)
  const match = entry.relus === relus
  const notes = [
    ...(entry.printed ? [misnamed(entry.printed, bits.length, model)] : []),
    ...(!match && entry.relus === relus - aggregate
      ? [`the published count leaves out the ${aggregate} ReLUs of the aggregate blocks`]
      : []),
  ]
  return { relus: entry.relus, match, ...(notes.length > 0 ? { note: notes.join('; ') } : {}) }
}

function misnamed(printed: string, keys: number, model: SeesawModel): string {
  const named = seesawModels.find(({ name }) => name === printed)
  const own = named ? `, which has ${depthOf(named)} keys` : ''
  return `printed as ${printed}${own}; its ${keys} keys and its count are those of ${model.name}`
}

/** By the input and the ids of the sample layers, so that an expanded file is known again too. */
function modelOf(arch: Architecture): SeesawModel | undefined {
  const stages = new Map<string, number>()
  for (const { id } of arch.layers) {
    const stage = /^samples\.(\d+)\.samplelayer\d+\.nonlinear$/.exec(id)?.[1]
    if (stage !== undefined) stages.set(stage, (stages.get(stage) ?? 0) + 1)
  }
  const config = [...stages.values()].join()
  const side = arch.inputs[0].shape[1]
  const dataset = side === 224 ? 'imagenet' : side === 32 ? 'cifar' : undefined
  return seesawModels.find((model) => model.dataset === dataset && model.blockConfig.join() === config)
}

function choiceBits(arch: Architecture): string {
  return arch.layers.map((layer) => (layer.op === 'choice' ? (layer.chosen ?? '?') : '')).join('')
}

function reluCounts(arch: Architecture): { relus: number; aggregate: number } {
  const { layers, relus } = countNetwork(arch)
  const blocks = layers.filter(({ id }) => id.startsWith('aggeregate.'))
  return { relus, aggregate: blocks.reduce((total, layer) => total + layer.relus, 0) }
}
