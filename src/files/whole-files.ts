// Files read and written in one go: large ones with progress, written ones whole or not at all.
import { constants, type Stats, statSync } from 'node:fs'
import { access, link, lstat, mkdtemp, open, rename, rmdir, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { makeFolders } from '../engine/folders.node.js'
import { RingfenceError, throwIfAny } from '../errors.js'

/** @param done 0 to 1 */
export type OnProgress = (done: number) => void

const STEP = 2 ** 24

/**
 * Reads a plain file. Pipes and devices are refused before they are opened: they may block, or never end.
 * @param quiet files of up to this many bytes are read without a word
 * @throws RingfenceError BAD_FILE when there is no such file or it cannot be read; what `onProgress` throws
 */
export async function readWhole(path: string, onProgress: OnProgress = () => {}, quiet = 0): Promise<Uint8Array> {
  try {
    const found = kindOf(await stat(path))
    if (found !== FILE) throw new RingfenceError('BAD_FILE', `${path}: expected a plain file, found ${found}`)
    const file = await open(path)
    try {
      const { size } = await file.stat()
      const bytes = new Uint8Array(size)
      for (let at = 0; at < size; ) {
        const { bytesRead } = await file.read(bytes, at, Math.min(STEP, size - at), at)
        if (bytesRead === 0) return bytes.slice(0, at)
        at += bytesRead
        if (size > quiet) onProgress(at / size)
      }
      return bytes
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
    throw new RingfenceError('BAD_FILE', `${path}: ${why}`, [], { cause })
  }
}

/**
 * A plain file's text.
 * @param what it is expected to be, for the message
 * @throws RingfenceError BAD_FILE when it cannot be read; none waits for a pipe, or reads a device without an end
 */
export async function readTextOf(what: string, path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readWhole(path))
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `expected ${what}, but ${(cause as Error).message}`, [], { cause })
  }
}

/**
 * What is at a path; undefined where nothing is, or a part of it is no folder.
 * @throws RingfenceError BAD_FILE where the system does not tell
 */
export function existing(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch (cause) {
    if (isAbsent(cause)) return undefined
    throw new RingfenceError('BAD_FILE', `${path}: ${whyUntold(cause)}`, [], { cause })
  }
}

const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException).code ?? String(cause)

const isAbsent = (cause: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(cause))

const ADVICE: Readonly<Record<string, string>> = {
  ELOOP: 'its symbolic links lead in a circle; name what they should lead to',
  ENAMETOOLONG: 'the name is too long for this system; give a shorter one',
  EACCES: 'a folder on the way may not be looked into; change its permissions, or name another',
}

/** Why the system does not tell what is at a path, and what to do. */
function whyUntold(cause: unknown): string {
  const code = codeOf(cause)
  return `what is there cannot be told (${code}): ${ADVICE[code] ?? 'name another file or folder'}`
}

/** What was looked up; undefined where nothing is. @throws the system's error otherwise */
async function unlessAbsent(lookUp: Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await lookUp
  } catch (cause) {
    if (isAbsent(cause)) return undefined
    throw cause
  }
}

const FILE = 'a plain file'

function kindOf(stats: Stats): string {
  if (stats.isFile()) return FILE
  if (stats.isDirectory()) return 'a folder'
  if (stats.isSymbolicLink()) return 'a symbolic link'
  if (stats.isFIFO()) return 'a pipe'
  return stats.isSocket() ? 'a socket' : 'a device'
}

export interface WholeFile {
  readonly path: string
  readonly bytes: Uint8Array
}

/**
 * Before long work: whether its results can be written, which a disk may still prevent.
 * @param force whether plain files of these names may be replaced
 * @throws RingfenceError BAD_INPUT with every path where that is not so
 */
export async function requireWritable(paths: readonly string[], force: boolean): Promise<void> {
  const reasons = await Promise.all(paths.map((path) => whyUnwritable(path, force).catch(whyUntold)))
  const problems = paths.flatMap((path, i) => (reasons[i] === undefined ? [] : [`${path}: ${reasons[i]}`]))
  if (problems.length === 1) throw new RingfenceError('BAD_INPUT', problems[0])
  throwIfAny('BAD_INPUT', 'results cannot be written there:', problems)
}

