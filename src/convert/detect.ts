// Tells what a file is by its bytes; a name proves nothing.
import { isObject } from '../model/json/fields.js'
import { LEGACY_MAGIC } from './pickle/torch.js'
import { Budget } from './weights/budget.js'
import { looksLikeNpy } from './weights/npy.js'
import { looksLikeZip, readZip } from './weights/zip.js'

/** Kinds of files that can be told apart by their bytes. */
export type FileFormat =
  | 'safetensors'
  | 'safetensors-index' // model.safetensors.index.json: which of several files holds which tensor
  | 'torch' // either format of torch.save
  | 'torchscript' // a program of torch.jit.save; not readable as weights
  | 'torch-tar' // PyTorch before 0.2; not readable
  | 'npy'
  | 'npz'
  | 'pickle' // any other pickle, such as a relu-spec
  | 'onnx'
  | 'tfjs' // model.json of TensorFlow.js, layers or graph
  | 'json' // any other JSON object, such as arch/1 or relu-spec/1
  | 'hdf5' // Keras .h5; not readable
  | 'torch-export' // torch.export.save, .pt2; not readable
  | 'keras' // Keras 3 .keras, a zip around HDF5; not readable
  | 'zip' // any other zip file

/** JSON longer than this is not looked into. */
const LONGEST_JSON = 2 ** 28

/** The format of a file, or undefined when it is none of those known. Never throws; the file may still be damaged. */
export function detectFormat(file: Uint8Array): FileFormat | undefined {
  if (startsWith(file, [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a])) return 'hdf5'
  if (looksLikeNpy(file)) return 'npy'
  if (looksLikeZip(file)) return detectZip(file)
  if (looksLikeSafetensors(file)) return 'safetensors'
  if (file[0] === 0x80 && file[1] >= 2 && file[1] <= 5) return isLegacyTorch(file) ? 'torch' : 'pickle'
  if (startsWith(file.subarray(257, 262), [0x75, 0x73, 0x74, 0x61, 0x72])) return 'torch-tar'
  return detectJson(file) ?? (looksLikeOnnx(file) ? 'onnx' : undefined)
}

function startsWith(file: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => file[i] === byte)
}

function detectZip(file: Uint8Array): FileFormat {
  let names: readonly string[]
  try {
    names = readZip(file, new Budget(file.length, 'file')).names
  } catch {
    return 'zip'
  }
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name))
  if (has(/^[^/]+\/data\.pkl$/)) return has(/^[^/]+\/(constants\.pkl|code\/)/) ? 'torchscript' : 'torch'
  if (has(/^model\.weights\.h5$/)) return 'keras'
  if (has(/^([^/]+\/)?(models\/[^/]+|serialized_exported_program)\.json$/)) return 'torch-export'
  return names.length > 0 && names.every((name) => name.endsWith('.npy')) ? 'npz' : 'zip'
}

/** Eight bytes of header length, then a JSON object within the file. */
function looksLikeSafetensors(file: Uint8Array): boolean {
  if (file.length < 10 || file[8] !== 0x7b) return false
  const view = new DataView(file.buffer, file.byteOffset, 8)
  return view.getUint32(4, true) === 0 && view.getUint32(0, true) <= file.length - 8
}

/** The first pickle of the legacy format is the magic number: PROTO, perhaps FRAME, LONG1 of ten bytes. */
function isLegacyTorch(file: Uint8Array): boolean {
  const at = file[2] === 0x95 ? 11 : 2
  if (file[at] !== 0x8a || file[at + 1] !== 10) return false
  let value = 0n
  for (let i = 9; i >= 0; i--) value = (value << 8n) | BigInt(file[at + 2 + i] ?? 0)
  return value === LEGACY_MAGIC
}

function detectJson(file: Uint8Array): FileFormat | undefined {
  const start = startsWith(file, [0xef, 0xbb, 0xbf]) ? 3 : 0
  const first = file.subarray(start, start + 64).find((byte) => byte > 0x20)
  if (first !== 0x7b || file.length > LONGEST_JSON) return undefined
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file))
    if (!isObject(value)) return undefined
    if (isObject(value.weight_map)) return 'safetensors-index'
    return Object.hasOwn(value, 'weightsManifest') || Object.hasOwn(value, 'modelTopology') ? 'tfjs' : 'json'
  } catch {
    return undefined
  }
}

/** A protobuf message whose fields are those of ModelProto (onnx.proto), with a graph among them. */
function looksLikeOnnx(file: Uint8Array): boolean {
  let graph = false
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 64 && at < file.length; shift += 7) {
      const byte = file[at++]
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    return Number.NaN
  }
  while (at < file.length) {
    const key = varint()
    const field = Math.floor(key / 8)
    if (!ONNX_FIELDS.has(field)) return false
    if (key % 8 !== (VARINT_FIELDS.has(field) ? 0 : 2)) return false
    const value = varint()
    if (Number.isNaN(value)) return false
    if (!VARINT_FIELDS.has(field)) at += value
    graph ||= field === 7
  }
  return graph && at === file.length
}

/** ir_version and model_version are numbers; the rest are texts and messages. */
const VARINT_FIELDS: ReadonlySet<number> = new Set([1, 5])
const ONNX_FIELDS: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26])
