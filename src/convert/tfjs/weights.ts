// The weights of a TF.js model: a manifest that says how tensors lie one after another in groups of shard files.

import { toFloat32 } from '../../model/half-floats.js'
import { isObject, type Json, quote } from '../../model/json/fields.js'
import { elementCount, formatShape, type Shape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor } from '../arch-draft.js'

/** Bytes per element of what a shard may hold. */
const BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 }
/** Integer tensors are shapes, axes and paddings; longer ones are not read. */
const MOST_INTEGERS = 4096

interface Quantization {
  readonly dtype: string
  readonly scale: number
  readonly min: number
}

interface Entry {
  readonly name: string
  readonly where: string
  readonly shape: Shape
  readonly dtype: string
  readonly quantization: Quantization | undefined
  /** Place in the group's bytes. */
  readonly start: number
  readonly end: number
  readonly group: readonly Uint8Array[]
}

/** Shape as the file has it (height, width, channels last); one of the two lists. */
export interface TfTensor {
  readonly shape: Shape
  readonly floats?: Float32Array
  readonly integers?: readonly number[]
  /** Quoted name, for messages. */
  readonly from: string
}

export class TfWeights {
  readonly #entries = new Map<string, Entry>()
  readonly #read = new Map<string, TfTensor | undefined>()
  /** Quoted paths of groups that lack a shard; their tensors are not reported one by one. */
  readonly #broken = new Set<string>()

  /** Reports every fault of the manifest and every shard that is missing or of a wrong size. */
  constructor(
    manifest: unknown,
    shards: ReadonlyMap<string, Uint8Array>,
    readonly draft: ArchDraft,
  ) {
    if (!Array.isArray(manifest)) {
      draft.problems.push(`weightsManifest: expected a list of groups, got ${quote(manifest)}`)
      return
    }
    const used = new Set<string>()
    for (const [i, group] of manifest.entries()) this.#group(group, `weightsManifest[${i}]`, shards, used)
  }

  get names(): IterableIterator<string> {
    return this.#entries.keys()
  }

  /** Names of the tensors that nobody asked for. */
  get unread(): string[] {
    return [...this.#entries.keys()].filter((name) => !this.#read.has(name))
  }

  has(name: string): boolean {
    return this.#entries.has(name) || this.#broken.has(name)
  }

  #group(value: unknown, where: string, shards: ReadonlyMap<string, Uint8Array>, used: Set<string>): void {
    const { problems } = this.draft
    if (!isObject(value) || !Array.isArray(value.paths) || !Array.isArray(value.weights)) {
      problems.push(`${where}: expected paths and weights, got ${quote(value)}`)
      return
    }
    const before = problems.length
    const group: Uint8Array[] = []
    for (const path of value.paths) {
      const shard = typeof path === 'string' ? shards.get(path) : undefined
      if (!shard) problems.push(`${where}: expected the shard ${quote(path)} beside the model, found none`)
      else if (used.has(path)) problems.push(`${where}: the shard ${quote(path)} is listed twice`)
      else group.push(shard)
      used.add(path)
    }
    const isWhole = problems.length === before
    let at = 0
    for (const [i, weight] of value.weights.entries()) {
      const entry = this.#entry(weight, `${where}.weights[${i}]`, at, group)
      if (!entry) return
      if (isWhole) this.#entries.set(entry.name, entry)
      else this.#broken.add(entry.name)
      at = entry.end
    }
    const size = group.reduce((sum, shard) => sum + shard.byteLength, 0)
    if (isWhole && size !== at) problems.push(`${where}: expected ${at} bytes in ${quote(value.paths)}, got ${size}`)
  }