/**
 * Only plain files are ever replaced: no device, no pipe, no folder, and no symbolic link, whose target may be any of
 * these.
 */
async function whyUnwritable(path: string, force: boolean): Promise<string | undefined> {
  const there = await unlessAbsent(lstat(path))
  const found = there && kindOf(there)
  if (found === FILE) return force ? undefined : 'there already; --force overwrites'
  if (found) return `expected the name of a plain file, or a new one, found ${found}`
  const folder = await nearestFolder(path)
  const above = await unlessAbsent(stat(folder))
  if (above && !above.isDirectory()) return `expected a folder at ${folder}, found ${kindOf(above)}`
  try {
    await access(folder, constants.W_OK)
    // Some folders take nothing whatever their permissions say: those of /proc.
    await rmdir(await mkdtemp(join(folder, '.ringfence-')))
    return undefined
  } catch (error) {
    return `nothing can be written to ${folder} (${codeOf(error)}); change its permissions, or name another folder`
  }
}

/** What is there already, of the folders that will be made for a file. */
async function nearestFolder(path: string): Promise<string> {
  const folder = dirname(path)
  if (folder === path || (await unlessAbsent(lstat(folder)))) return folder
  return nearestFolder(folder)
}

/** One file of text, as `writeWhole` writes. */
export function writeText(path: string, text: string, force: boolean): Promise<void> {
  return writeWhole([{ path, bytes: new TextEncoder().encode(text) }], force)
}

/** One file of JSON, as `writeWhole` writes. */
export function writeJson(path: string, json: unknown, force: boolean): Promise<void> {
  return writeText(path, `${JSON.stringify(json, null, 1)}\n`, force)
}

/**
 * Writes files, making their folders. Every file is complete under a temporary name beside its place before the first
 * one takes its name, so that no reader ever sees half of one.
 * @param force whether files of these names may be replaced
 * @throws RingfenceError BAD_INPUT where one is there or cannot be written; then nothing is left behind
 */
export async function writeWhole(
  files: readonly WholeFile[],
  force: boolean,
  onProgress: OnProgress = () => {},
): Promise<void> {
  const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const pending = new Map<string, string>()
  let done = 0
  let path = ''
  try {
    await requireWritable(
      files.map((file) => file.path),
      force,
    )
    for (const file of files) {
      path = file.path
      await makeFolder(dirname(path))
      const draft = join(dirname(path), `.${basename(path)}.${process.pid}.part`)
      pending.set(draft, path)
      await fill(draft, file.bytes, (written) => onProgress((done + written) / total))
      done += file.bytes.length
    }
    for (const [draft, target] of pending) {
      path = target
      await place(draft, target, force)
    }
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const whys: Readonly<Record<string, string>> = {
      EEXIST: 'there already; --force overwrites',
      ENOSPC: 'the disk is full',
    }
    const why = whys[code ?? ''] ?? `cannot be written (${code})`
    throw new RingfenceError('BAD_INPUT', `${path}: ${why}`, [], { cause })
  } finally {
    for (const draft of pending.keys()) await unlink(draft).catch(() => {})
  }
}

/** A folder for results. @throws RingfenceError BAD_INPUT */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new RingfenceError('BAD_INPUT', `${path}: expected a folder, or room for one (${code}); name another`, [], {
      cause,
    })
  }
}

async function fill(path: string, bytes: Uint8Array, onWritten: (bytes: number) => void): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < bytes.length; at += STEP) {
      await file.writeFile(bytes.subarray(at, at + STEP))
      onWritten(Math.min(at + STEP, bytes.length))
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A hard link fails where the name is taken, so that a file made meanwhile is not lost; a rename replaces. */
async function place(draft: string, target: string, force: boolean): Promise<void> {
  if (force) return rename(draft, target)
  try {
    await link(draft, target)
  } catch (error) {
    // Not every file system has links.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
    await requireWritable([target], false)
    await rename(draft, target)
  }
}
