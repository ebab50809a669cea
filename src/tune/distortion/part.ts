// What an interrupted measurement of distortions leaves.
import type { Architecture } from '../../model/architecture.js'
import { readPart } from '../part.js'
import { type DistortionTable, formatDistortionTable, parseDistortionTable } from './table.js'

const FORMAT = 'distortion-part/1'

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
  return readPart(json, { format: FORMAT, key, source }, (fields) =>
    parseDistortionTable(fields.record('table'), arch, { source, partial: true }),
  )
}
