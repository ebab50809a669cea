// Reads a model's folder: a manifest with variants, or plain files under their usual names.
import { readFile } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { RingfenceError } from '../errors.js'
import { type Architecture, parseArchitecture } from '../model/architecture.js'
import { Fields, isObject, quote } from '../model/fields.js'
import { parseObject, summary } from '../model/json-file.js'
import { parseReluSpec, type ReluSpec } from '../model/relu-spec.js'
import { readSafetensors } from '../model/safetensors.js'
import { bindWeights, type Weights } from '../model/weights.js'
import { type Calibration, parseCalibration } from '../plan/calibrate.js'

export interface Sample {
  /** Absolute path of a picture. */
  readonly file: string
  /** Index of its class. */
  readonly label: number
}

export interface ModelDirectory {
  readonly name: string
  /** The chosen variant. */
  readonly variant: string
  /** All variants of the manifest, the default first; `['default']` without a manifest. */
  readonly variants: readonly string[]
  readonly arch: Architecture
  readonly spec: ReluSpec | undefined
  readonly weights: Weights
  /** Undefined only without a manifest and without a `calibration.json`. */
  readonly calibration: Calibration | undefined
  readonly samples: readonly Sample[]
}

interface Manifest {
  readonly name: string
  readonly variant: string
  readonly variants: readonly string[]
  readonly arch: string
  readonly weights: string
  readonly reluSpec: string | undefined
  readonly calibration: string | undefined
  readonly samples: readonly Sample[]
  /** Whether `reluSpec` and `calibration` may be missing on disk. */
  readonly loose: boolean
}

/**
 * Loads one variant of a model: `model.json`, or `arch.json`, `weights.safetensors` and, where they are there,
 * `relu-spec.json` and `calibration.json`.
 * @throws RingfenceError BAD_FILE with the problems of all its files at once, UNSUPPORTED when that is the only kind
 */
export async function loadModelDirectory(dir: string, variant?: string): Promise<ModelDirectory> {
  const faults = new Faults(dir)
  const manifest = await readManifest(dir, variant)
  const arch = await faults.guard(async () => parseArchitecture(await text(dir, manifest.arch), manifest.arch))
  const tensors = await faults.guard(async () => readSafetensors(await bytes(dir, manifest.weights), manifest.weights))
  const optional = async (file: string | undefined) => {
    const json = file === undefined ? undefined : await faults.guard(() => text(dir, file, manifest.loose))
    return json === undefined ? undefined : { json, file: file! }
  }
  const specFile = await optional(manifest.reluSpec)
  const rangeFile = await optional(manifest.calibration)
  const weights =
    arch && tensors ? await faults.guard(async () => bindWeights(arch, tensors, manifest.weights)) : undefined
  const spec =
    arch && specFile ? await faults.guard(async () => parseReluSpec(specFile.json, arch, specFile.file)) : undefined
  const calibration =
    arch && rangeFile
      ? await faults.guard(async () => parseCalibration(rangeFile.json, arch, rangeFile.file))
      : undefined
  faults.throwIfAny()
  const { name, variants, samples } = manifest
  return { name, variant: manifest.variant, variants, arch: arch!, spec, weights: weights!, calibration, samples }
}

/** Collects what goes wrong in several files. */
class Faults {
  readonly #errors: RingfenceError[] = []

  constructor(readonly dir: string) {}

  async guard<T>(run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      this.#errors.push(error)
      return undefined
    }
  }

  throwIfAny(): void {
    if (this.#errors.length === 0) return
    if (this.#errors.length === 1) throw this.#errors[0]
    const code = this.#errors.every((error) => error.code === 'UNSUPPORTED') ? 'UNSUPPORTED' : 'BAD_FILE'
    const problems = this.#errors.flatMap((error) => {
      const head = error.message.split('\n', 1)[0]
      return error.problems.length === 0 ? [head] : error.problems.map((problem) => `${fileOf(head)}: ${problem}`)
    })
    throw new RingfenceError(code, summary(this.dir, problems.length), problems)
  }
}

/** The file a message is about: its text up to the words every summary goes on with. */
function fileOf(head: string): string {
  return head.replace(/ (has (a problem|\d+ problems)|cannot be run by this version):$/, '')
}

