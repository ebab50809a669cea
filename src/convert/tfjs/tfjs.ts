// TF.js models to `arch/1`: layers models (a Keras config) and graph models (TensorFlow nodes), with their shards.
import { isObject, type Json } from '../../model/json/fields.js'
import { parseObject } from '../../model/json/file.js'
import type { Shape } from '../../model/shape.js'
import { ArchDraft, type ConvertedNetwork, plainBytes } from '../arch-draft.js'
import { convertGraphModel } from './graph/graph.js'
import { convertLayersModel } from './layers.js'
import { TfWeights } from './weights.js'

/** What the file leaves open. */
export interface TfjsOptions {
  /** File name of the model, for messages. */
  readonly source?: string
  /** Name of the network. */
  readonly name?: string
  /** Shape of every input without the batch, channels first: [c,h,w] or [n]; needed where the file leaves a size open. */
  readonly inputShape?: Shape
  /** What the network gives, by the names of nodes or layers, of a graph also of their outputs (`split:1`); else the file's. */
  readonly outputs?: readonly string[]
}

/**
 * Reads a TF.js layers model or graph model. Channels-last maps and kernels become PyTorch's channels-first ones, so an
 * input must be given channels first. Preprocessing and labels are not in such a file.
 * @param modelJson `model.json`
 * @param shards the weight files by the paths that the manifest names
 * @throws RingfenceError UNSUPPORTED listing every layer or node whose op `arch/1` cannot say; BAD_FILE with every
 *   other problem
 */
export function convertTfjs(
  modelJson: Uint8Array,
  shards: ReadonlyMap<string, Uint8Array>,
  options: TfjsOptions = {},
): ConvertedNetwork {
  const source = options.source ?? 'model.json'
  const root = parseObject(new TextDecoder().decode(modelJson), source)
  const bytes = [...shards.values()].reduce((sum, shard) => sum + shard.byteLength, modelJson.byteLength)
  const draft = new ArchDraft(source, bytes)
  const plain = new Map([...shards].map(([path, shard]) => [path, plainBytes(shard)]))
  const weights = new TfWeights(root.weightsManifest, plain, draft)
  if (isGraph(root)) return convertGraphModel(root, weights, draft, options)
  return convertLayersModel(root.modelTopology, weights, draft, {
    ...options,
    byTfjs: isOfTfjs(root),
    isKeras3: isOfKeras3(root),
  })
}

/** By what the file says of itself, or else by what it holds. */
function isGraph(root: Json): boolean {
  if (root.format === 'graph-model') return true
  return root.format !== 'layers-model' && isObject(root.modelTopology) && Array.isArray(root.modelTopology.node)
}

/** Models that TF.js saved say so; a converter names the Keras that made them. */
function isOfTfjs({ generatedBy, convertedBy }: Json): boolean {
  return typeof generatedBy === 'string' && /TensorFlow\.js/i.test(generatedBy) && !convertedBy
}

function isOfKeras3({ generatedBy, modelTopology }: Json): boolean {
  const version = isObject(modelTopology) ? modelTopology.keras_version : undefined
  return [version, generatedBy].some((text) => typeof text === 'string' && /^(keras )?v?3\./i.test(text))
}
