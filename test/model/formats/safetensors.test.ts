import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { readSafetensors, writeSafetensors } from '../../../src/model/safetensors.js'
import { committed } from '../../fixtures/reference-files.js'

const floats = (...values: number[]) => Float32Array.from(values)
const two = new Map([
  ['a', { shape: [2, 1], data: floats(1, -2) }],
  ['b', { shape: [3], data: floats(3, 4, 5) }],
])

function withHeader(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + text.length + data.length)
  new DataView(file.buffer).setUint32(0, text.length, true)
  file.set(text, 8)
  file.set(data, 8 + text.length)
  return file
}

function failure(file: Uint8Array): RingfenceError {
  try {
    readSafetensors(file, 'w')
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_FILE' })
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

describe('reading', () => {
  it('gives back what was written, without a copy', () => {
    const file = writeSafetensors(two, { note: 'x' })
    const back = readSafetensors(file)
    expect([...back.keys()]).toEqual(['a', 'b'])
    for (const [name, { shape, data }] of two) expect(back.get(name)).toEqual({ shape, data, dtype: 'F32' })
    expect(back.get('b')!.data!.buffer).toBe(file.buffer)
  })

  it('copes with a file at an odd address', () => {
    const file = writeSafetensors(two)
    const odd = new Uint8Array(file.length + 1)
    odd.set(file, 1)
    expect(readSafetensors(odd.subarray(1)).get('b')!.data).toEqual(floats(3, 4, 5))
  })

  it('writes a trained file back byte for byte in its tensors', () => {
    const file = readSafetensors(committed('models/mnist-cnn3/weights.safetensors'))
    const again = readSafetensors(
      writeSafetensors(new Map([...file].map(([name, { shape, data }]) => [name, { shape, data: data! }]))),
    )
    expect(again).toEqual(file)
  })

  it('widens every half, brain and double float', () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const file = (dtype: string, bytes: Uint8Array, size: number) =>
      readSafetensors(
        withHeader({ t: { dtype, shape: [bytes.length / size], data_offsets: [0, bytes.length] } }, bytes),
      ).get('t')!.data!
    const bytes = new Uint8Array(halves.buffer)
    const f16 = file('F16', bytes, 2)
    const bf16 = file('BF16', bytes, 2)
    for (let i = 0; i < 65536; i++) {
      const sign = i & 0x8000 ? -1 : 1
      const exponent = (i >> 10) & 31
      const fraction = i & 1023
      const special = fraction ? Number.NaN : Number.POSITIVE_INFINITY
      const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024
      if (!Object.is(f16[i], sign * (exponent === 31 ? special : size))) expect(f16[i], `half ${i}`).toBe(sign * size)
      const brain = new Float32Array(Uint32Array.of(i << 16).buffer)[0]
      if (!Object.is(bf16[i], brain)) expect(bf16[i], `brain ${i}`).toBe(brain)
    }
    expect(file('F64', new Uint8Array(Float64Array.of(0.5, -3).buffer), 8)).toEqual(floats(0.5, -3))
  })

  it('keeps tensors that are not floats without their data', () => {
    const file = withHeader({ n: { dtype: 'I64', shape: [], data_offsets: [0, 8] } }, new Uint8Array(8))
    expect(readSafetensors(file).get('n')).toEqual({ dtype: 'I64', shape: [], data: undefined })
  })
})

describe('faulty files', () => {
  it('reports every fault of a header at once', () => {
    const { problems } = failure(
      withHeader(
        {
          a: { dtype: 'F33', shape: [1], data_offsets: [0, 4] },
          b: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] },
          c: { dtype: 'F32', shape: [1], data_offsets: [4] },
          d: { dtype: 'F32', shape: [2], data_offsets: [0, 4] },
          e: 5,
        },
        new Uint8Array(8),
      ),
    )
    expect(problems).toHaveLength(5)
    expect(problems[3]).toBe('tensor "d": expected 8 bytes for F32 [2], got 4')
  })

  it.each([
    ['overlap', [0, 8], [4, 12], 12, 'inside the tensor before it'],
    ['gap', [0, 8], [12, 20], 20, 'a gap of 4 bytes'],
    ['data cut short', [0, 8], [8, 16], 12, 'the file is cut short'],
    ['data after the end', [0, 8], [8, 16], 20, 'expected 16 bytes of data, got 20'],
  ])('%s', (_, a, b, size, text) => {
    const tensor = (data_offsets: number[]) => ({ dtype: 'F32', shape: [2], data_offsets })
    const error = failure(withHeader({ a: tensor(a), b: tensor(b) }, new Uint8Array(size)))
    expect(error.message).toContain(text)
  })

  it('an endless header length is refused before anything is read', () => {
    const file = new Uint8Array(64).fill(255)
    expect(failure(file).message).toContain('expected a header of at most 56 bytes')
  })

  it('any bytes, and any damage to a good file, give tensors or a typed error', () => {
    const good = writeSafetensors(two)
    const read = (file: Uint8Array) => {
      try {
        for (const { data, shape } of readSafetensors(file).values()) {
          expect(data === undefined || data.length === shape.reduce((x, y) => x * y, 1)).toBe(true)
        }
      } catch (error) {
        expect(error).toBeInstanceOf(RingfenceError)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read))
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
        const bad = good.slice(0, length)
        if (at < length) bad[at] = byte
        read(bad)
      }),
      { numRuns: 1000 },
    )
    fc.assert(fc.property(fc.json(), (json) => read(withHeader(json))))
    const entry = fc.record({
      dtype: fc.constantFrom('F32', 'F16', 'U8'),
      shape: fc.array(fc.oneof(fc.nat(4), fc.maxSafeInteger())),
      data_offsets: fc.tuple(fc.oneof(fc.nat(20), fc.maxSafeInteger()), fc.nat(20)),
    })
    fc.assert(fc.property(fc.dictionary(fc.string(), entry), (header) => read(withHeader(header, new Uint8Array(16)))))
  })
})

describe('writing', () => {
  it('refuses data that does not fill its shape', () => {
    expect(() => writeSafetensors(new Map([['a', { shape: [3], data: floats(1) }]]))).toThrow(
      'expected 3 elements, got 1',
    )
  })
})
