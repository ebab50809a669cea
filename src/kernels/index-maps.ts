// Public index maps: which element feeds which value, comparison or patch. A map's positions are swept once, when it is
// made; every call then compares one number, the map's limit, with the length of what it indexes. Positions come from the
// plan and are public, so an address may depend on them.
import type { KernelExports } from './abi.js'
import { expectDisjoint, expectInstance, expectInteger, expectWords } from './guard.js'
import { type Kernels, type Region, upload } from './instance.js'

/** Positions in WASM memory; made by `uploadIndexMap`, which checks them, or by `shuffledMap`. */
export interface IndexMap {
  /** Number of positions. */
  readonly count: number
  /** One more than the largest position: what is indexed holds at least as many elements. */
  readonly limit: number
  /** @internal The instance whose memory holds the positions. */
  readonly raw: KernelExports
  /** @internal `count` u32 words. */
  readonly region: Region
  release(): void
}

/** Lists of positions, one list per patch, one after the other; made by `uploadPatchMap`, which checks them. */
export interface PatchMap {
  /** Number of patches. */
  readonly count: number
  /** One more than the largest position of any list. */
  readonly limit: number
  /** @internal The instance whose memory holds the lists. */
  readonly raw: KernelExports
  /** @internal Positions of all lists; list p is [start[p], start[p + 1]) of them. */
  readonly elements: Region
  /** @internal `count + 1` u32 words. */
  readonly start: Region
  /** @internal One byte per patch. */
  readonly shifts: Region
  release(): void
}

/** What `uploadPatchMap` takes. */
export interface PatchLists {
  /** Where every list starts in `elements`, and after the last one where it ends. */
  readonly start: ArrayLike<number>
  readonly elements: ArrayLike<number>
  /** By how much the sum of every patch is shifted right: 0 to 63. */
  readonly shifts: ArrayLike<number>
}

/** One more than the largest of `positions`, each an integer from 0 to 2^30 - 1. */
function limitOf(call: string, name: string, positions: ArrayLike<number>): number {
  let limit = 0
  for (let i = 0; i < positions.length; i++) {
    expectInteger(call, name, positions[i], 0, 2 ** 30 - 1)
    if (positions[i] >= limit) limit = positions[i] + 1
  }
  return limit
}

/**
 * Copies positions into WASM memory. The caller releases the map.
 *
 * @throws RangeError when a position is no integer from 0 to 2^30 - 1
 */
export function uploadIndexMap(k: Kernels, positions: ArrayLike<number>): IndexMap {
  const limit = limitOf('uploadIndexMap', 'position', positions)
  const region = upload(k.memory, new Uint32Array(positions))
  return { count: positions.length, limit, raw: k.raw, region, release: () => region.release() }
}

/**
 * A uniform permutation of `count` positions (Fisher and Yates), made where it stays. The caller releases the map, which
 * wipes it.
 * @param words uniform u32 words, as many as the region holds; apart from what the map allocates
 * @param refill writes the next ones, whenever all are used and before the first
 * @throws RangeError when `count` is no integer from 0 to 2^21
 */
export function shuffledMap(k: Kernels, count: number, words: Region, refill: () => void): IndexMap {
  expectInteger('shuffledMap', 'count', count, 0, 2 ** 21)
  expectWords('shuffledMap', 'words', words, 1, 4)
  const region = k.memory.alloc(count * 4)
  const first = region.u32()
  for (let i = 0; i < count; i++) first[i] = i
  for (let bound = count; bound > 1; ) {
    refill()
    // Views are taken anew: memory may have grown.
    bound = shuffle(region.u32(), bound, words.u32())
  }
  return { count, limit: count, raw: k.raw, region, release: () => region.release(true) }
}

/** Fixes the last of `bound` places, then the one before it, while there are words; returns how many are left. */
function shuffle(order: Uint32Array, bound: number, words: Uint32Array): number {
  for (let next = 0; bound > 1 && next < words.length; ) {
    // The high half of word · bound is uniform in [0, bound) once the 2^32 mod bound lowest values of the low half are
    // left out; products with a bound of at most 2^21 are exact in doubles.
    const product = words[next++] * bound
    const j = Math.floor(product / 2 ** 32)
    const low = product - j * 2 ** 32
    if (low < bound && low < 2 ** 32 % bound) continue
    bound--
    const moved = order[bound]
    order[bound] = order[j]
    order[j] = moved
  }
  return bound
}

/**
 * Copies patches into WASM memory. The caller releases the map.
 *
 * @throws RangeError when a position or shift is out of range, or the lists do not follow each other inside `elements`
 */
