// Compiles and instantiates the kernels: SIMD where the host has it, else the scalar build of the same source.
import { inflateSync } from 'fflate'
import type { KernelExports } from './abi.js'
import { Memory, type Region } from './memory.js'
import { scalar, simd } from './wasm.generated.js'

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

const packed = { simd, scalar }
const unpacked = new Map<Variant, Uint8Array<ArrayBuffer>>()

/** @internal A build's binary, which the generated module holds deflated and in base64. */
export function kernelBytes(variant: Variant): Uint8Array<ArrayBuffer> {
  let bytes = unpacked.get(variant)
  if (!bytes) {
    bytes = inflateSync(Uint8Array.from(atob(packed[variant]), (character) => character.charCodeAt(0)))
    unpacked.set(variant, bytes)
  }
  return bytes
}

const compiled = new Map<Variant, WebAssembly.Module>()

/**
 * Kernels compiled elsewhere, for hosts that compile no WebAssembly at run time: the module of `ringfence/kernels.simd.wasm`
 * (or `.scalar.wasm`). Instances made from now on are made from it.
 */
export function provideKernels(module: WebAssembly.Module, variant: Variant = 'simd'): void {
  compiled.set(variant, module)
  provided = variant
}

let provided: Variant | undefined

/** The build this host can run: `WebAssembly.validate` on the SIMD module decides. */
export function bestVariant(): Variant {
  if (provided) return provided
  return compiled.has('simd') || WebAssembly.validate(kernelBytes('simd')) ? 'simd' : 'scalar'
}

/** A fresh instance. The module is compiled once per variant and host. */
export function loadKernels(variant: Variant = bestVariant()): Kernels {
  let module = compiled.get(variant)
  if (!module) {
    module = new WebAssembly.Module(kernelBytes(variant))
    compiled.set(variant, module)
    unpacked.clear()
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
