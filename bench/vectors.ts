// Files beside the benches that do not travel with the package.
import { existsSync, readFileSync } from 'node:fs'
import { RingfenceError } from '../src/errors.js'

/** Both `bench` and the built `dist` lie in the repository's folder. */
const REPOSITORY = new URL('../', import.meta.url)

/**
 * A file of `test/vectors`.
 * @throws RingfenceError UNSUPPORTED where it is not there: outside the repository
 */
export function vectors<T>(name: string): T {
  const url = new URL(`test/vectors/${name}`, REPOSITORY)
  if (existsSync(url)) return JSON.parse(readFileSync(url, 'utf8'))
  throw new RingfenceError('UNSUPPORTED', `this bench needs test/vectors/${name}: run it in ringfence's repository`)
}

/** A file that may lie beside the repository; undefined where it does not. */
export function beside(path: string): Uint8Array | undefined {
  const url = new URL(`../shared/${path}`, REPOSITORY)
  return existsSync(url) ? readFileSync(url) : undefined
}
