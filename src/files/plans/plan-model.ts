// Plans the ReLUs of a network by the file of its distortions, and writes the ReLU spec.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { type LayerRelu, resolveRelu } from '../../model/relu/spec.js'
import { networkProfiles } from '../../net/index.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type Budget, type Objective, planRelus, type ReluPlan } from '../../tune/allocation/relu-plan.js'
import { predict } from '../../tune/cost/predict.js'
import { shapePlan } from '../../tune/cost/shape-plan.js'
import { onlineBytes, predictedCosts } from '../../tune/cost/spec-cost.js'
import {
  activationLayers,
  channelCount,
  type DistortionTable,
  parseDistortionTable,
  specNameOf,
} from '../../tune/distortion/table.js'
import type { OnStage } from '../../tune/progress.js'
import { isModel, readArchitectureFile, readJson } from '../architecture-file.js'
import { findModel } from '../prepared-model.js'
import { requireWritable, writeJson } from '../whole-files.js'

/** Which network, within which budget. */
export interface PlanModelOptions {
  /** An architecture's file, a model's folder, or the name of a packaged model. */
  readonly model: string
  readonly budget: Budget
  /** What the budget counts; default `drelus`. */
  readonly objective?: Objective['kind']
  /** The file of the distortion table; default `distortion.json`, the model's own or here. */
  readonly distortion?: string
  /** Offers zero channels too, where the table has them. */
  readonly zeroChannels?: boolean
  /** Offers masks of single ReLUs, where the table has them; default true. */
  readonly masks?: boolean
  /** Keeps or drops whole layers alone, or all layers of a map size. */
  readonly cull?: 'layers' | 'stages'
  /** Default `relu-spec.json`. */
  readonly output?: string
  /** Overwrites what is there. */
  readonly force?: boolean
  /** Of predictions; default `wan60`. */
  readonly network?: keyof typeof networkProfiles
  readonly compile?: CompileOptions
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
}

/** Of one inference. */
export interface ForecastCosts {
  readonly drelus: number
  readonly onlineBytes: number
  readonly onlineSeconds: number
  readonly flights: number
}

/** What was chosen, what it costs and changes. */
export interface PlannedModel {
  readonly network: string
  readonly output: string
  readonly table: string
  readonly objective: Objective['kind']
  readonly budget: number
  readonly cost: number
  readonly plainCost: number
  readonly distortion: number
  /** No choice within the budget has less. */
  readonly bound: number
  readonly layers: readonly {
    readonly name: string
    readonly relus: number
    readonly drelus: number
    readonly linear: boolean
    /** Channels by block, or by the share of their ReLUs that a mask keeps. */
    readonly blocks: Readonly<Record<string, number>>
  }[]
  readonly predicted: {
    readonly profile: string
    readonly plain: ForecastCosts
    readonly planned: ForecastCosts
  } | null
}

/**
 * Finds the ReLU spec of least distortion within a budget, and writes a `relu-spec/1` file.
 * @throws RingfenceError BAD_INPUT for an output that is there, a table that is not, or as `planRelus`; BAD_FILE for files
 *   that cannot be read; ABORTED by `signal`
 */
export async function planModel(options: PlanModelOptions): Promise<PlannedModel> {
  const { model, budget, output = 'relu-spec.json', force = false, network = 'wan60', signal, onProgress } = options
  const { zeroChannels = false, masks = true, cull } = options
  await requireWritable([output], force)
  const file = await readArchitectureFile(model)
  const arch = parseArchitecture(file.json, file.path)
  const tableFile = await readJson(tablePath(options))
  const table = parseDistortionTable(tableFile.json, arch, { source: tableFile.path })
  const objective = await objectiveOf(arch, table, options)
  onProgress?.({ stage: 'solving', done: 0 })
  const solved = await planRelus(arch, table, { objective, budget, zeroChannels, masks, cull, signal })
  await writeJson(output, solved.file, force)
  onProgress?.({ stage: 'predicting', done: 0 })
  const of = (spec?: ReluPlan['spec']) => predicted(arch, spec, options)
  return {
    ...{ network: arch.name, output, table: tableFile.path, objective: solved.unit },
    ...{ budget: solved.budget, cost: solved.cost, plainCost: solved.plainCost },
    ...{ distortion: solved.distortion, bound: solved.bound, layers: layerReports(arch, solved) },
    predicted: withoutRunning(() => ({ profile: network, plain: of(), planned: of(solved.spec) })),
  }
}

