// Writes small files of every format, independently of the readers: pickles opcode by opcode, zip files through fflate.
import { type Zippable, zipSync } from 'fflate'

/** A value of the pickle writer; plain JavaScript values stand for None, bool, int, str, bytes, list and dict. */
export abstract class Node {}
class Tuple extends Node {
  constructor(readonly items: readonly unknown[]) {
    super()
  }
}
class Float extends Node {
  constructor(readonly value: number) {
    super()
  }
}
class GlobalName extends Node {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {
    super()
  }
}
class Reduce extends Node {
  constructor(
    readonly callee: unknown,
    readonly args: unknown,
    readonly state?: unknown,
  ) {
    super()
  }
}
class Persistent extends Node {
  constructor(readonly id: unknown) {
    super()
  }
}
class Raw extends Node {
  constructor(readonly bytes: readonly number[]) {
    super()
  }
}

export const tuple = (...items: unknown[]) => new Tuple(items)
export const float = (value: number) => new Float(value)
export const global = (module: string, name: string) => new GlobalName(module, name)
export const reduce = (callee: unknown, args: unknown, state?: unknown) => new Reduce(callee, args, state)
export const persistent = (id: unknown) => new Persistent(id)
/** Opcodes as they are. */
export const raw = (...bytes: number[]) => new Raw(bytes)

export const ascii = (text: string) => [...text].map((c) => c.charCodeAt(0))
const little = (value: number | bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n))

/** A pickle of protocol 2, 3, 4 or 5, with memo entries as CPython writes them. */
export function pickle(value: unknown, protocol = 2): Uint8Array<ArrayBuffer> {
  const body: number[] = []
  new PickleWriter(protocol, body).write(value)
  body.push(0x2e)
  const frame = protocol >= 4 ? [0x95, ...little(body.length, 8)] : []
  return Uint8Array.from([0x80, protocol, ...frame, ...body])
}

class PickleWriter {
  readonly #memo = new Map<unknown, number>()
  #stored = 0

  constructor(
    readonly protocol: number,
    readonly out: number[],
  ) {}

  write(value: unknown): void {
    const known = this.#memo.get(value)
    if (known !== undefined) this.out.push(0x68, known)
    else if (value === null) this.out.push(0x4e)
    else if (typeof value === 'boolean') this.out.push(value ? 0x88 : 0x89)
    else if (typeof value === 'number' || typeof value === 'bigint') this.#integer(value)
    else if (typeof value === 'string') this.#text(value)
    else if (value instanceof Uint8Array) this.#bytes(value)
    else if (Array.isArray(value)) this.#list(value)
    else if (value instanceof Map) this.#dict(value)
    else this.#node(value as Node)
  }

  #node(value: Node): void {
    if (value instanceof Raw) this.out.push(...value.bytes)
    else if (value instanceof Float) this.#float(value.value)
    else if (value instanceof Tuple) this.#tuple(value)
    else if (value instanceof GlobalName) this.#global(value)
    else if (value instanceof Persistent) {
      this.write(value.id)
      this.out.push(0x51)
    } else if (value instanceof Reduce) {
      this.write(value.callee)
      this.write(value.args)
      this.out.push(0x52)
      this.#store(value)
      if (value.state === undefined) return
      this.write(value.state)
      this.out.push(0x62)
    } else throw new Error('not a value of a pickle')
  }

  #store(value: unknown): void {
    if (this.#stored > 255) return
    if (this.protocol >= 4) this.out.push(0x94)
    else this.out.push(0x71, this.#stored)
    this.#memo.set(value, this.#stored++)
  }

  #integer(value: number | bigint): void {
    if (value >= 0 && value < 256) this.out.push(0x4b, Number(value))
    else if (value >= 0 && value < 65536) this.out.push(0x4d, ...little(value, 2))
    else if (value >= -(2 ** 31) && value < 2 ** 31) this.out.push(0x4a, ...little(value, 4))
    else {
      const length = Math.ceil((BigInt(value).toString(2).length + 1) / 8)
      this.out.push(0x8a, length, ...little(value, length))
    }
  }

  #float(value: number): void {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setFloat64(0, value)
    this.out.push(0x47, ...bytes)
  }

  #text(value: string): void {
    const bytes = new TextEncoder().encode(value)
    if (this.protocol >= 4 && bytes.length < 256) this.out.push(0x8c, bytes.length, ...bytes)
    else {
      this.out.push(0x58, ...little(bytes.length, 4))
      for (const byte of bytes) this.out.push(byte)
    }
    this.#store(value)
  }

  /** Protocol 2 has no bytes: it writes `_codecs.encode(text, 'latin1')`. */
  #bytes(value: Uint8Array): void {
    if (this.protocol < 3) {
      const text = String.fromCharCode(...value)
      this.write(reduce(global('_codecs', 'encode'), tuple(text, 'latin1')))
      return
    }
    if (value.length < 256) this.out.push(0x43, value.length, ...value)
    else {
      this.out.push(0x42, ...little(value.length, 4))
      for (const byte of value) this.out.push(byte)
    }
    this.#store(value)
  }

  #list(items: readonly unknown[]): void {
    this.out.push(0x5d)
    this.#store(items)
    if (items.length === 0) return
    if (items.length > 1) this.out.push(0x28)
    for (const item of items) this.write(item)
    this.out.push(items.length > 1 ? 0x65 : 0x61)
  }

  #dict(dict: ReadonlyMap<unknown, unknown>): void {
    this.out.push(0x7d)
    this.#store(dict)
    if (dict.size === 0) return
    if (dict.size > 1) this.out.push(0x28)
    for (const [key, value] of dict) {
      this.write(key)
      this.write(value)
    }
    this.out.push(dict.size > 1 ? 0x75 : 0x73)
  }

  #tuple(value: Tuple): void {
    const { items } = value
    if (items.length === 0) return void this.out.push(0x29)
    if (items.length > 3) this.out.push(0x28)
    for (const item of items) this.write(item)
    this.out.push(items.length > 3 ? 0x74 : 0x84 + items.length)
    this.#store(value)
  }

  #global(value: GlobalName): void {
    if (this.protocol >= 4) {
      this.write(value.module)
      this.write(value.name)
      this.out.push(0x93)
    } else this.out.push(0x63, ...ascii(`${value.module}\n${value.name}\n`))
    this.#store(value)
  }
}

