// `ringfence convert`: files of other programs become the files of a model.
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { TARGETS } from '../../convert/convert-file.js'
import { type ConvertedFiles, type ConvertFilesOptions, convertFiles } from '../../files/convert-files.js'
import type { Shape } from '../../model/shape.js'
import type { OnStage } from '../../tune/progress.js'
import type { Command, Flags } from '../terminal/arguments.js'
import { inFlags } from '../terminal/flag-words.js'
import { printed, type Work } from '../terminal/printed.js'
import { byteSize, columnsOf, count, nextCommand, type Paint, painter, quoted, wrapped } from '../terminal/terminal.js'

export const convert: Command = {
  name: 'convert',
  summary: 'Turn a file of another program into files that ringfence reads. What INPUT is, its bytes tell.',
  operands: 'INPUT',
  flags: {
    output: {
      type: 'string',
      alias: 'o',
      valueHint: 'PATH',
      description: 'also -o: a file, or a folder (its name ends in /); else in the current folder, after the input',
    },
    arch: {
      type: 'string',
      valueHint: 'FILE',
      description: 'the network: weights are checked against it, a ReLU spec needs it',
    },
    choices: { type: 'string', valueHint: 'FILE', description: "the network's choices, {'default_1': 0, …}" },
    to: { type: 'string', valueHint: 'KIND', description: `only this: ${TARGETS.join(', ')}` },
    'input-shape': {
      type: 'string',
      valueHint: 'C,H,W',
      description: 'ONNX, TensorFlow.js: the shape of the input, channels first, where the file leaves it open',
    },
    outputs: {
      type: 'string',
      valueHint: 'A,B',
      description: 'ONNX, TensorFlow.js: the network gives these nodes or tensors; what is behind them is left out',
    },
    unwrap: {
      type: 'string',
      valueHint: 'KEY',
      description: 'take the tensors of this entry only, such as state_dict',
    },
    'strip-prefix': {
      type: 'string',
      valueHint: 'FRONT',
      description: 'take the tensors whose names start so, such as module., and take it off them',
    },
    drop: {
      type: 'string',
      valueHint: 'A,B',
      description: 'leave out the tensors whose names start so, such as auxiliary_head.: what only training needs',
    },
    masks: {
      type: 'string',
      valueHint: 'END',
      description:
        'tensors whose names end so, such as .alphas, are per-element factors of ReLUs (SNL): relu-spec.json',
    },
    scale: { type: 'string', valueHint: 'X', description: 'pictures: (value · scale - mean) / std; 1/255 makes 0 … 1' },
    mean: { type: 'string', valueHint: 'R,G,B', description: 'one number, or one per channel; 0 without it' },
    std: { type: 'string', valueHint: 'R,G,B', description: 'likewise; 1 without it' },
    bgr: { type: 'boolean', description: 'the network takes blue first, as OpenCV reads pictures; so do mean and std' },
    labels: { type: 'string', valueHint: 'FILE', description: "the classes' names, one per line" },
    force: { type: 'boolean', description: 'overwrite what is there' },
  },
  notes: [
    'PyTorch .pth .th .pt, NumPy .npz .npy, safetensors: weights.safetensors; with --arch and a folder, arch.json too.',
    'ONNX, TensorFlow.js model.json: a folder of arch.json and weights.safetensors.',
    'A pickle of ReLU block sizes: relu-spec.json. A short arch file or a ProxylessNAS configuration: all its layers.',
    'Nothing in a pickle is run; files of unknown origin can be converted.',
  ],
  async run(flags) {
    const options = readOptions(flags)
    const converted = ({ signal, onProgress }: Work) =>
      inFlags(convertFiles({ ...options, signal, onProgress: whereSlow(options.input, onProgress) }), convert.flags)
    await printed(flags, converted, text)
    return 0
  },
}

