// Which two lines of a map every line of its resized copy lies between, along one axis.
import type { Resize } from './layers.js'

/** A line of the copy: (1 - weight) · line `first` + weight · line `second`. */
export interface Blend {
  readonly first: number
  readonly second: number
  readonly weight: number
}

/**
 * `nearest` takes line ⌊i·size/count⌋. Bilinear modes differ in where a line of the copy lies among the map's: `bilinear`
 * measures between the lines' centres, as PyTorch's interpolate; `bilinear-asymmetric` between their beginnings, as TF.js
 * and TensorFlow 1; `bilinear-align-corners` puts the first and the last line on each other. `broadcast` repeats a single
 * line. Undefined when there is more than one line to broadcast.
 */
export function blendsOf(mode: Resize['mode'], size: number, count: number): readonly Blend[] | undefined {
  if (mode === 'broadcast' && size !== 1 && size !== count) return undefined
  return Array.from({ length: count }, (_, i) => {
    if (mode === 'broadcast') return alone(size === 1 ? 0 : i)
    if (mode === 'nearest') return alone(Math.floor((i * size) / count))
    const at = Math.max(PLACES[mode](i, size, count), 0)
    const first = Math.min(Math.floor(at), size - 1)
    return { first, second: Math.min(first + 1, size - 1), weight: at - first }
  })
}

/** Where line i of `count` lies among `size` lines. */
const PLACES = {
  bilinear: (i: number, size: number, count: number) => ((i + 0.5) * size) / count - 0.5,
  'bilinear-asymmetric': (i: number, size: number, count: number) => (i * size) / count,
  'bilinear-align-corners': (i: number, size: number, count: number) =>
    count > 1 ? (i * (size - 1)) / (count - 1) : 0,
} as const

const alone = (line: number): Blend => ({ first: line, second: line, weight: 0 })
