// Files that may lie beside a checkout but are not part of it.
import { existsSync, readFileSync } from 'node:fs'
import type { Architecture } from '../../src/model/architecture.js'

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

/** The inputs in records of a label of `head` bytes and planes of pixels, as CIFAR's binary files have them. */
export function readRecords(bytes: Uint8Array, head: number, arch: Architecture): Float32Array[] {
  const { shape, preprocess } = arch.inputs[0]
  const plane = shape[1] * shape[2]
  const record = head + shape[0] * plane
  return Array.from({ length: bytes.length / record }, (_, i) =>
    Float32Array.from({ length: record - head }, (_, j) => {
      const c = Math.floor(j / plane)
      return (bytes[i * record + head + j] * preprocess.scale - preprocess.mean[c]) / preprocess.std[c]
    }),
  )
}