export function uploadPatchMap(k: Kernels, { start, elements, shifts }: PatchLists): PatchMap {
  const call = 'uploadPatchMap'
  const limit = limitOf(call, 'position', elements)
  const count = shifts.length
  if (start.length !== count + 1) {
    throw new RangeError(`${call} start: expected ${count + 1} entries for ${count} shifts, got ${start.length}`)
  }
  for (let p = 0; p <= count; p++) {
    expectInteger(call, 'start', start[p], p === 0 ? 0 : start[p - 1], elements.length)
    if (p < count) expectInteger(call, 'shift', shifts[p], 0, 63)
  }
  // Copied before anything is allocated: growing the memory would detach lists that are views of it.
  const lists = [new Uint32Array(elements), new Uint32Array(start), new Uint8Array(shifts)]
  const regions = lists.map((list) => upload(k.memory, list))
  const release = () => regions.forEach((region) => void region.release())
  return { count, limit, raw: k.raw, elements: regions[0], start: regions[1], shifts: regions[2], release }
}

function gatherWords(bits: 32 | 64) {
  const call = `gather${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, values: Region, map: IndexMap, out: Region): void => {
    const { count, limit, region } = map
    expectInstance(call, 'positions', map.raw, k)
    expectWords(call, 'values', values, limit, bytes)
    expectWords(call, 'out', out, count, bytes)
    expectDisjoint(call, out, count * bytes, values, limit * bytes)
    expectDisjoint(call, out, count * bytes, region, count * 4)
    k.raw[call](values.ptr, region.ptr, count, out.ptr)
  }
}

function scatterWords(bits: 32 | 64) {
  const call = `scatter${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, values: Region, map: IndexMap, out: Region): void => {
    const { count, limit, region } = map
    expectInstance(call, 'positions', map.raw, k)
    expectWords(call, 'values', values, count, bytes)
    expectWords(call, 'out', out, limit, bytes)
    expectDisjoint(call, out, limit * bytes, values, count * bytes)
    expectDisjoint(call, out, limit * bytes, region, count * 4)
    k.raw[call](values.ptr, region.ptr, count, out.ptr)
  }
}

/** out[i] = values[map[i]], u32. `out` overlaps neither. */
export const gather32 = gatherWords(32)
/** As `gather32`, for u64 words. */
export const gather64 = gatherWords(64)
/** out[map[i]] = values[i], u32; other words of `out` stay. `out` overlaps neither. */
export const scatter32 = scatterWords(32)
/** As `scatter32`, for u64 words. */
export const scatter64 = scatterWords(64)

/** Bit i of out is bit map[i] of `bits`; whole bytes of out are written. */
export function gatherBits(k: Kernels, bits: Region, map: IndexMap, out: Region): void {
  const { count, limit, region } = map
  const [from, to] = [Math.ceil(limit / 8), Math.ceil(count / 8)]
  expectInstance('gatherBits', 'positions', map.raw, k)
  expectWords('gatherBits', 'bits', bits, from, 1)
  expectWords('gatherBits', 'out', out, to, 1)
  expectDisjoint('gatherBits', out, to, bits, from)
  expectDisjoint('gatherBits', out, to, region, count * 4)
  k.raw.gatherBits(bits.ptr, region.ptr, count, out.ptr)
}

function expectPatches(call: string, k: Kernels, values: Region, map: PatchMap, bytes: 4 | 8, out: Region): void {
  const { count, limit, elements, start, shifts } = map
  expectInstance(call, 'patches', map.raw, k)
  expectWords(call, 'values', values, limit, bytes)
  expectWords(call, 'out', out, count, bytes)
  expectDisjoint(call, out, count * bytes, values, limit * bytes)
  expectDisjoint(call, out, count * bytes, elements, elements.byteLength)
  expectDisjoint(call, out, count * bytes, start, start.byteLength)
  expectDisjoint(call, out, count * bytes, shifts, shifts.byteLength)
}

/** out[p] = sum of the u32 words of patch p mod 2^32, shifted right by `shift` (0 to 31) plus the patch's own shift. */
export function patchSums32(k: Kernels, values: Region, map: PatchMap, shift: number, out: Region): void {
  expectPatches('patchSums32', k, values, map, 4, out)
  expectInteger('patchSums32', 'shift', shift, 0, 31)
  k.raw.patchSums(values.ptr, map.start.ptr, map.elements.ptr, map.shifts.ptr, shift, map.count, out.ptr)
}

/** out[p] = sum of the u64 words of patch p mod 2^64, shifted right by the patch's own shift, at most `most` (0 to 63). */
export function patchSums64(k: Kernels, values: Region, map: PatchMap, most: number, out: Region): void {
  expectPatches('patchSums64', k, values, map, 8, out)
  expectInteger('patchSums64', 'most', most, 0, 63)
  k.raw.snnPatchSums(values.ptr, map.start.ptr, map.elements.ptr, map.shifts.ptr, most, map.count, out.ptr)
}
