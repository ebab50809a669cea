// What an interrupted measurement leaves, so that the same measurement can go on from it, and no other: a format, a key
// of everything the result depends on, and what was measured.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { Fields } from '../model/json/fields.js'
import { parseObject, summary } from '../model/json/file.js'
import type { Pair } from '../model/layers/layers.js'
import type { Weights } from '../model/weights.js'
import { canonicalJson } from '../plan/plan.js'
import { shortened } from './knapsack/problem.js'

/** SHA-256 over everything the values depend on: layers, weights, inputs, candidates, shares that masks keep. */
export function measurementKey(
  arch: Architecture,
  weights: Weights,
  inputs: readonly Float32Array[],
  blocks: readonly Pair[],
  masks: readonly number[] = [],
): string {
  const hash = sha256.create()
  const text = (value: unknown) => hash.update(new TextEncoder().encode(canonicalJson(value)))
  text([arch.name, arch.inputs, arch.outputs, arch.layers, blocks, ...(masks.length > 0 ? [masks] : [])])
  for (const id of [...weights.keys()].sort()) {
    for (const [name, tensor] of Object.entries(weights.get(id)!).sort(([a], [b]) => (a < b ? -1 : 1))) {
      text([id, name, tensor.length])
      hash.update(bytesOf(tensor))
    }
  }
  text([inputs.length])
  for (const input of inputs) hash.update(bytesOf(input))
  return bytesToHex(hash.digest())
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength)

/**
 * Reads a part that was left by the measurement of this key.
 * @param read gets the fields beside format and key, and adds what is wrong with them to `problems`
 * @throws RingfenceError BAD_FILE with every problem of a damaged file, BAD_INPUT for one of another measurement
 */
export function readPart<T>(
  json: unknown,
  { format, key, source }: { readonly format: string; readonly key: string; readonly source: string },
  read: (fields: Fields) => T,
): T {
  const object = parseObject(json, source)
  const problems: string[] = []
  const fields = new Fields(object, 'file', problems)
  fields.oneOf('format', [format])
  const left = fields.string('key')
  if (problems.length === 0 && left !== key) {
    const text = `${source} was left by a measurement of another model, other pictures or other options`
    throw new RingfenceError('BAD_INPUT', `${text}; go on with those, or start anew with --force`)
  }
  const value = read(fields)
  fields.noOthers()
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), shortened(problems))
  return value
}
