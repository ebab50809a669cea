// Converts a file of another program, and writes what it becomes under the names that ringfence reads.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type Conversion,
  type ConvertedCounts,
  type ConvertOptions,
  convertFile,
  type Product,
  type Target,
} from '../convert/convert-file.js'
import { stemOf } from '../convert/weights/read.js'
import { RingfenceError } from '../errors.js'
import type { OnStage } from '../tune/progress.js'
import { readArchitectureFile, readChoices } from './architecture-file.js'
import { Faults } from './faults.js'
import { existing, readWhole, type WholeFile, writeWhole } from './whole-files.js'

/** As `convertFile`, with files for what it takes. */
export interface ConvertFilesOptions
  extends Pick<ConvertOptions, 'to' | 'inputShape' | 'outputs' | 'unwrap' | 'stripPrefix' | 'drop' | 'masks'> {
  readonly input: string
  /** A file, or a folder (its name ends in /, or it is there); else in the current folder, named after the input. */
  readonly output?: string
  /** The file of the network, or a model. */
  readonly arch?: string
  /** A file of one class name per line. */
  readonly labels?: string
  /** The file of its choices. */
  readonly choices?: string
  /** Overwrites what is there. */
  readonly force?: boolean
  /** Stops before anything is written. */
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
}

/** What was written. */
export interface ConvertedFiles {
  readonly input: string
  readonly format: string
  readonly outputs: readonly { readonly file: string; readonly kind: Target; readonly bytes: number }[]
  readonly counts: ConvertedCounts
  /** What a reader should know, in sentences. */
  readonly notes: readonly string[]
}

/**
 * Converts one file by what its bytes are, and writes the results.
 * @throws RingfenceError as `convertFile`; BAD_FILE with every file that cannot be read; BAD_INPUT for an output that is
 *   there, or a folder that cannot become a model's; ABORTED by `signal`
 */
export async function convertFiles(options: ConvertFilesOptions): Promise<ConvertedFiles> {
  const { input, output, force = false, signal, onProgress } = options
  const show = (stage: string) => (done: number) => {
    throwIfAborted(signal)
    onProgress?.({ stage, done })
  }
  const faults = new Faults(`converting ${input}`)
  const file = await faults.guard(() => readWhole(input, show('reading')))
  const arch = await faults.guard(async () => options.arch && readArchitectureFile(options.arch))
  const choices = await faults.guard(async () => options.choices && readChoices(options.choices))
  const labels = await faults.guard(async () => options.labels && readLabels(options.labels))
  faults.throwIfAny()
  show('converting')(0)
  const withArchitecture = output !== undefined && isFolder(output)
  const conversion = await convertFile(file!, {
    ...{ ...options, source: input, withArchitecture },
    ...{ arch: arch || undefined, choices: choices || undefined, labels: labels || undefined },
    readBeside: (path) => readWhole(join(dirname(input), path)).catch(() => undefined),
  })
  const files = place(conversion, options, withArchitecture)
  throwIfAborted(signal)
  await writeWhole(files, force, (done) => onProgress?.({ stage: 'writing', done }))
  const { format, counts, notes, products } = conversion
  const outputs = products.map(({ target, bytes }, i) => ({ file: files[i].path, kind: target, bytes: bytes.length }))
  return { input, format, outputs, counts, notes }
}

/** Names of classes, one per line; lines without one at the end are none. */
async function readLabels(path: string): Promise<readonly string[]> {
  const text = new TextDecoder().decode(await readWhole(path))
  return text.trimEnd().split(/\r?\n/)
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new RingfenceError('ABORTED', 'the conversion was aborted by the caller')
}

function isFolder(path: string): boolean {
  return /[\\/]$/.test(path) || existing(path)?.isDirectory() === true
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

/** Several files go into a folder; a single one may go anywhere. */
function place({ products }: Conversion, { input, output }: ConvertFilesOptions, intoFolder: boolean): WholeFile[] {
  const stem = stemOf(input)
  if (intoFolder || products.length > 1) requireFolder(output ?? stem)
  const pathOf = ({ target }: Product): string => {
    if (intoFolder || products.length > 1) return join(output ?? stem, IN_FOLDER[target])
    return output ?? `${stem}${ALONE[target]}`
  }
  return products.map((product) => ({ path: pathOf(product), bytes: product.bytes }))
}

function requireFolder(path: string): void {
  if (existing(path)?.isDirectory() === false) {
    const text = `${path}: expected a folder for several files, found a file; name one as output`
    throw new RingfenceError('BAD_INPUT', text)
  }
  if (!existsSync(join(path, 'model.json'))) return
  const why = 'its model.json would be read instead of the new files'
  throw new RingfenceError('BAD_INPUT', `${path}: ${why}; name another folder as output`)
}