/** The model's own table unless another one is named. */
function tablePath({ model, distortion }: PlanModelOptions): string {
  if (distortion !== undefined) return distortion
  const own = isModel(model) ? join(findModel(model), 'distortion.json') : undefined
  const found = [own, 'distortion.json'].find((path) => path !== undefined && existsSync(path))
  if (found !== undefined) return found
  throw new RingfenceError(
    'BAD_INPUT',
    `there is no distortion.json of ${model}; ringfence distortion, or measureDistortion() of ringfence/node, measures one; name it as distortion (--distortion)`,
  )
}

async function objectiveOf(
  arch: Architecture,
  table: DistortionTable,
  { objective = 'drelus', network = 'wan60', compile, signal, onProgress }: PlanModelOptions,
): Promise<Objective> {
  if (objective === 'drelus') return { kind: objective }
  const stage = 'predicting what each candidate costs'
  const cost = await predictedCosts(arch, table, {
    ...{ unit: objective, network: { profile: networkProfiles[network] }, compile: compile ?? {}, signal },
    onProgress: (done, detail) => onProgress?.({ stage, done, detail }),
  })
  return { kind: objective, cost }
}

function predicted(
  arch: Architecture,
  spec: ReluPlan['spec'] | undefined,
  { compile = {}, network = 'wan60' }: PlanModelOptions,
): ForecastCosts {
  const prediction = predict(shapePlan(arch, spec, compile), { profile: networkProfiles[network] })
  const { flights, seconds } = prediction.total
  const { drelus } = countNetwork(arch, spec)
  return { drelus, onlineBytes: onlineBytes(prediction), onlineSeconds: seconds.online, flights }
}

/** Networks can be planned that this version cannot run. */
function withoutRunning<T>(predict: () => T): T | null {
  try {
    return predict()
  } catch (error) {
    if (error instanceof RingfenceError) return null
    throw error
  }
}

function layerReports(arch: Architecture, { layers, spec }: ReluPlan): PlannedModel['layers'] {
  const relus = new Map(countNetwork(arch).layers.map((layer) => [layer.id, layer.relus]))
  const byName = new Map(activationLayers(arch).map((layer) => [specNameOf(layer), layer]))
  return layers.map(({ name, drelus, linear }) => {
    const layer = byName.get(name)!
    const relu = resolveRelu(spec, layer)
    const blocks: Record<string, number> = {}
    for (const each of channelKinds(relu, channelCount(layer.out))) blocks[each] = (blocks[each] ?? 0) + 1
    return { name, relus: relus.get(layer.id)!, drelus, linear, blocks }
  })
}

/** Per channel its block, `relu` or `identity`, or how much of it a mask keeps. */
function channelKinds(relu: LayerRelu, channels: number): readonly string[] {
  if (relu.kind === 'block') return relu.blocks.map(([h, w]) => blockName(h, w))
  if (relu.kind !== 'mask') return new Array<string>(channels).fill(relu.kind)
  const plane = relu.bits.length / channels
  return Array.from({ length: channels }, (_, c) => {
    const kept = relu.bits.subarray(c * plane, (c + 1) * plane).reduce((sum, bit) => sum + bit, 0)
    return kept === 0 ? 'identity' : `${Math.round((100 * kept) / plane)} %`
  })
}

const blockName = (h: number, w: number): string => (h === 0 ? 'identity' : w === 0 ? 'zero' : `${h}x${w}`)
