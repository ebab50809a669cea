// Compiles and instantiates the kernels: SIMD where the host has it, else the scalar build of the same source.
import { inflateSync } from 'fflate'
import type { KernelExports } from './abi.js'
import { Memory, type Region } from './memory.js'
import { packed } from './wasm.generated.js'

export type { KernelExports } from './abi.js'
export { Memory, Region } from './memory.js'

export type Variant = 'simd' | 'scalar'

/** One instance of the kernels with a memory of its own. */
export interface Kernels {
  readonly variant: Variant
  readonly memory: Memory
  /** @internal The raw exports; pointers in, pointers out. Only files in this folder call them. */
  readonly raw: KernelExports
}

type Builds = Readonly<Record<Variant, Uint8Array<ArrayBuffer>>>

interface Packed {
  readonly scalar: number
  readonly repeats: readonly (readonly number[])[]
  readonly both: string
}

/** @internal Both builds of a module as scripts/kernels.mjs packs them. */
export function unpackBuilds({ scalar, repeats, both }: Packed): Builds {
  const text = atob(both)
  const deflated = new Uint8Array(text.length)
  for (let i = 0; i < deflated.length; i++) deflated[i] = text.charCodeAt(i)
  const bytes = inflateSync(deflated)
  const simd = new Uint8Array(repeats.reduce((size, [, , length]) => size + length, bytes.length - scalar))
  let [from, to] = [scalar, 0]
  for (const [own, at, length] of repeats) {
    simd.set(bytes.subarray(from, from + own), to)
    simd.set(bytes.subarray(at, at + length), to + own)
    from += own
    to += own + length
  }
  simd.set(bytes.subarray(from), to)
  return { scalar: bytes.subarray(0, scalar), simd }
}

let unpacked: Builds | undefined

/** @internal A build's binary. */
export function kernelBytes(variant: Variant): Uint8Array<ArrayBuffer> {
  unpacked ??= unpackBuilds(packed)
  return unpacked[variant]
}

const compiled = new Map<Variant, WebAssembly.Module>()
let best: Variant | undefined

/**
 * Kernels compiled elsewhere, for hosts that compile no WebAssembly at run time: the module of `ringfence/kernels.simd.wasm`.
 * Instances made from now on are made from it.
 */
export function provideKernels(module: WebAssembly.Module): void {
  compiled.set('simd', module)
  best = 'simd'
}

/** The build this host can run: `WebAssembly.validate` on the SIMD module decides. */
export function bestVariant(): Variant {
  best ??= WebAssembly.validate(kernelBytes('simd')) ? 'simd' : 'scalar'
  return best
}

/** A fresh instance. The module is compiled once per variant and host. */
export function loadKernels(variant: Variant = bestVariant()): Kernels {
  let module = compiled.get(variant)
  if (!module) {
    module = new WebAssembly.Module(kernelBytes(variant))
    compiled.set(variant, module)
    unpacked = undefined
  }
  const raw = new WebAssembly.Instance(module).exports as unknown as KernelExports
  return { variant, raw, memory: new Memory(raw.memory, raw.heapBase()) }
}

/** Copies host bytes into WASM memory. */
export function upload(memory: Memory, data: ArrayBufferView): Region {
  const region = memory.alloc(data.byteLength)
  region.u8().set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return region
}

/** Copies words into WASM memory, each to as many elements in a row: `count` in all, a multiple of how many there are. */
export function uploadRepeated(memory: Memory, words: Int32Array | BigInt64Array, count: number): Region {
  if (words.length === count || words.length === 0) return upload(memory, words)
  const region = memory.alloc(count * words.BYTES_PER_ELEMENT)
  const times = count / words.length
  if (words instanceof Int32Array) {
    const to = region.i32()
    for (let i = 0; i < words.length; i++) to.fill(words[i], i * times, (i + 1) * times)
  } else {
    const to = region.u64()
    for (let i = 0; i < words.length; i++) to.fill(words[i], i * times, (i + 1) * times)
  }
  return region
}
