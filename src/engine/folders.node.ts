// Folders, made with those above them.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

const codeOf = (cause: unknown) => (cause as NodeJS.ErrnoException).code

/**
 * One after another: `recursive` of Node never ends where a folder that is there takes none, as /proc.
 * @returns whether it was made
 * @throws the system's error
 */
export async function makeFolders(path: string, mode?: number): Promise<boolean> {
  const above = dirname(path)
  try {
    return await makeOne(path, mode)
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT' || above === path) throw cause
  }
  await makeFolders(above, mode)
  return makeOne(path, mode)
}

/** False where it is there already, whoever made it. */
async function makeOne(path: string, mode?: number): Promise<boolean> {
  try {
    await mkdir(path, mode)
    return true
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST' && (await stat(path)).isDirectory()) return false
    throw cause
  }
}
