// Builds of the kernels that report every address they read or write and every round of a loop.
import { instantiateSync } from '@assemblyscript/loader'
import binaryen from 'binaryen'
import type { KernelExports } from '../../src/kernels/abi.js'
import { type Kernels, kernelBytes, Memory, type Variant } from '../../src/kernels/instance.js'

export interface Instrumented {
  readonly variant: Variant
  readonly module: WebAssembly.Module
  /** In the text format, instrumented. */
  readonly text: string
}

export const instrumented: Instrumented[] = (['simd', 'scalar'] as const).map((variant) => {
  const module = binaryen.readBinary(kernelBytes(variant))
  module.setFeatures(binaryen.Features.All)
  module.runPasses(['instrument-memory', 'log-execution'])
  const compiled = new WebAssembly.Module(module.emitBinary() as BufferSource)
  return { variant, module: compiled, text: module.emitText() }
})

export interface Witness {
  /** `id` names the place in the code. */
  access(id: number, bytes: number, address: number): void
  step(id: number): void
}

export function watched({ variant, module }: Instrumented, witness: Witness): Kernels {
  const env: Record<string, unknown> = {}
  for (const { name } of WebAssembly.Module.imports(module)) env[name] = (_: number, value: unknown) => value
  for (const name of ['load_ptr', 'store_ptr']) {
    env[name] = (id: number, bytes: number, offset: number, at: number) => {
      witness.access(id, bytes, (at >>> 0) + offset)
      return at
    }
  }
  env.log_execution = witness.step
  const raw = instantiateSync(module, { env } as never).exports as unknown as KernelExports
  return { variant, raw, memory: new Memory(raw.memory, raw.heapBase()) }
}
