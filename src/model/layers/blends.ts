// Which two lines of a map every line of its resized copy lies between, along one axis.
import type { Resize } from './layers.js'

/** A line of the copy: (1 - weight) · line `first` + weight · line `second`. */
export interface Blend {
  readonly first: number
  readonly second: number
  readonly weight: number
}

/**
 * As PyTorch's interpolate without align_corners: `nearest` takes line ⌊i·size/count⌋, `bilinear` measures between the
 * lines' centres; `broadcast` repeats a single line. Undefined when there is more than one line to broadcast.
 */
export function blendsOf(mode: Resize['mode'], size: number, count: number): readonly Blend[] | undefined {
  if (mode === 'broadcast' && size !== 1 && size !== count) return undefined
  return Array.from({ length: count }, (_, i) => {
    if (mode === 'broadcast') return alone(size === 1 ? 0 : i)
    if (mode === 'nearest') return alone(Math.floor((i * size) / count))
    const at = Math.max(((i + 0.5) * size) / count - 0.5, 0)
    const first = Math.min(Math.floor(at), size - 1)
    return { first, second: Math.min(first + 1, size - 1), weight: at - first }
  })
}

const alone = (line: number): Blend => ({ first: line, second: line, weight: 0 })
