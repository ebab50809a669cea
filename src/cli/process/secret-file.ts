// Files with secrets: nobody but their owner, or a group of its, may read them.
import { open, stat, unlink } from 'node:fs/promises'
import { RingfenceError } from '../../errors.js'
import { readTextOf } from '../../files/whole-files.js'

/**
 * @param what it is expected to be, for the message
 * @throws RingfenceError BAD_FILE; INSECURE for one that everybody on this machine can read
 */
export async function readSecretOf(what: string, file: string): Promise<string> {
  const text = await readTextOf(what, file)
  // Windows knows no such bits.
  if (process.platform === 'win32' || ((await stat(file)).mode & 0o007) === 0) return text
  throw new RingfenceError('INSECURE', `${file}: everybody on this machine can read this secret; chmod 600 it`)
}

/** Makes a file that only its owner can read. @throws RingfenceError BAD_FILE when it is there, or cannot be written */
export async function writeSecret(what: string, file: string, text: string): Promise<void> {
  let made = false
  try {
    const handle = await open(file, 'wx', 0o600)
    made = true
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    if (made) await unlink(file).catch(() => undefined) // half a secret is none
    const { code } = cause as NodeJS.ErrnoException
    const whys: Readonly<Record<string, string>> = { ENOSPC: 'the disk is full', EEXIST: 'there is a file already' }
    const why = whys[code ?? ''] ?? code
    throw new RingfenceError('BAD_FILE', `${file}: ${what} cannot be written there (${why})`, [], { cause })
  }
}
