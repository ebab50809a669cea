// Operands of typed calls: the bytes each needs, its alignment, and what may be in place.
import type { FloatKernels } from '../../src/kernels/float/instance.js'
import type { Region } from '../../src/kernels/instance.js'

/** One operand of a call: the bytes it needs, the alignment, whether it is written, and what may lie on it exactly. */
export interface Operand {
  readonly bytes: number
  readonly align: 1 | 4 | 8
  readonly written?: boolean
  /** Inputs this output may be, in place. */
  readonly may?: readonly string[]
}
export interface Entry {
  readonly operands: Readonly<Record<string, Operand>>
  readonly call: (k: FloatKernels, at: Readonly<Record<string, Region>>) => unknown
}

export const N = 19 // values of an elementwise call
export const input = (words: number, align: 1 | 4 | 8): Operand => ({ bytes: words * align, align })
export const output = (words: number, align: 1 | 4 | 8, ...may: string[]): Operand => ({
  ...input(words, align),
  written: true,
  may,
})
export const w4 = (words = N) => input(words, 4)
export const w8 = (words = N) => input(words, 8)
export const b1 = (bytes = N) => input(bytes, 1)
