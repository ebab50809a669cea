// Files that may lie beside a checkout but are not part of it.
import { existsSync, readFileSync } from 'node:fs'

const SHARED = new URL('../../../shared/', import.meta.url)

/** The file's bytes, or undefined where there is none; a test that needs it says in its name that it skips. */
export function sharedFile(path: string): Uint8Array | undefined {
  const url = new URL(path, SHARED)
  return existsSync(url) ? readFileSync(url) : undefined
}

export function committed(path: string): Uint8Array {
  return readFileSync(new URL(`../../${path}`, import.meta.url))
}

export function committedJson(path: string): unknown {
  return JSON.parse(new TextDecoder().decode(committed(path)))
}
