// Comparisons that read a window of a value, with the errors they make in a private run.
import { toMapSize } from '../float/activation.js'
import type { FloatKernels } from '../kernels/float/instance.js'
import { gateF32 } from '../kernels/gradient/maps.js'
import type { Region } from '../kernels/instance.js'
import type { Layer } from '../model/layers/layers.js'
import type { LayerRelu } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'

/** Cuts the elements that a spec leaves to comparisons, and says which passed: a byte each, all bits or none. */
export interface Gate {
  /** `gates` [pictures·n] bytes; all are written. */
  run(x: Region, out: Region, gates: Region, pictures: number): void
  release(): void
}

/** Elements that are compared together, and how far their comparison may be off: uniformly, up to half of `width`. */
interface Spread {
  readonly group: Int32Array
  readonly width: Float32Array
}

/**
 * A comparison that ignores lo low bits says v >= 0 with a probability that rises from 0 to 1 over v = -2^lo/2 … 2^lo/2
 * (docs/protocol.md, E2): it compares v with a uniform number of that range. What passes is v itself, whatever its sign.
 */
export function windowedGate(k: FloatKernels, gate: Gate, { group, width }: Spread, uniform: () => number): Gate {
  return {
    run(x, out, gates, pictures) {
      const moved = k.memory.alloc(x.byteLength)
      const [from, to] = [x.f32(), moved.f32()]
      const shift = new Float32Array(width.length)
      for (let first = 0; first < from.length; first += group.length) {
        for (let i = 0; i < shift.length; i++) shift[i] = width[i] * (uniform() - 0.5)
        for (let i = 0; i < group.length; i++) to[first + i] = from[first + i] + shift[group[i]]
      }
      gate.run(moved, out, gates, pictures)
      moved.release()
      gateF32(k, x, gates, out, x.byteLength / 4)
    },
    release: gate.release,
  }
}

/** A block's sum is compared after 2^⌈log2 area⌉ was divided out, not the area: its window is as much wider for the mean. */
export function spreadOf(layer: Layer, relu: LayerRelu, window: number): Spread {
  const n = elementCount(layer.out)
  if (relu.kind !== 'block')
    return { group: Int32Array.from({ length: n }, (_, i) => i), width: new Float32Array(n).fill(window) }
  const { c, h, w } = toMapSize(layer.out)
  const group = new Int32Array(n)
  const width: number[] = []
  for (let channel = 0; channel < c; channel++) {
    const [bh, bw] = relu.blocks[channel].map((size) => Math.max(size, 1))
    const across = Math.ceil(w / bw)
    const first = width.length
    for (let y = 0; y < h; y += bh) {
      for (let z = 0; z < w; z += bw) {
        const area = Math.min(bh, h - y) * Math.min(bw, w - z)
        width.push((window * 2 ** Math.ceil(Math.log2(area))) / area)
      }
    }
    for (let i = 0; i < h * w; i++) {
      const [y, z] = [Math.floor(i / w), i % w]
      group[channel * h * w + i] = first + Math.floor(y / bh) * across + Math.floor(z / bw)
    }
  }
  return { group, width: Float32Array.from(width) }
}
