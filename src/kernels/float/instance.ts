// Kernels with the float ones beside them, of the plain engine and of training: a second module on the memory of the first.
import type { FloatConvExports, FloatMapExports } from '../abi.js'
import { bestVariant, type Kernels, loadKernels, unpackBuilds, type Variant } from '../instance.js'
import { packed } from './wasm.generated.js'

type Words = (...words: number[]) => void

interface GradientExports {
  weightGradScratch(rows: number): number
  weightGradF32: Words
  depthwiseWeightGradF32: Words
  gatedClampF32(x: number, low: number, high: number, out: number, gates: number, n: number): void
  gatedBlocksF32: Words
  gatedMaskF32: Words
  mixedClampF32: Words
  mixedClampGradF32: Words
  gateF32(x: number, gates: number, out: number, n: number): void
  spreadF32: Words
  avgPoolGradF32: Words
  maxPoolGradF32: Words
  resizeGradF32: Words
  channelSumsF32(a: number, b: number, pictures: number, channels: number, n: number, sums: number): void
  affine2F32: Words
}

/** The ABI of assembly/float: pointers and lengths only. */
export interface FloatExports extends FloatConvExports, FloatMapExports, GradientExports {}

/** Kernels that compute in float too. */
export interface FloatKernels extends Kernels {
  /** @internal The raw exports; only files in this folder and beside it call them. */
  readonly float: FloatExports
}

const compiled = new Map<Variant, WebAssembly.Module>()

/** @internal A build's binary. */
export const floatBytes = (variant: Variant): Uint8Array<ArrayBuffer> => unpackBuilds(packed)[variant]

/** A fresh instance of both modules. */
export function loadFloatKernels(variant: Variant = bestVariant()): FloatKernels {
  let module = compiled.get(variant)
  if (!module) {
    module = new WebAssembly.Module(floatBytes(variant))
    compiled.set(variant, module)
  }
  const kernels = loadKernels(variant)
  const { exports } = new WebAssembly.Instance(module, { env: { memory: kernels.raw.memory } })
  return { ...kernels, float: exports as unknown as FloatExports }
}
