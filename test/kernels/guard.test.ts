// Every typed call refuses regions that are too short, lie off a word boundary or overlap in part, before it touches any
// memory, and in place gives what it gives apart. A kernel without an entry in typed-calls.ts fails the first test.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadFloatKernels } from '../../src/kernels/float/instance.js'
import type { Entry } from './operands.js'
import { APART, entries, MODULES } from './typed-calls.js'

it('names every typed call of the kernels', () => {
  const calls = MODULES.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]) => (typeof value === 'function' ? [name] : [])),
  )
  expect([...new Set(calls)].filter((name) => !APART.includes(name)).sort()).toEqual(Object.keys(entries).sort())
})

describe.each(['simd', 'scalar'] as const)('%s', (variant) => {
  const k = loadFloatKernels(variant)
  k.memory.alloc(2 ** 16).release() // what follows grows no memory
  const SIZE = 2 ** 15
  // Small bytes: bits, digits, shifts and floats that are numbers.
  const PATTERN = Uint8Array.from({ length: SIZE }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 16) & 7)

  /** Lays operands out one after the other, changes one of them, and calls on memory of a pattern. */
  function attempt(
    { operands, call }: Entry,
    place: (at: Record<string, [from: number, bytes: number]>, memory: Uint8Array) => void,
  ) {
    const arena = k.memory.alloc(SIZE)
    let next = 64
    const at = Object.fromEntries(
      Object.entries(operands).map(([name, { bytes }]) => {
        const from = next
        next += Math.ceil((bytes + 64) / 64) * 64
        return [name, [from, bytes] as [number, number]]
      }),
    )
    arena.u8().set(PATTERN)
    // A resize looks its lines up and refuses those that there are not.
    if (at.columns) for (const [from, bytes] of [at.rows, at.columns]) arena.u8().fill(0, from, from + bytes)
    place(at, arena.u8())
    const before = arena.u8().slice()
    let error: unknown
    try {
      call(k, Object.fromEntries(Object.entries(at).map(([name, [from, bytes]]) => [name, arena.part(from, bytes)])))
    } catch (thrown) {
      error = thrown
    }
    const after = arena.u8().slice()
    arena.release()
    const read = (memory: Uint8Array): Record<string, Uint8Array> =>
      Object.fromEntries(Object.entries(at).map(([name, [from, bytes]]) => [name, memory.slice(from, from + bytes)]))
    return { error, changed: !Buffer.from(after).equals(before), before: read(before), after: read(after) }
  }

  function refused(entry: Entry, place: Parameters<typeof attempt>[1], what: string) {
    const { error, changed } = attempt(entry, place)
    expect(error, what).toBeInstanceOf(RangeError)
    expect(changed, `${what}: memory changed`).toBe(false)
  }

  it.each(Object.keys(entries))('%s writes its outputs alone, and in place what it writes apart', (name) => {
    const { operands } = entries[name]
    const inputs = Object.keys(operands).filter((operand) => !operands[operand].written)
    const apart = attempt(entries[name], () => {})
    expect(apart.error).toBeUndefined()
    for (const input of inputs) expect(apart.after[input], `${input} is read only`).toEqual(apart.before[input])
    for (const [out, { may = [] }] of Object.entries(operands)) {
      for (const same of may) {
        const what = `${out} in place of ${same}`
        // What an output adds to is the input itself where it is in place.
        const twice = attempt(entries[name], (at, memory) =>
          memory.copyWithin(at[out][0], at[same][0], at[same][0] + Math.min(at[same][1], at[out][1])),
        )
        const once = attempt(entries[name], (at) => void (at[out][0] = at[same][0]))
        expect(once.error, what).toBeUndefined()
        for (const operand of Object.keys(operands)) {
          if (operand !== same) expect(once.after[operand], `${operand}, ${what}`).toEqual(twice.after[operand])
        }
      }
    }
  })

  it.each(Object.keys(entries))('%s refuses short, misaligned and partly overlapping regions', (name) => {
    const entry = entries[name]
    const names = Object.keys(entry.operands)
    const unbounded = name === 'sampleBelow' ? ['bytes'] : [] // as many bytes as there are
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (operand, part) => {
          const { bytes, align } = entry.operands[operand]
          if (!unbounded.includes(operand)) {
            refused(entry, (at) => void (at[operand][1] = Math.floor(part * bytes)), `${operand} too short`)
          }
          if (align > 1)
            refused(entry, (at) => void (at[operand][0] += 1 + Math.floor(part * (align - 1))), `${operand} misaligned`)
        },
      ),
      { numRuns: 40, seed: 1 },
    )
    const written = names.filter((operand) => entry.operands[operand].written)
    for (const out of written) {
      for (const other of names) {
        // Weights are packed before the output is written.
        if (other === out || (other === 'weights' && name.startsWith('conv'))) continue
        const { align, bytes } = entry.operands[out]
        const reach = other === 'bytes' ? 16 : entry.operands[other].bytes
        fc.assert(
          fc.property(fc.integer({ min: 1 - Math.ceil(bytes / align), max: Math.ceil(reach / align) - 1 }), (shift) => {
            if (shift === 0 && (entry.operands[out].may?.includes(other) || entry.operands[other].may?.includes(out)))
              return
            const place: Parameters<typeof attempt>[1] = (at) => {
              // The pair lies in the second half of the arena, over nothing else.
              at[other][0] = SIZE / 2
              at[out][0] = SIZE / 2 + shift * align
            }
            refused(entry, place, `${out} over ${other}, moved by ${shift * align} bytes`)
          }),
          { numRuns: 20, seed: 2, examples: [[0]] },
        )
      }
    }
  })
})
