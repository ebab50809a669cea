// A first-fit allocator over one WebAssembly memory. Tensors live here from arrival to departure; everyone above this
// folder holds Regions and never sees an address.
import { RingfenceError } from '../errors.js'

const ALIGN = 64 // a cache line; also enough for every v128 load
const PAGE = 65536
/**
 * Every growth makes a new ArrayBuffer of the whole memory, which V8 counts as freshly allocated: it collects garbage in
 * full, time and again. Growing seldom spares that; pages that nobody touches cost addresses, no memory.
 */
const MOST_AHEAD = 64 * 2 ** 20

/** A span of WASM memory. Views are made on demand because growing the memory detaches older ones. */
export class Region {
  /** @internal */ readonly ptr: number
  readonly byteLength: number
  readonly #memory: Memory
  readonly #owner: boolean

  /** @internal */
  constructor(memory: Memory, ptr: number, byteLength: number, owner: boolean) {
    this.#memory = memory
    this.ptr = ptr
    this.byteLength = byteLength
    this.#owner = owner
  }

  u8(): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.ptr, this.byteLength)
  }

  u16(): Uint16Array {
    return new Uint16Array(this.#memory.buffer, this.ptr, this.byteLength >>> 1)
  }

  u32(): Uint32Array {
    return new Uint32Array(this.#memory.buffer, this.ptr, this.byteLength >>> 2)
  }

  i32(): Int32Array {
    return new Int32Array(this.#memory.buffer, this.ptr, this.byteLength >>> 2)
  }

  f32(): Float32Array {
    return new Float32Array(this.#memory.buffer, this.ptr, this.byteLength >>> 2)
  }

  f64(): Float64Array {
    return new Float64Array(this.#memory.buffer, this.ptr, this.byteLength >>> 3)
  }

  u64(): BigUint64Array {
    return new BigUint64Array(this.#memory.buffer, this.ptr, this.byteLength >>> 3)
  }

  /** A part of this region; it is released with the whole. */
  part(byteOffset: number, byteLength: number): Region {
    if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > this.byteLength) {
      throw new RangeError(`part [${byteOffset}, ${byteOffset + byteLength}) of a region of ${this.byteLength} bytes`)
    }
    return new Region(this.#memory, this.ptr + byteOffset, byteLength, false)
  }

  /** Gives the memory back. Wipes it first when `wipe`, for seeds and masks. */
  release(wipe = false): void {
    if (!this.#owner) return
    if (wipe) this.u8().fill(0)
    this.#memory.free(this.ptr)
  }
}

export class Memory {
  readonly #wasm: WebAssembly.Memory
  /** Free spans, sorted by address, never adjacent to each other. */
  readonly #free: { ptr: number; size: number }[] = []
  readonly #used = new Map<number, number>()
  #end: number
  #inUse = 0

  /** @param base first byte the compiled module does not use itself */
  constructor(wasm: WebAssembly.Memory, base: number) {
    this.#wasm = wasm
    this.#end = Math.ceil(base / ALIGN) * ALIGN
  }

  get buffer(): ArrayBuffer {
    return this.#wasm.buffer as ArrayBuffer
  }

  /** Bytes handed out and not yet freed. */
  get inUse(): number {
    return this.#inUse
  }

  /** Memory of at least `byteLength` bytes, 64-byte aligned, contents undefined. */
  alloc(byteLength: number): Region {
    const size = Math.ceil(Math.max(byteLength, 1) / ALIGN) * ALIGN
    if (!(size < 2 ** 32))
      throw new RingfenceError('BAD_INPUT', `cannot allocate ${byteLength} bytes of WebAssembly memory`)
    const at = this.#free.findIndex((span) => span.size >= size)
    let ptr: number
    if (at >= 0) {
      const span = this.#free[at]
      ptr = span.ptr
      if (span.size === size) this.#free.splice(at, 1)
      else this.#free[at] = { ptr: ptr + size, size: span.size - size }
    } else {
      ptr = this.#end
      const missing = ptr + size - this.#wasm.buffer.byteLength
      if (missing > 0) this.#grow(missing)
      this.#end = ptr + size
    }
    this.#used.set(ptr, size)
    this.#inUse += size
    return new Region(this, ptr, byteLength, true)
  }

  /** Like `alloc`, filled with zeros. */
  allocZero(byteLength: number): Region {
    const region = this.alloc(byteLength)
    region.u8().fill(0)
    return region
  }

  /** By a quarter, and at most by 64 MiB, ahead of need; by exactly what is missing where the host refuses that. */
  #grow(missing: number): void {
    const ahead = Math.min(this.#wasm.buffer.byteLength / 4, MOST_AHEAD)
    if (missing < ahead && this.#tryGrow(ahead) === undefined) return
    const cause = this.#tryGrow(missing)
    if (cause === undefined) return
    throw new RingfenceError('HOST', `the host refused ${missing} more bytes of WebAssembly memory`, [], { cause })
  }

  /** What the host threw. */
  #tryGrow(bytes: number): unknown {
    try {
      this.#wasm.grow(Math.ceil(bytes / PAGE))
    } catch (cause) {
      return cause
    }
  }

  /** @internal */
  free(ptr: number): void {
    const size = this.#used.get(ptr)
    if (size === undefined) throw new RangeError('a region was released twice')
    this.#used.delete(ptr)
    this.#inUse -= size
    const free = this.#free
    let at = 0
    while (at < free.length && free[at].ptr < ptr) at++
    free.splice(at, 0, { ptr, size })
    if (at + 1 < free.length && ptr + size === free[at + 1].ptr) {
      free[at].size += free[at + 1].size
      free.splice(at + 1, 1)
    }
    if (at > 0 && free[at - 1].ptr + free[at - 1].size === ptr) {
      free[at - 1].size += free[at].size
      free.splice(at, 1)
      at--
    }
    const last = free[at]
    if (last.ptr + last.size === this.#end) {
      this.#end = last.ptr
      free.splice(at, 1)
    }
  }
}
