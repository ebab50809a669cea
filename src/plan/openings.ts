// What a step opens on `mcc`. Where several ReLUs read one value (`bends`), it is opened once: copy j is the same opened
// word, moved by a public shift. So are patch sums that several copies compare.
import type { ReluLayout } from '../model/relu/layout.js'
import { elementCount, linearShape, type Step } from './plan.js'

export interface Openings {
  /** Element of y of every opened value, in the order in which the activated values (switched, then passed) need them. */
  readonly elements: Int32Array
  /** Opened value of every activated one. */
  readonly openedOf: Int32Array
  /** What is added to consecutive activated values. */
  readonly runs: readonly Run[]
  /** Opened patch sums: compressed rows over the elements of y, and their shifts to the range of a mean. */
  readonly patchStart: Int32Array
  readonly patchElements: Int32Array
  readonly patchShift: Uint8Array
  /** Opened sum of every compared patch, and what is added to it: the shift of its members, to the nearest unit. */
  readonly patchOf: Int32Array
  readonly patchOffset: Int32Array
}

export interface Run {
  readonly count: number
  readonly shift: number
}

/** @param layout the step's, over all copies */
export function openings(step: Step, layout: ReluLayout): Openings {
  const shifts = step.activation?.bends?.shifts ?? [0]
  const size = elementCount(linearShape(step))
  const { switched, identity } = layout
  const activated = new Int32Array(switched.length + identity.length)
  activated.set(switched)
  activated.set(identity, switched.length)
  const position = new Int32Array(size).fill(-1)
  let opened = 0
  const elements = new Int32Array(Math.min(size, activated.length))
  const openedOf = activated.map((copy) => {
    const i = copy % size
    if (position[i] < 0) {
      position[i] = opened
      elements[opened++] = i
    }
    return position[i]
  })
  const runs = [...runsOf(switched, size, shifts), ...runsOf(identity, size, shifts)]
  return { elements: elements.slice(0, opened), openedOf, runs, ...patches(layout, size, shifts) }
}

/** Ascending elements of copies after one another: as many of each copy as there are. */
function runsOf(ascending: Int32Array, size: number, shifts: readonly number[]): Run[] {
  const counts = shifts.map(() => 0)
  for (const copy of ascending) counts[Math.floor(copy / size)]++
  return shifts.map((shift, j) => ({ count: counts[j], shift })).filter(({ count }) => count > 0)
}

function patches(
  { patches, patchStart, patchElements, patchShift }: ReluLayout,
  size: number,
  shifts: readonly number[],
) {
  const opened = new Map<string, number>()
  const start = [0]
  const elements = new Int32Array(patchElements.length)
  const openedShift: number[] = []
  const patchOf = new Int32Array(patches)
  const patchOffset = new Int32Array(patches)
  let end = 0
  for (let p = 0; p < patches; p++) {
    const members = patchElements.subarray(patchStart[p], patchStart[p + 1])
    // A patch is a rectangle of one channel: its corners are enough to tell it from others.
    const corners = `${members[0] % size} ${members[members.length - 1] % size} ${patchShift[p]}`
    const known = opened.get(corners)
    patchOf[p] = known ?? opened.size
    patchOffset[p] = Math.round((members.length * shifts[Math.floor(members[0] / size)]) / 2 ** patchShift[p])
    if (known !== undefined) continue
    opened.set(corners, opened.size)
    for (const member of members) elements[end++] = member % size
    start.push(end)
    openedShift.push(patchShift[p])
  }
  return {
    patchStart: Int32Array.from(start),
    patchElements: elements.slice(0, end),
    patchShift: Uint8Array.from(openedShift),
    patchOf,
    patchOffset,
  }
}

/** An element's result: the signed sum of its copies, or all of them. `copies`: one value per element of every copy. */
export function bentResult<V extends Int32Array | Float64Array>(step: Step, copies: V, layout: ReluLayout): V {
  const sum = step.activation?.bends?.sum
  if (!sum) return copies
  const size = elementCount(step.out)
  const result = copies.slice(0, size).fill(0) as V
  for (const activated of [layout.switched, layout.identity])
    for (const copy of activated) result[copy % size] = sum.plus
  for (let copy = 0; copy < copies.length; copy++) {
    result[copy % size] += sum.signs[Math.floor(copy / size)] * copies[copy]
  }
  return result
}
