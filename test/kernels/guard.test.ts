// Every typed call refuses regions that are too short, lie off a word boundary or overlap in part, before it touches any
// memory. A kernel without an entry in typed-calls.ts fails the first test.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import type { Entry } from './operands.js'
import { APART, entries, MODULES } from './typed-calls.js'

it('names every typed call of the kernels', () => {
  const calls = MODULES.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]) => (typeof value === 'function' ? [name] : [])),
  )
  expect([...new Set(calls)].filter((name) => !APART.includes(name)).sort()).toEqual(Object.keys(entries).sort())
})

describe.each(['simd', 'scalar'] as const)('%s', (variant) => {
  const k = loadKernels(variant)
  k.memory.alloc(2 ** 16).release() // what follows grows no memory
  const SIZE = 2 ** 15

  /** Lays operands out one after the other, changes one of them, and calls on memory of a pattern. */
  function attempt({ operands, call }: Entry, place: (at: Record<string, [from: number, bytes: number]>) => void) {
    const arena = k.memory.alloc(SIZE)
    let next = 64
    const at = Object.fromEntries(
      Object.entries(operands).map(([name, { bytes }]) => {
        const from = next
        next += Math.ceil((bytes + 64) / 64) * 64
        return [name, [from, bytes] as [number, number]]
      }),
    )
    place(at)
    const before = arena.u8().fill(0).slice()
    try {
      call(k, Object.fromEntries(Object.entries(at).map(([name, [from, bytes]]) => [name, arena.part(from, bytes)])))
      return { error: undefined, changed: false }
    } catch (error) {
      return { error, changed: !Buffer.from(arena.u8()).equals(Buffer.from(before)) }
    } finally {
      arena.release()
    }
  }

  function refused(entry: Entry, place: Parameters<typeof attempt>[1], what: string) {
    const { error, changed } = attempt(entry, place)
    expect(error, what).toBeInstanceOf(RangeError)
    expect(changed, `${what}: memory changed`).toBe(false)
  }

  it.each(Object.keys(entries))('%s runs on exact regions, apart and in place', (name) => {
    const entry = entries[name]
    expect(attempt(entry, () => {}).error).toBeUndefined()
    for (const [out, { may = [] }] of Object.entries(entry.operands)) {
      for (const same of may) {
        expect(
          attempt(entry, (at) => void (at[out][0] = at[same][0])).error,
          `${out} in place of ${same}`,
        ).toBeUndefined()
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