/** Elements of a storage, and tensors as views of it. */
export interface TorchStorage {
  readonly key: string
  /** `Float`, `Half`, `Long` … */
  readonly type: string
  readonly count: number
  readonly bytes: Uint8Array
}

export function storage(key: string, type: string, data: ArrayBufferView & { readonly length: number }): TorchStorage {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return { key, type, count: data.length, bytes }
}

const storageTypes = new Map<string, GlobalName>()

function storageId({ key, type, count }: TorchStorage, legacy: boolean): unknown {
  const name = `${type}Storage`
  if (!storageTypes.has(name)) storageTypes.set(name, global('torch', name))
  return persistent(tuple('storage', storageTypes.get(name), key, 'cpu', count, ...(legacy ? [null] : [])))
}

export interface TorchView {
  readonly of: TorchStorage
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset?: number
  readonly parameter?: boolean
}

const REBUILD = global('torch._utils', '_rebuild_tensor_v2')
const PARAMETER = global('torch._utils', '_rebuild_parameter')
export const ORDERED_DICT = global('collections', 'OrderedDict')

export function view({ of, shape, strides, offset = 0, parameter = false }: TorchView, legacy = false): unknown {
  const hooks = () => reduce(ORDERED_DICT, tuple())
  const args = tuple(storageId(of, legacy), offset, tuple(...shape), tuple(...strides), false, hooks())
  const tensor = reduce(REBUILD, args)
  return parameter ? reduce(PARAMETER, tuple(tensor, true, hooks())) : tensor
}

/** A legacy torch.save file around an already made value. */
export function torchLegacy(value: unknown, storages: readonly TorchStorage[], protocol = 2): Uint8Array<ArrayBuffer> {
  const system = new Map<string, unknown>([
    ['protocol_version', 1001],
    ['little_endian', true],
    [
      'type_sizes',
      new Map([
        ['short', 2],
        ['int', 4],
        ['long', 4],
      ]),
    ],
  ])
  const parts = [0x1950a86a20f9469cfc6cn, 1001, system, value, storages.map(({ key }) => key)].map((part) =>
    pickle(part, protocol),
  )
  for (const { count, bytes } of storages) parts.push(Uint8Array.from(little(count, 8)), Uint8Array.from(bytes))
  return concat(parts)
}

/** A zip torch.save file around an already made value. */
export function torchZip(value: unknown, storages: readonly TorchStorage[], level: 0 | 6 = 0): Uint8Array {
  const files: Zippable = {
    'archive/data.pkl': pickle(value, 2),
    'archive/byteorder': Uint8Array.from(ascii('little')),
    'archive/version': Uint8Array.from(ascii('3\n')),
  }
  for (const { key, bytes } of storages) files[`archive/data/${key}`] = bytes
  return zipSync(files, { level })
}

/** A `.npy` file; `descr` as NumPy writes it, `<f4`. */
export function npy(
  descr: string,
  shape: readonly number[],
  elements: ArrayBufferView,
  { columnMajor = false, version = 1 } = {},
): Uint8Array<ArrayBuffer> {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const order = columnMajor ? 'True' : 'False'
  const dict = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${sizes}), }`
  const start = version === 1 ? 10 : 12
  const text = `${dict.padEnd(64 * Math.ceil((start + dict.length + 1) / 64) - start - 1)}\n`
  const head = [0x93, ...ascii('NUMPY'), version, 0, ...little(text.length, start - 8), ...ascii(text)]
  return concat([Uint8Array.from(head), new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength)])
}

/** A numpy.ndarray as NumPy pickles it below protocol 5. */
export function numpyArray(
  descr: string,
  shape: readonly number[],
  elements: ArrayBufferView,
  core = 'numpy.core',
): Node {
  const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength)
  const dtype = reduce(global('numpy', 'dtype'), tuple(descr, false, true), tuple(3, '<', null, null, null, -1, -1, 0))
  const empty = tuple(global('numpy', 'ndarray'), tuple(0), Uint8Array.from(ascii('b')))
  return reduce(global(`${core}.multiarray`, '_reconstruct'), empty, tuple(1, tuple(...shape), dtype, false, bytes))
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