async function readManifest(dir: string, variant: string | undefined): Promise<Manifest> {
  const json = await text(dir, 'model.json', true)
  if (json !== undefined) return parseManifest(json, dir, variant)
  if (variant !== undefined && variant !== 'default') {
    throw new RingfenceError('BAD_INPUT', `${dir} has no model.json and so no variant ${quote(variant)}; leave it out`)
  }
  const names = { arch: 'arch.json', weights: 'weights.safetensors', reluSpec: 'relu-spec.json' } as const
  const name = resolve(dir).split(/[\\/]/).at(-1) || 'model'
  const common = { name, variant: 'default', variants: ['default'], samples: [], loose: true }
  return { ...names, calibration: 'calibration.json', ...common }
}

function parseManifest(json: string, dir: string, variant: string | undefined): Manifest {
  const problems: string[] = []
  const root = new Fields(parseObject(json, `${dir}/model.json`), 'file', problems)
  root.oneOf('format', ['model/1'])
  const name = root.string('name')
  const arch = fileName(root, 'arch') ?? ''
  const preferred = root.string('default')
  const variants = root.record('variants')
  const files = Object.entries(variants).map(([key, value]) => [key, readVariant(key, value, problems)] as const)
  if (!Object.hasOwn(variants, preferred)) root.fault('default', `one of ${Object.keys(variants).join(', ')}`)
  const samples = readSamples(root, dir)
  root.noOthers()
  if (problems.length > 0) {
    throw new RingfenceError('BAD_FILE', summary(`${dir}/model.json`, problems.length), problems)
  }
  const names = [preferred, ...Object.keys(variants).filter((key) => key !== preferred)]
  const chosen = new Map(files).get(variant ?? preferred)
  if (chosen === undefined) {
    throw new RingfenceError('BAD_INPUT', `${dir}: expected a variant among ${names.join(', ')}, got ${quote(variant)}`)
  }
  return { name, arch, variant: variant ?? preferred, variants: names, samples, loose: false, ...chosen }
}

function readVariant(key: string, value: unknown, problems: string[]) {
  const fields = new Fields(isObject(value) ? value : {}, `variant ${quote(key)}`, problems)
  if (!isObject(value)) fields.problem(`expected an object, got ${quote(value)}`)
  const weights = fileName(fields, 'weights') ?? ''
  const reluSpec = fields.has('reluSpec') ? fileName(fields, 'reluSpec') : undefined
  const calibration = fileName(fields, 'calibration')
  fields.noOthers()
  return { weights, reluSpec, calibration }
}

function readSamples(root: Fields, dir: string): Sample[] {
  const list = root.has('samples') ? root.value('samples') : []
  if (!Array.isArray(list)) {
    root.fault('samples', 'a list')
    return []
  }
  return list.map((entry, i) => {
    const fields = new Fields(isObject(entry) ? entry : {}, `samples[${i}]`, root.problems)
    const file = resolve(dir, fileName(fields, 'file') ?? '')
    const label = fields.integer('label', { min: 0 })
    fields.noOthers()
    return { file, label }
  })
}

function fileName(fields: Fields, name: string): string | undefined {
  const file = fields.string(name)
  if (isAbsolute(file)) fields.fault(name, "a path relative to the model's folder")
  return file || undefined
}

async function text(dir: string, file: string): Promise<string>
async function text(dir: string, file: string, optional: boolean): Promise<string | undefined>
async function text(dir: string, file: string, optional = false): Promise<string | undefined> {
  const content = await read(dir, file, optional)
  return content === undefined ? undefined : new TextDecoder().decode(content)
}

/** The file's bytes in an allocation of their own, so that float tensors can be views of them. */
async function bytes(dir: string, file: string): Promise<Uint8Array> {
  return (await read(dir, file, false))!
}

async function read(dir: string, file: string, optional: boolean): Promise<Uint8Array | undefined> {
  try {
    return await readFile(resolve(dir, file))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (optional && code === 'ENOENT') return undefined
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
    throw new RingfenceError('BAD_FILE', `${file}: expected a file in ${dir}, but ${why}`, [], { cause })
  }
}
