// Reads a model's folder: a manifest with variants, or plain files under their usual names.
import { existsSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { fitWeights } from '../convert/weights/fit.js'
import { readWeights } from '../convert/weights/read.js'
import { RingfenceError } from '../errors.js'
import { type Architecture, parseArchitecture } from '../model/architecture.js'
import { Fields, isObject, quote } from '../model/json/fields.js'
import { parseObject, summary } from '../model/json/file.js'
import { rangeNotes } from '../model/pictures/range.js'
import { parseReluSpec, type ReluSpec } from '../model/relu/spec.js'
import type { Weights } from '../model/weights.js'
import { type Calibration, parseCalibration } from '../plan/calibrate.js'
import { Faults } from './faults.js'
import { readWhole } from './whole-files.js'

/** A picture that comes with a model. */
export interface Sample {
  /** Absolute path of a picture. */
  readonly file: string
  /** Index of its class. */
  readonly label: number
}

/** What a model's folder holds, read and checked. */
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

const WEIGHT_FILES = ['safetensors', 'pth', 'th', 'pt', 'npz'].map((ending) => `weights.${ending}`)

/**
 * Loads one variant of a model: `model.json`, or `arch.json`, `weights.safetensors` (or `.pth`, `.th`, `.pt`, `.npz`)
 * and, where they are there, `relu-spec.json` and `calibration.json`.
 * @throws RingfenceError BAD_FILE with the problems of all its files at once, UNSUPPORTED when that is the only kind
 */
export async function loadModelDirectory(dir: string, variant?: string): Promise<ModelDirectory> {
  const faults = new Faults(dir)
  const manifest = await readManifest(dir, variant)
  const json = await faults.guard(() => text(dir, manifest.arch))
  const whole = json === undefined ? undefined : await faults.guard(async () => parseArchitecture(json, manifest.arch))
  const tensors = await faults.guard(async () => readWeights(await bytes(dir, manifest.weights), manifest.weights))
  const sources = { archSource: manifest.arch, source: manifest.weights }
  const fitted = whole && tensors && (await faults.guard(async () => fitWeights(json, tensors, sources)))
  const arch = fitted?.arch ?? whole
  const optional = async (file: string | undefined) => {
    const json = file === undefined ? undefined : await faults.guard(() => text(dir, file, manifest.loose))
    return json === undefined ? undefined : { json, file: file! }
  }
  const specFile = await optional(manifest.reluSpec)
  const rangeFile = await optional(manifest.calibration)
  const spec =
    arch && specFile ? await faults.guard(async () => parseReluSpec(specFile.json, arch, specFile.file)) : undefined
  const calibration =
    arch && rangeFile
      ? await faults.guard(async () => parseCalibration(rangeFile.json, arch, rangeFile.file))
      : undefined
  faults.throwIfAny()
  const { name, variants, samples } = manifest
  return {
    name,
    variant: manifest.variant,
    variants,
    arch: arch!,
    spec,
    weights: fitted!.weights,
    calibration,
    samples,
  }
}

/** The name of the architecture's file in a model's folder. @throws RingfenceError BAD_FILE */
export async function architectureOf(dir: string): Promise<string> {
  return (await readManifest(dir, undefined)).arch
}

/** The name of a variant's ReLU spec in a model's folder; undefined where it has none. @throws RingfenceError BAD_FILE */
export async function reluSpecOf(dir: string, variant: string | undefined): Promise<string | undefined> {
  const { reluSpec, loose } = await readManifest(dir, variant)
  return reluSpec && (!loose || existsSync(resolve(dir, reluSpec))) ? reluSpec : undefined
}

async function readManifest(dir: string, variant: string | undefined): Promise<Manifest> {
  const json = await text(dir, 'model.json', true)
  if (json !== undefined) return parseManifest(json, dir, variant)
  if (variant !== undefined && variant !== 'default') {
    throw new RingfenceError('BAD_INPUT', `${dir} has no model.json and so no variant ${quote(variant)}; leave it out`)
  }
  const names = { arch: 'arch.json', weights: weightsFile(dir), reluSpec: 'relu-spec.json' } as const
  const name = resolve(dir).split(/[\\/]/).at(-1) || 'model'
  const common = { name, variant: 'default', variants: ['default'], samples: [], loose: true }
  return { ...names, calibration: 'calibration.json', ...common }
}

/** `weights.safetensors`, or the one file of another format that can be read. */
function weightsFile(dir: string): string {
  const there = WEIGHT_FILES.filter((name) => existsSync(resolve(dir, name)))
  if (there.length <= 1) return there[0] ?? WEIGHT_FILES[0]
  throw new RingfenceError('BAD_FILE', `${dir}: expected one file of weights, found ${there.join(', ')}`)
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
  const path = resolve(dir, file)
  try {
    return await readWhole(path)
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    if (optional && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined
    const why = error.message.slice(path.length + ': '.length).replace('expected a plain file, ', '')
    throw new RingfenceError('BAD_FILE', `${file}: expected a file in ${dir}, but ${why}`, [], { cause: error })
  }
}

/** What pictures are to a model, a sentence for each input that takes some. */
export function inputNotesOf({ arch, weights }: Pick<ModelDirectory, 'arch' | 'weights'>): string[] {
  return rangeNotes(arch, (layer, tensor) => weights.get(layer)?.[tensor])
}
