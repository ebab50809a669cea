// Counts what typed arrays and array buffers are made while a function runs, however short they live. Importing this
// puts counting constructors in the place of the host's for the rest of the test file; import it before what it counts.

const KINDS = [
  'ArrayBuffer',
  'Uint8Array',
  'Int32Array',
  'Uint16Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
] as const

let allocated = 0

const host = globalThis as unknown as Record<string, new (...args: unknown[]) => ArrayBufferView | ArrayBuffer>
for (const kind of KINDS) {
  host[kind] = new Proxy(host[kind], {
    construct(type, args, newTarget) {
      const width = (type as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
      if (typeof args[0] === 'number') allocated += args[0] * width
      else if (ArrayBuffer.isView(args[0]) || Array.isArray(args[0]))
        allocated += (args[0] as unknown as []).length * width
      return Reflect.construct(type, args, newTarget)
    },
  })
}

/** Bytes asked for while `run` ran; a view of an existing buffer counts nothing. */
export function allocationsOf(run: () => void): number {
  allocated = 0
  run()
  return allocated
}