function readOptions(flags: Flags): ConvertFilesOptions {
  const [input = '', ...others] = flags.operands
  if (input === '') flags.fault('no INPUT is given: name the file to convert')
  if (others.length > 0) flags.fault(`one INPUT is converted at a time, got ${flags.operands.join(' ')}`)
  const options = {
    input,
    output: flags.text('output'),
    arch: flags.text('arch'),
    choices: flags.text('choices'),
    to: flags.oneOf('to', TARGETS),
    inputShape: readShape(flags),
    outputs: flags
      .text('outputs')
      ?.split(',')
      .filter((name) => name !== ''),
    unwrap: flags.text('unwrap'),
    drop: (flags.text('drop') ?? '').split(',').filter((front) => front !== ''),
    masks: flags.text('masks'),
    stripPrefix: flags.text('strip-prefix'),
    scale: readNumbers(flags, 'scale')?.[0],
    mean: readNumbers(flags, 'mean'),
    std: readNumbers(flags, 'std'),
    bgr: flags.on('bgr'),
    labels: flags.text('labels'),
    force: flags.on('force'),
  }
  if ((options.drop.length > 0 || options.masks !== undefined) && options.arch === undefined) {
    flags.fault('--drop, --masks: expected --arch, the network that the tensors are for')
  }
  flags.check()
  return options
}

/** Numbers between commas, fractions among them: 1/255. */
function readNumbers(flags: Flags, name: 'scale' | 'mean' | 'std'): readonly number[] | undefined {
  const given = flags.text(name)
  if (given === undefined) return undefined
  const numbers = given.split(',').map((text) => {
    const [above, below = 1, ...others] = text
      .split('/')
      .map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
    return others.length === 0 ? above / below : Number.NaN
  })
  if (!numbers.every(Number.isFinite) || (name === 'scale' && numbers.length > 1)) {
    flags.fault(
      `--${name}: expected ${name === 'scale' ? 'a number' : 'numbers'} like ${name === 'scale' ? '1/255' : '0.485,0.456,0.406'}, got ${given}`,
    )
  }
  return numbers
}

function readShape(flags: Flags): Shape | undefined {
  const given = flags.text('input-shape')
  if (given === undefined) return undefined
  const sizes = given.split(',').map(Number)
  const fits = (sizes.length === 1 || sizes.length === 3) && sizes.every((n) => Number.isInteger(n) && n >= 1)
  if (!fits || !/^[\d,]+$/.test(given)) flags.fault(`--input-shape: expected C,H,W or N, like 3,32,32, got ${given}`)
  return sizes
}

/** Smaller files are done before a line on a log would be read. */
const SLOW_BYTES = 2 ** 25

const whereSlow = (input: string, onProgress: OnStage): OnStage => {
  const size = statSync(input, { throwIfNoEntry: false })?.size ?? 0
  return process.stderr.isTTY || size > SLOW_BYTES ? onProgress : () => {}
}

const COUNTED = { layers: 'layers', tensors: 'tensors', elements: 'elements', drelus: 'DReLUs' } as const

function text({ input, format, outputs, counts, notes }: ConvertedFiles): string {
  const paint = painter(process.stdout)
  const columns = columnsOf(process.stdout)
  const found = (Object.keys(COUNTED) as (keyof typeof COUNTED)[]).flatMap((name) => {
    const value = counts[name]
    return value === undefined ? [] : [`${count(value)} ${COUNTED[name]}`]
  })
  return [
    wrapped(`${paint('bold', input)} (${format}): ${found.join(', ')}`, columns),
    ...outputs.map(({ file, bytes }) => `  ${paint('green', '→')} ${file}  ${paint('dim', byteSize(bytes))}`),
    ...notes.map((note) => wrapped(`${paint('yellow', 'note')} ${note}`, columns, '  ')),
    nextOf(outputs, paint),
    '',
  ].join('\n')
}

function nextOf(outputs: ConvertedFiles['outputs'], paint: Paint): string {
  const arch = outputs.find(({ kind }) => kind === 'arch')
  const [{ file, kind }] = outputs
  if (arch && outputs.length > 1) {
    return nextCommand(`calibrate ${quoted(dirname(arch.file))} --images PATH`, 'ranges, then it can be served', paint)
  }
  if (arch) return nextCommand(`inspect ${quoted(arch.file)}`, 'what it is made of', paint)
  const flag = kind === 'relu-spec' ? 'relu-spec' : 'weights'
  return nextCommand(`inspect ARCH --${flag} ${quoted(file)}`, 'what it is made of', paint)
}
