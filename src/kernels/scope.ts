// Memory that comes back together: what one conversation holds when it breaks off in the middle.
import { type Kernels, Memory, Region } from './instance.js'

class Scope extends Memory {
  readonly #parent: Memory
  /** What is held, by address. */
  readonly #held = new Map<number, Region>()

  constructor(k: Kernels) {
    super(k.raw.memory, 0)
    this.#parent = k.memory
  }

  override get buffer(): ArrayBuffer {
    return this.#parent.buffer
  }

  override get inUse(): number {
    return [...this.#held.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  override alloc(byteLength: number): Region {
    const region = this.#parent.alloc(byteLength)
    this.#held.set(region.ptr, region)
    return new Region(this, region.ptr, byteLength, true)
  }

  override free(ptr: number): void {
    if (!this.#held.delete(ptr)) throw new RangeError('a region was released twice, or after its scope')
    this.#parent.free(ptr)
  }

  end(): void {
    for (const region of this.#held.values()) region.release(true)
    this.#held.clear()
  }
}

/** Runs a task on the same kernels; what it allocated and did not release is wiped and given back when it ends. */
export async function scoped<T>(k: Kernels, task: (k: Kernels) => Promise<T>): Promise<T> {
  const memory = new Scope(k)
  try {
    return await task({ ...k, memory })
  } finally {
    memory.end()
  }
}
