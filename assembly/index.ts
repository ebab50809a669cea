// The ABI, the only entry: re-exports every kernel.

/** First byte of memory that the module does not use itself; the host places every buffer above it. */
export function heapBase(): usize {
  return __heap_base
}

export * from './mcc'
export * from './prg'
export * from './ring'
export * from './bits'
export * from './securenn'
