// `ringfence convert`: files of other programs become the files of a model.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { stemOf } from '../../convert/weights/read.js'
import { RingfenceError } from '../../errors.js'
import { type JsonFile, readArchitectureFile, readChoices } from '../../files/architecture-file.js'
import { Faults } from '../../files/faults.js'
import { readWhole, requireNew, type WholeFile, writeWhole } from '../../files/whole-files.js'
import type { Choices } from '../../model/choices.js'
import type { Shape } from '../../model/shape.js'
import { type Conversion, type Counts, convertFile, type Product, TARGETS, type Target } from '../conversion.js'
import type { Command, Flags } from '../terminal/arguments.js'
import { ProgressBar } from '../terminal/progress-bar.js'
import { byteSize, count, painter } from '../terminal/terminal.js'

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
    unwrap: {
      type: 'string',
      valueHint: 'KEY',
      description: 'take the tensors of this entry only, such as state_dict',
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
    force: { type: 'boolean', description: 'overwrite what is there' },
  },
  notes: [
    'PyTorch .pth .th .pt, NumPy .npz .npy, safetensors: weights.safetensors; with --arch and a folder, arch.json too.',
    'ONNX, TensorFlow.js model.json: a folder of arch.json and weights.safetensors.',
    'A pickle of ReLU block sizes: relu-spec.json. A short arch file or a ProxylessNAS configuration: all its layers.',
    'Nothing in a pickle is run; files of unknown origin can be converted.',
  ],
  async run(flags) {
    const request = readRequest(flags)
    const bar = new ProgressBar()
    try {
      const report = await convertRequest(request, bar)
      bar.clear()
      process.stdout.write(flags.on('json') ? `${JSON.stringify(report)}\n` : text(report))
      return 0
    } finally {
      bar.clear()
    }
  },
}

interface Request {
  readonly input: string
  readonly output: string | undefined
  readonly arch: string | undefined
  readonly choices: string | undefined
  readonly to: Target | undefined
  readonly inputShape: Shape | undefined
  readonly unwrap: string | undefined
  readonly drop: readonly string[]
  readonly masks: string | undefined
  readonly force: boolean
}

function readRequest(flags: Flags): Request {
  const [input = '', ...others] = flags.operands
  if (input === '') flags.fault('no INPUT is given: name the file to convert')
  if (others.length > 0) flags.fault(`one INPUT is converted at a time, got ${flags.operands.join(' ')}`)
  const request = {
    input,
    output: flags.text('output'),
    arch: flags.text('arch'),
    choices: flags.text('choices'),
    to: flags.oneOf('to', TARGETS),
    inputShape: readShape(flags),
    unwrap: flags.text('unwrap'),
    drop: (flags.text('drop') ?? '').split(',').filter((front) => front !== ''),
    masks: flags.text('masks'),
    force: flags.on('force'),
  }
  if ((request.drop.length > 0 || request.masks !== undefined) && request.arch === undefined) {
    flags.fault('--drop, --masks: expected --arch, the network that the tensors are for')
  }
  flags.check()
  return request
}

function readShape(flags: Flags): Shape | undefined {
  const given = flags.text('input-shape')
  if (given === undefined) return undefined
  const sizes = given.split(',').map(Number)
  const fits = (sizes.length === 1 || sizes.length === 3) && sizes.every((n) => Number.isInteger(n) && n >= 1)
  if (!fits || !/^[\d,]+$/.test(given)) flags.fault(`--input-shape: expected C,H,W or N, like 3,32,32, got ${given}`)
  return sizes
}

interface ConvertReport {
  readonly input: string
  readonly format: string
  readonly outputs: readonly { readonly file: string; readonly kind: Target; readonly bytes: number }[]
  readonly counts: Counts
  readonly notes: readonly string[]
}

/** Smaller files are done before a line on a log would be read. */
const SLOW_BYTES = 2 ** 25

async function convertRequest(request: Request, bar: ProgressBar): Promise<ConvertReport> {
  const { input, output, force } = request
  const isSlow = process.stderr.isTTY || sizeOf(input) > SLOW_BYTES
  const show = (done: number, stage: string) => isSlow && bar.update(done, stage)
  const faults = new Faults(`ringfence convert ${input}`)
  const file = await faults.guard(() => readWhole(input, (done) => show(0.3 * done, 'reading')))
  const arch = await faults.guard(async () => request.arch && readArchitectureFile(request.arch))
  const choices = await faults.guard(async () => request.choices && readChoices(request.choices))
  faults.throwIfAny()
  show(0.3, 'converting')
  const intoFolder = output !== undefined && isFolder(output)
  const conversion = await convertFile({
    ...request,
    file: file!,
    intoFolder,
    arch: (arch || undefined) as JsonFile | undefined,
    choices: (choices || undefined) as Choices | undefined,
  })
  const files = place(conversion, request, intoFolder)
  if (!force) await requireNew(files.map(({ path }) => path))
  await writeWhole(files, force, (done) => show(0.6 + 0.4 * done, 'writing'))
  const { format, counts, notes, products } = conversion
  const outputs = products.map(({ target, bytes }, i) => ({ file: files[i].path, kind: target, bytes: bytes.length }))
  return { input, format, outputs, counts, notes }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function isFolder(path: string): boolean {
  return /[\\/]$/.test(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

const IN_FOLDER: Readonly<Record<Target, string>> = {
  safetensors: 'weights.safetensors',
  'relu-spec': 'relu-spec.json',
  arch: 'arch.json',
}
const ALONE: Readonly<Record<Target, string>> = {
  safetensors: '.safetensors',
  'relu-spec': '.relu-spec.json',
  arch: '.arch.json',
}

/**
 * Several files go into a folder; a single one may go anywhere.
 * @throws RingfenceError BAD_INPUT for a folder that cannot become a model's
 */
function place({ products }: Conversion, { input, output }: Request, intoFolder: boolean): WholeFile[] {
  const stem = stemOf(input)
  if (intoFolder || products.length > 1) requireFolder(output ?? stem)
  const pathOf = ({ target }: Product): string => {
    if (intoFolder || products.length > 1) return join(output ?? stem, IN_FOLDER[target])
    return output ?? `${stem}${ALONE[target]}`
  }
  return products.map((product) => ({ path: pathOf(product), bytes: product.bytes }))
}

function requireFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new RingfenceError(
      'BAD_INPUT',
      `${path}: expected a folder for several files, found a file; name one with -o`,
    )
  }
  if (!existsSync(join(path, 'model.json'))) return
  const why = 'its model.json would be read instead of the new files'
  throw new RingfenceError('BAD_INPUT', `${path}: ${why}; name another folder with -o`)
}

const COUNTED = { layers: 'layers', tensors: 'tensors', elements: 'elements', drelus: 'DReLUs' } as const

function text({ input, format, outputs, counts, notes }: ConvertReport): string {
  const paint = painter(process.stdout)
  const found = (Object.keys(COUNTED) as (keyof Counts)[]).flatMap((name) => {
    const value = counts[name]
    return value === undefined ? [] : [`${count(value)} ${COUNTED[name]}`]
  })
  return [
    `${paint('bold', input)} (${format}): ${found.join(', ')}`,
    ...outputs.map(({ file, bytes }) => `  ${paint('green', '→')} ${file}  ${paint('dim', byteSize(bytes))}`),
    ...notes.map((note) => `  ${paint('yellow', 'note')} ${note}`),
    '',
  ].join('\n')
}
