// Pruned Seesaw supernets: which branches a checkpoint still has.
import { Fields, isObject, type Json } from '../../json/fields.js'
import { ownsTensors } from './ops.js'
import { readSeesawParams } from './params.js'

const BRANCH = /(?:^|\.)(samples\.\d+\.samplelayer\d+\.paths\.\d+)\./

/**
 * The short Seesaw file with `params.kept` as the tensors of a checkpoint tell it. A branch of convolutions is there
 * when any of its tensors is (binding the weights then names those that lack) and zero when none is. Pools and the skip
 * own no tensors, so that a pruned one leaves no trace in a checkpoint: they stay, unless the file's own `kept` drops
 * them.
 * @param json a parsed short file of family `seesaw`; one with faulty params comes back as it is, for the parser to
 *   report
 * @param names the tensors' names, with whatever prefix the checkpoint puts before `samples.`
 */
export function withKeptBranches(json: Json, names: Iterable<string>): Json {
  if (json.family !== 'seesaw' || !isObject(json.params)) return json
  const fields = new Fields(json.params, 'params', [])
  const { blockConfig, ops, kept } = readSeesawParams(fields, undefined)
  if (fields.failed) return json
  const there = new Set<string>()
  for (const name of names) there.add(BRANCH.exec(name)?.[1] ?? '')
  const sampleLayers = blockConfig.flatMap((count, stage) =>
    Array.from({ length: count }, (_, j) => `samples.${stage}.samplelayer${j + 1}`),
  )
  const left = sampleLayers.map((id, i) =>
    ops.filter((op, k) => (kept[i]?.has(op) ?? true) && (!ownsTensors(op) || there.has(`${id}.paths.${k}`))),
  )
  return { ...json, params: { ...json.params, kept: left } }
}
