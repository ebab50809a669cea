// Weights from whatever file they came in: told apart by their bytes, read by the reader of their format.
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import { readSafetensors, type Tensor } from '../../model/safetensors.js'
import { plainBytes } from '../arch-draft.js'
import { detectFormat, type FileFormat } from '../detect.js'
import { readNpy, readNpz } from './npy.js'
import { readTorch } from './torch.js'

/** How a file is named in messages, and which of its entries to take. */
export interface WeightOptions {
  /** Read only the tensors of this entry of a checkpoint, such as `state_dict`, and take its name off theirs. */
  readonly unwrap?: string
  /** Told what is left out of the file. */
  readonly onNote?: (note: string) => void
}

/** Formats that `readWeights` reads. */
export const WEIGHT_FORMATS: ReadonlySet<FileFormat> = new Set(['safetensors', 'torch', 'npy', 'npz'])

/**
 * Tensors by name of a safetensors file, of what torch.save wrote, of a `.npz` or of a `.npy` file (one tensor of the
 * file's name). The file's name does not matter, its bytes do. Float tensors may be views of `file`: leave it unchanged.
 * @throws RingfenceError BAD_FILE with every problem of the file; UNSUPPORTED, with what to do instead, for a file of
 *   another format
 */
export function readWeights(
  file: Uint8Array,
  source = 'weights',
  { unwrap, onNote }: WeightOptions = {},
): ReadonlyMap<string, Tensor> {
  const bytes = plainBytes(file)
  const format = detectFormat(bytes)
  const tensors = readTensors(bytes, format, source, { unwrap, onNote })
  if (unwrap === undefined || format === 'torch') return tensors
  const inner = tensorsBelow(tensors, unwrap)
  if (inner.size > 0) return inner
  const names = [...tensors.keys()].slice(0, 6).map(quote).join(', ')
  throw new RingfenceError('BAD_FILE', `${source}: expected tensors below ${quote(unwrap)}, the file has ${names}`)
}

/** The tensors whose names start with `<entry>.`, without it. */
export function tensorsBelow(tensors: ReadonlyMap<string, Tensor>, entry: string): ReadonlyMap<string, Tensor> {
  const front = `${entry}.`
  const inside = [...tensors].filter(([name]) => name.startsWith(front))
  return new Map(inside.map(([name, tensor]) => [name.slice(front.length), tensor]))
}

function readTensors(
  bytes: Uint8Array,
  format: FileFormat | undefined,
  source: string,
  options: WeightOptions,
): ReadonlyMap<string, Tensor> {
  switch (format) {
    case 'safetensors':
      return readSafetensors(bytes, source)
    case 'torch':
      return readTorch(bytes, { source, ...options })
    case 'npz':
      return readNpz(bytes, { source })
    case 'npy':
      return new Map([[stemOf(source), readNpy(bytes, { source })]])
    default:
      throw new RingfenceError(
        format === undefined ? 'BAD_FILE' : 'UNSUPPORTED',
        `${source}: expected weights, got ${otherFormat(format, source)}`,
      )
  }
}

/** `b` of `a/b.npy`. */
export function stemOf(path: string): string {
  const name = path.split(/[\\/]/).at(-1) ?? ''
  return name.replace(/(.)\.[^.]*$/, '$1') || 'array'
}

/** What a file is that cannot be read, and what to do about it. */
export function otherFormat(format: FileFormat | undefined, source: string): string {
  const stem = stemOf(source)
  switch (format) {
    case 'hdf5':
      return `a Keras (HDF5) file; convert it where Keras is, then convert ${stem}-tfjs/model.json here: tensorflowjs_converter --input_format=keras ${source} ${stem}-tfjs`
    case 'keras':
      return `a Keras 3 file; save it as HDF5 where Keras is, then convert that: python -c "import keras; keras.saving.load_model('${source}').save('${stem}.h5')" && tensorflowjs_converter --input_format=keras ${stem}.h5 ${stem}-tfjs`
    case 'torchscript':
      return `a TorchScript program; save its tensors where PyTorch is: python -c "import torch; torch.save(torch.jit.load('${source}').state_dict(), '${stem}.pth')"`
    case 'torch-export':
      return `a program of torch.export; write it as ONNX where PyTorch is, then convert ${stem}.onnx here: python -c "import torch; torch.onnx.export(torch.export.load('${source}'), f='${stem}.onnx', dynamo=True)"`
    case 'torch-tar':
      return `a file of PyTorch before 0.2; save it anew where PyTorch is: python -c "import torch; torch.save(torch.load('${source}'), '${stem}.pth')"`
    case 'onnx':
    case 'tfjs':
      return `a whole network (${format === 'onnx' ? 'ONNX' : 'TensorFlow.js'}); make a model folder of it: ringfence convert ${source}`
    case 'pickle':
      return 'a pickle that is no tensor file; a ReLU spec is converted with: ringfence convert --arch ARCH'
    case 'safetensors-index':
      return `a list of safetensors files; convert it where they are: ringfence convert ${source}`
    case 'json':
      return 'a JSON file'
    case 'zip':
      return 'a zip file that neither PyTorch nor NumPy wrote'
    default:
      return 'a file of a format that is not known (known: PyTorch, safetensors, NumPy .npz and .npy, ONNX, TensorFlow.js, JSON of a network)'
  }
}
