// The explicit form of a network's file, and a changed one checked: moves take JSON and give JSON.
import { RingfenceError } from '../../errors.js'
import { expandArchitecture, parseArchitecture } from '../architecture.js'
import type { Json } from '../json/fields.js'
import type { Architecture } from '../network.js'

/** A layer as the file has it. */
export type LayerJson = Json & { readonly id: string; readonly op: string; readonly in: readonly string[] }

export interface OpenFile {
  readonly json: Json
  readonly layers: readonly LayerJson[]
  readonly arch: Architecture
}

/** @throws RingfenceError BAD_FILE with every problem of the file */
export function opened(json: unknown): OpenFile {
  const explicit = expandArchitecture(json)
  const arch = parseArchitecture(explicit)
  return { json: explicit, layers: explicit.layers as LayerJson[], arch }
}

/** The file with other layers; what it expected of its counts, and of its shapes, is gone. @throws RingfenceError BAD_INPUT if they do not fit */
export function closed({ json, arch }: OpenFile, layers: readonly LayerJson[], move: string): Json {
  const { expect: _, ...rest } = json
  const made = { ...rest, layers: layers.map(({ out: _, ...layer }) => layer) }
  try {
    parseArchitecture(made)
  } catch (cause) {
    const { problems } = cause as RingfenceError
    throw new RingfenceError('BAD_INPUT', `${arch.name}: layers would not fit together after ${move}:`, problems, {
      cause,
    })
  }
  return made
}
