// What a step's activation makes a party do, as numbers.
import type { ReluMaps } from '../../protocol/layout.js'

export interface ReluCounts {
  /** Values that a comparison switches, that pass unchanged, and both together. */
  readonly switched: number
  readonly passed: number
  readonly values: number
  readonly comparisons: number
  /** Elements that are summed for comparisons of patches. */
  readonly patchElements: number
  /** Whether value i is element i. */
  readonly inOrder: boolean
  /** Whether comparison i tests value i, and all do. */
  readonly paired: boolean
}

export function reluCounts(maps: ReluMaps): ReluCounts {
  const { switched, passed, values, comparisons, patch } = maps
  return {
    ...{ switched, passed, values, comparisons },
    patchElements: patch ? patch.elements.length : 0,
    inOrder: maps.valueElement === null,
    paired: maps.comparisonOf === null && maps.tested === null,
  }
}

/** How many numbers of `bits` bits fill a packed message. */
export const packedCount = (bytes: number, bits: number): number => Math.floor((bytes * 8) / bits)
