// What an interrupted measurement of distortions leaves, so that the same measurement can go on from it, and no other.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import type { Json } from '../../model/json/fields.js'
import { parseObject } from '../../model/json/file.js'
import type { Pair } from '../../model/layers/layers.js'
import type { Weights } from '../../model/weights.js'
import { canonicalJson } from '../../plan/plan.js'
import { type DistortionTable, formatDistortionTable, parseDistortionTable } from './table.js'

const FORMAT = 'distortion-part/1'

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

/** The text of a measurement that is not finished, to be resumed under the same `key`. */
export function formatDistortionPart(table: DistortionTable, key: string): string {
  const head = `  "format": ${JSON.stringify(FORMAT)},\n  "key": ${JSON.stringify(key)}`
  return `{\n${head},\n  "table": ${formatDistortionTable(table).trimEnd()}\n}\n`
}

/**
 * The table of a part that was left by the measurement of this key.
 * @throws RingfenceError BAD_FILE for a damaged file, BAD_INPUT for one of another measurement
 */
export function parseDistortionPart(json: unknown, arch: Architecture, key: string, source: string): DistortionTable {
  const part: Json = parseObject(json, source)
  if (part.format !== FORMAT || typeof part.key !== 'string') {
    throw new RingfenceError('BAD_FILE', `${source}: expected what an interrupted measurement left (${FORMAT})`)
  }
  if (part.key !== key) {
    const text = `${source} was left by a measurement of other weights, pictures or candidates`
    throw new RingfenceError('BAD_INPUT', `${text}; go on with those, or start anew with --force`)
  }
  return parseDistortionTable(part.table, arch, { source, partial: true })
}
