// A graph model as TensorFlow.js runs it.
import '@tensorflow/tfjs-backend-cpu'
import { loadGraphModel } from '@tensorflow/tfjs-converter'
import * as tf from '@tensorflow/tfjs-core'
import type { TfjsFiles } from '../encode.js'

export interface Output {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

/** The outputs that are asked for; inputs have their batch and channels last. */
export async function runTfjs(
  { json, shards }: TfjsFiles,
  inputs: Readonly<Record<string, Output>>,
  outputs: readonly string[],
): Promise<Output[]> {
  const { modelTopology, weightsManifest, format, signature } = JSON.parse(new TextDecoder().decode(json))
  const bytes = [...shards.values()]
  const weightData = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const shard of bytes) {
    weightData.set(shard, at)
    at += shard.length
  }
  const weightSpecs = weightsManifest[0].weights
  const artifacts = { modelTopology, format, signature, weightSpecs, weightData: weightData.buffer }
  tf.enableProdMode()
  await tf.setBackend('cpu')
  const model = await loadGraphModel({ load: async () => artifacts })
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, tf.tensor([...data], [...shape], 'float32')]),
  )
  const made = model.execute(given, [...outputs])
  const list = Array.isArray(made) ? made : [made]
  const read = list.map((tensor) => ({ shape: tensor.shape, data: [...tensor.dataSync()] }))
  model.dispose()
  return read
}
