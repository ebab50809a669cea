// How long calls on one kernel instance take, on memory that holds something.
import type { Kernels, Region } from '../../kernels/instance.js'

/** A sample lasts at least this long, so that coarse clocks of browsers do; longer ones would meet other processes. */
const SAMPLE_MS = 1
const SAMPLES = 10

/** Memory with contents, on one instance, and how long calls on it take. */
export class Stopwatch {
  constructor(readonly k: Kernels) {}

  words(count: number, bits = 32): Region {
    const region = this.k.memory.alloc(count * 4)
    const view = region.u32()
    for (let i = 0; i < count; i++) view[i] = Math.imul(i + 1, 0x9e3779b1) >>> (32 - bits)
    return region
  }

  bytes(count: number, limit = 256): Region {
    const region = this.k.memory.alloc(count)
    const view = region.u8()
    for (let i = 0; i < count; i++) view[i] = (Math.imul(i + 1, 0x9e3779b1) >>> 16) % limit
    return region
  }

  /** Nanoseconds of one call: the best of several samples, for whatever else the host does only adds to them. */
  time(run: () => void): number {
    run()
    let calls = 1
    let once = 0
    for (;;) {
      const started = performance.now()
      for (let i = 0; i < calls; i++) run()
      once = performance.now() - started
      if (once >= SAMPLE_MS) break
      calls = once > SAMPLE_MS / 8 ? Math.ceil((calls * SAMPLE_MS * 1.1) / once) : calls * 4
    }
    const samples = Array.from({ length: SAMPLES }, () => {
      const started = performance.now()
      for (let i = 0; i < calls; i++) run()
      return (performance.now() - started) / calls
    })
    return Math.min(...samples) * 1e6
  }
}