  #entry(value: unknown, path: string, start: number, group: readonly Uint8Array[]): Entry | undefined {
    const named = isObject(value) && typeof value.name === 'string' ? value.name : undefined
    const where = named === undefined ? path : `${path} ${quote(named)}`
    const fault = (text: string) => {
      this.draft.problems.push(`${where}: ${text}`)
      return undefined
    }
    if (!isObject(value) || named === undefined) return fault(`expected a named weight, got ${quote(value)}`)
    const { shape, dtype } = value
    if (this.has(named)) return fault('the name is taken by an earlier weight')
    if (!isShape(shape)) return fault(`shape: expected at most 8 sizes >= 0, got ${quote(shape)}`)
    const quantization = value.quantization === undefined ? undefined : readQuantization(value.quantization)
    if (quantization === null)
      return fault(`quantization: expected dtype, scale and min, got ${quote(value.quantization)}`)
    const stored = quantization?.dtype ?? dtype
    if (typeof dtype !== 'string' || typeof stored !== 'string' || !Object.hasOwn(BYTES, stored)) {
      return fault(`dtype: expected one of ${Object.keys(BYTES).join(', ')}, got ${quote(stored)}`)
    }
    const end = start + elementCount(shape) * BYTES[stored]
    if (!Number.isSafeInteger(end)) return fault(`shape: ${formatShape(shape)} has more elements than any file`)
    return { name: named, where, shape, dtype, quantization, start, end, group }
  }

  /** A tensor by its full name; undefined when it or its shard is missing, which `has` tells apart. */
  tensor(name: string): TfTensor | undefined {
    if (this.#read.has(name)) return this.#read.get(name)
    const entry = this.#entries.get(name)
    const tensor = entry && this.#decode(entry)
    if (entry) this.#read.set(name, tensor)
    return tensor
  }

  #decode(entry: Entry): TfTensor | undefined {
    const { shape, dtype, quantization, where } = entry
    const from = quote(entry.name)
    const bytes = this.#bytes(entry)
    if (!bytes) return undefined
    const stored = quantization?.dtype ?? dtype
    const count = elementCount(shape)
    if (dtype === 'float32' || dtype === 'float16') {
      this.draft.claim(count)
      if (stored === 'float32' || stored === 'float16') {
        return { shape, floats: toFloat32(stored === 'float32' ? 'F32' : 'F16', bytes), from }
      }
      return { shape, floats: dequantize(bytes, count, BYTES[stored], quantization!), from }
    }
    if (count > MOST_INTEGERS) {
      this.draft.problems.push(
        `${where}: expected floats, or at most ${MOST_INTEGERS} integers, got ${count} of ${dtype}`,
      )
      return undefined
    }
    return { shape, integers: readIntegers(bytes, BYTES[stored], quantization), from }
  }

  /** The entry's bytes: a view where one shard holds them all. */
  #bytes({ group, start, end }: Entry): Uint8Array | undefined {
    let at = 0
    let copy: Uint8Array | undefined
    let filled = 0
    for (const shard of group) {
      const from = Math.max(start - at, 0)
      const to = Math.min(end - at, shard.byteLength)
      at += shard.byteLength
      if (from >= to) continue
      if (to - from === end - start) return shard.subarray(from, to)
      if (!copy && end > group.reduce((sum, { byteLength }) => sum + byteLength, 0)) return undefined
      copy ??= new Uint8Array(this.draft.floats(Math.ceil((end - start) / 4)).buffer, 0, end - start)
      copy.set(shard.subarray(from, to), filled)
      filled += to - from
    }
    return filled === end - start ? (copy ?? new Uint8Array()) : undefined
  }
}

/** A float tensor as layers take it; reports an integer one. */
export function asFloats(tensor: TfTensor, where: string, draft: ArchDraft): DraftTensor | undefined {
  if (tensor.floats) return { shape: tensor.shape, data: tensor.floats, from: tensor.from }
  draft.problems.push(`${where}: tensor ${tensor.from}: expected floats, got integers`)
  return undefined
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 8 && value.every((x) => Number.isSafeInteger(x) && x >= 0)
}

/** Null when damaged; float16 has neither scale nor min. */
function readQuantization(value: unknown): Quantization | null {
  const { dtype, scale, min } = (isObject(value) ? value : {}) as Json
  if (dtype === 'float16') return { dtype, scale: 1, min: 0 }
  if (dtype !== 'uint8' && dtype !== 'uint16') return null
  return Number.isFinite(scale) && Number.isFinite(min) ? { dtype, scale: scale as number, min: min as number } : null
}

function dequantize(bytes: Uint8Array, count: number, width: number, { scale, min }: Quantization): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(count)
  if (width === 1) for (let i = 0; i < count; i++) out[i] = bytes[i] * scale + min
  else for (let i = 0; i < count; i++) out[i] = view.getUint16(2 * i, true) * scale + min
  return out
}

function readIntegers(bytes: Uint8Array, width: number, quantization: Quantization | undefined): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { scale, min } = quantization ?? { scale: 1, min: 0 }
  return Array.from({ length: bytes.byteLength / width }, (_, i) => {
    const stored = width === 4 ? view.getInt32(4 * i, true) : width === 2 ? view.getUint16(2 * i, true) : bytes[i]
    return Math.round(stored * scale + min)
  })
}
