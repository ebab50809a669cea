// Many pictures for a measurement: a folder of them, or one file of records; with their classes where they have some.
import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { parseObject } from '../model/json/file.js'
import { decodeImage } from '../model/pictures/decode.js'
import { pictureToInput } from '../model/pictures/input.js'
import { type ImageRecords, readIdxLabels, readImageRecords } from '../model/pictures/records.js'
import type { Resize } from '../model/pictures/resize.js'
import { elementCount } from '../model/shape.js'
import { readImageFiles } from './image-files.js'
import { existing, readWhole } from './whole-files.js'

/** Pictures as inputs of a network, and what they show where that is known. */
export interface ImageSet {
  /** What it is, in words: `20 pictures of test.bin`. */
  readonly source: string
  /** CHW, preprocessed for the network. */
  readonly inputs: readonly Float32Array[]
  /** Index of the class per picture; undefined for a set without classes. */
  readonly labels: readonly number[] | undefined
  /** As the set names them. */
  readonly names: readonly string[]
}

/** How pictures are read. */
export interface ImageSetOptions {
  /** At most this many, evenly spread over the set. */
  readonly limit?: number
  /** True refuses a set without classes, false does not look at them; without it they are read where there are some. */
  readonly labelled?: boolean
  /** Makes pictures of another size fit; without it they are refused. */
  readonly resize?: Resize
}

const PICTURE = /\.(png|jpe?g)$/i
const LABELS = 'labels.json'

/**
 * Reads a folder of PNG and JPEG files, in subfolders named after classes or with a `labels.json`, or a file as
 * `readImageRecords` knows it.
 * @throws RingfenceError BAD_FILE naming all pictures that cannot be read, have another size or an unknown class;
 *   BAD_INPUT for a set without pictures, or without classes where they are needed
 */
export async function readImageSet(path: string, arch: Architecture, options: ImageSetOptions = {}): Promise<ImageSet> {
  const stats = existing(path)
  if (!stats) throw new RingfenceError('BAD_FILE', `${path}: there is no such file or folder`)
  const found = stats.isDirectory() ? await readFolder(path, arch, options) : await readFile(path, arch, options)
  const { count, labels, names } = found
  if (options.labelled && !labels) {
    const how = `subfolders named after classes, or ${LABELS} with {"picture.png": class}`
    throw new RingfenceError('BAD_INPUT', `${path}: its pictures have no classes; expected ${how}`)
  }
  checkLabels(path, arch, labels, names)
  const inputs = allInputs(path, arch, found, options.resize)
  return { source: `${pictures(count)} of ${basename(path)}`, inputs, labels, names }
}

interface Found extends ImageRecords {
  readonly names: readonly string[]
}

async function readFile(path: string, arch: Architecture, { limit, labelled }: ImageSetOptions): Promise<Found> {
  const bytes = await readWhole(path)
  const records = readImageRecords(bytes, arch.inputs[0].shape, path)
  const labelFile = path.replace(/images([-.])idx3/, 'labels$1idx1')
  const beside = records.labels === undefined && labelFile !== path && existsSync(labelFile)
  const known = beside ? readIdxLabels(await readWhole(labelFile), labelFile) : records.labels
  const labels = labelled === false ? undefined : known
  if (labels && labels.length !== records.count) {
    throw new RingfenceError('BAD_FILE', `${labelFile}: expected ${records.count} labels, got ${labels.length}`)
  }
  const chosen = spread(records.count, limit)
  return {
    count: chosen.length,
    labels: labels && chosen.map((i) => labels[i]),
    names: chosen.map((i) => `record ${i}`),
    picture: (i) => records.picture(chosen[i]),
  }
}

async function readFolder(path: string, arch: Architecture, { limit, labelled }: ImageSetOptions): Promise<Found> {
  const all = readdirSync(path, { recursive: true, encoding: 'utf8' })
  const pictures = all
    .filter((file) => PICTURE.test(file))
    .map((file) => file.split('\\').join('/'))
    .sort()
  if (pictures.length === 0) throw new RingfenceError('BAD_INPUT', `${path}: there is no .png or .jpg in this folder`)
  const names = spread(pictures.length, limit).map((i) => pictures[i])
  const files = await readImageFiles(names.map((name) => join(path, name)))
  const { shape } = arch.inputs[0]
  const labels = labelled === false ? undefined : await folderLabels(path, names, arch)
  return { count: names.length, labels, names, picture: (i) => decodeImage(files[i].bytes, names[i], shape) }
}

/** Of `labels.json`, or of the names of subfolders; undefined where neither says anything. */
async function folderLabels(
  path: string,
  names: readonly string[],
  arch: Architecture,
): Promise<readonly number[] | undefined> {
  const file = join(path, LABELS)
  if (existsSync(file)) {
    const classes = parseObject(new TextDecoder().decode(await readWhole(file)), file)
    return names.map((name) => classOf(classes[name], arch))
  }
  const folders = names.map((name) => name.split('/').at(-2))
  return folders.every((folder) => folder === undefined) ? undefined : folders.map((name) => classOf(name, arch))
}

/** A class by its number or its label; NaN for neither. */
function classOf(name: unknown, { labels }: Architecture): number {
  const text = String(name)
  if (/^\d+$/.test(text)) return Number(text)
  const at = labels.findIndex((label) => label.toLowerCase() === text.toLowerCase())
  return at < 0 ? Number.NaN : at
}

/** Indices of at most `limit` of `count`, evenly spread. */
function spread(count: number, limit = count): number[] {
  const wanted = Math.min(limit, count)
  return Array.from({ length: wanted }, (_, i) => Math.floor((i * count) / wanted))
}

function checkLabels(
  path: string,
  arch: Architecture,
  labels: readonly number[] | undefined,
  names: readonly string[],
): void {
  const classes = elementCount(arch.byId.get(arch.outputs[0])!.out)
  const wrong = names.filter((_, i) => labels && !(labels[i] < classes))
  if (wrong.length === 0) return
  throw new RingfenceError(
    'BAD_FILE',
    `${path}: ${wrong.length} of ${names.length} pictures have no class of this network; expected 0 to ${classes - 1} or one of its labels`,
    firstOf(wrong),
  )
}

function allInputs(
  path: string,
  arch: Architecture,
  { count, names, picture }: Found,
  resize: Resize | undefined,
): Float32Array[] {
  const faults: RingfenceError[] = []
  const inputs = Array.from({ length: count }, (_, i) => {
    try {
      return pictureToInput(picture(i), arch.inputs[0], { name: names[i], resize })
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      faults.push(error)
      return new Float32Array(0)
    }
  })
  if (faults.length === 0) return inputs
  throw new RingfenceError(
    faults[0].code,
    `${path}: ${faults.length} of ${pictures(count)} do not fit this network`,
    firstOf(faults.map(({ message }) => message)),
  )
}

function firstOf(problems: readonly string[], most = 10): readonly string[] {
  if (problems.length <= most) return problems
  return [...problems.slice(0, most), `and ${problems.length - most} more`]
}

const pictures = (count: number): string => `${count} picture${count === 1 ? '' : 's'}`
