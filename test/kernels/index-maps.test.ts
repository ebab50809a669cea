// Maps of positions are checked where they are made, and against what they index at every call; a refused one takes no
// memory and changes none.
import { describe, expect, it } from 'vitest'
import {
  gather32,
  gather64,
  gatherBits,
  type IndexMap,
  type PatchLists,
  patchSums32,
  patchSums64,
  scatter32,
  scatter64,
  uploadIndexMap,
  uploadPatchMap,
} from '../../src/kernels/index-maps.js'
import { loadKernels, type Region } from '../../src/kernels/instance.js'

const k = loadKernels()
const NO_POSITION = [-1, -(2 ** 31), 2 ** 30, 2 ** 32, 0.5, Number.NaN, Number.POSITIVE_INFINITY]

/** What `make` throws; what is allocated next lies where it would have without it. */
function refused(make: () => unknown): void {
  const place = () => {
    const region = k.memory.alloc(64)
    const { ptr } = region
    region.release()
    return ptr
  }
  const before = place()
  expect(make).toThrow(RangeError)
  expect(place()).toBe(before)
}

describe('makers refuse', () => {
  it.each(NO_POSITION)('the position %s, first, between others or last', (position) => {
    for (const positions of [[position], [position, 1, 2], [0, position, 2], [0, 1, position]]) {
      refused(() => uploadIndexMap(k, positions))
      expect(() => uploadIndexMap(k, positions)).toThrow(/uploadIndexMap.*position/)
      const patches = { start: [0, positions.length], elements: positions, shifts: [0] }
      refused(() => uploadPatchMap(k, patches))
      expect(() => uploadPatchMap(k, patches)).toThrow(/uploadPatchMap.*position/)
    }
  })

  const good: PatchLists = { start: [0, 2, 3], elements: [0, 1, 2], shifts: [1, 0] }
  it.each<[string, Partial<PatchLists>]>([
    ['a list that starts before the one before it', { start: [0, 3, 2] }],
    ['a list that ends behind the elements', { start: [0, 2, 4] }],
    ['a list that starts below zero', { start: [-1, 2, 3] }],
    ['one start too few', { start: [0, 3] }],
    ['one start too many', { start: [0, 1, 2, 3] }],
    ['a shift below zero', { shifts: [1, -1] }],
    ['a shift beyond the word', { shifts: [64, 0] }],
  ])('patches with %s', (_, change) => {
    uploadPatchMap(k, good).release()
    refused(() => uploadPatchMap(k, { ...good, ...change }))
  })
})

/** Calls with a map whose largest position is `limit - 1`, on `elements` elements. */
const CALLS: Readonly<Record<string, (map: IndexMap, elements: Region, others: Region) => void>> = {
  gather32: (map, values, out) => gather32(k, values, map, out),
  gather64: (map, values, out) => gather64(k, values, map, out),
  scatter32: (map, out, values) => scatter32(k, values, map, out),
  scatter64: (map, out, values) => scatter64(k, values, map, out),
  gatherBits: (map, bits, out) => gatherBits(k, bits, map, out),
}
const BYTES: Readonly<Record<string, number>> = {
  gather32: 4,
  gather64: 8,
  scatter32: 4,
  scatter64: 8,
  gatherBits: 1 / 8,
}

describe('a call refuses a map of a larger region', () => {
  /** Nothing but the first `bytes` of a patterned region may be indexed; its neighbour is looked at afterwards. */
  function attempt(bytes: number, call: (elements: Region, others: Region) => void): void {
    const [room, others] = [k.memory.alloc(4096), k.memory.alloc(4096)]
    room.u8().fill(0xa5)
    others.u8().fill(0x5a)
    try {
      call(room.part(0, bytes), others)
    } finally {
      expect(new Set(room.u8().subarray(bytes))).toEqual(new Set([0xa5]))
      for (const region of [room, others]) region.release()
    }
  }

  it.each(Object.keys(CALLS))('%s', (name) => {
    const largest = 63
    for (const positions of [[largest], [0, 1, largest], [largest, 0]]) {
      const map = uploadIndexMap(k, positions)
      const whole = (largest + 1) * BYTES[name]
      attempt(whole, (elements, others) => CALLS[name](map, elements, others))
      const short = name === 'gatherBits' ? whole - 1 : whole - BYTES[name]
      expect(() => attempt(short, (elements, others) => CALLS[name](map, elements, others))).toThrow(RangeError)
      map.release()
    }
  })

  it.each([
    ['patchSums32', 4, patchSums32],
    ['patchSums64', 8, patchSums64],
  ] as const)('%s', (_, bytes, sums) => {
    const map = uploadPatchMap(k, { start: [0, 1, 3], elements: [2, 0, 9], shifts: [0, 1] })
    attempt(10 * bytes, (values, out) => sums(k, values, map, 0, out))
    expect(() => attempt(9 * bytes, (values, out) => sums(k, values, map, 0, out))).toThrow(RangeError)
    map.release()
  })

  it('a map in the memory of another instance', () => {
    const map = uploadIndexMap(loadKernels(), [0, 1])
    for (const call of Object.values(CALLS)) {
      expect(() => attempt(1024, (elements, others) => call(map, elements, others))).toThrow(/positions/)
    }
  })
})
