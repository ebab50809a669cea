// The kernels' ABI as TypeScript sees it: one interface per folder of assembly/, pointers and lengths only.

export interface KernelExports {
  readonly memory: WebAssembly.Memory
  heapBase(): number
}
