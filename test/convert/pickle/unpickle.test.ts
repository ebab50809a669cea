// The unpickler against pickles that CPython and NumPy wrote, and against those that nobody should unpickle.
import { describe, expect, test } from 'vitest'
import { NUMPY_GLOBALS, type NumpyArray } from '../../../src/convert/pickle/numpy.js'
import { ORDERED_DICT } from '../../../src/convert/pickle/torch.js'
import { unpickle } from '../../../src/convert/pickle/unpickle.js'
import { Budget } from '../../../src/convert/weights/budget.js'
import { elementNumbers } from '../../../src/convert/weights/stored-tensor.js'
import { RingfenceError } from '../../../src/errors.js'
import { fromBase64 } from '../../../src/model/relu/mask-bits.js'
import { processorMs } from '../../fixtures/clock.js'
import vectors from '../../vectors/pickles.json' with { type: 'json' }
import { global, numpyArray, pickle, raw, reduce, tuple } from '../encode.js'

const globals = new Map([...NUMPY_GLOBALS, ORDERED_DICT].map((known) => [known.name, known]))
const load = (file: Uint8Array) => unpickle(file, { budget: new Budget(file.length, 'test.pkl'), globals }).value
const protocols = ['2', '3', '4', '5'] as const

function refusal(file: Uint8Array): string {
  try {
    load(file)
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    expect((error as RingfenceError).code).toBe('BAD_FILE')
    return (error as Error).message
  }
  throw new Error('the pickle was read')
}

describe('what CPython writes', () => {
  test.each(protocols)('plain data, protocol %s', (protocol) => {
    const value = load(fromBase64(vectors.plain[protocol])) as Map<unknown, unknown>
    const ints = [0, 255, 256, 65535, 65536, -1, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, -(2n ** 63n)]
    const expected: [unknown, unknown][] = [
      ['none', null],
      ['t', true],
      ['f', false],
      ['ints', ints],
      ['float', -1.25],
      ['text', 'größe €'],
      ['empty', []],
      ['tuple', [1, 2, 3, 4]],
      ['nested', new Map([['a', [new Map(), []]]])],
      [3, 'three'],
      ['scalar', 2.5],
      ['iscalar', -7],
    ]
    for (const [key, inner] of expected) expect(value.get(key), `${key}`).toEqual(inner)
    expect([...(value.get('bytes') as Uint8Array)]).toEqual([0, 255])
    expect([...(value.get('none_bytes') as Uint8Array)]).toEqual([])
  })

  test.each(protocols)('NumPy arrays, protocol %s', (protocol) => {
    const value = load(fromBase64(vectors.arrays[protocol])) as Map<string, NumpyArray>
    const tensor = (name: string) => {
      const { shape, dtype, ...rest } = value.get(name)!.tensor!
      return { shape, dtype, numbers: [...Array.from(elementNumbers({ shape, dtype, ...rest }, new Budget(0, '')))] }
    }
    expect(tensor('be')).toEqual({ shape: [2, 3], dtype: 'F32', numbers: [0, 1, 2, 3, 4, 5] })
    expect(tensor('f16')).toEqual({ shape: [2], dtype: 'F16', numbers: [1.5, -2] })
    expect(tensor('bool')).toEqual({ shape: [2], dtype: 'BOOL', numbers: [1, 0] })
    expect(tensor('zero')).toEqual({ shape: [0, 3], dtype: 'F32', numbers: [] })
    expect(tensor('scalar0d')).toEqual({ shape: [], dtype: 'F64', numbers: [5] })
  })

  test.each([2, 3, 4, 5])('the test writer agrees, protocol %i', (protocol) => {
    const shared = ['x']
    const value = new Map<unknown, unknown>([
      ['a', [1, -5, 70000, 2n ** 40n, tuple(1, 2, 3, 4), tuple()]],
      ['b', shared],
      ['c', shared],
      ['d', Uint8Array.of(0, 200)],
    ])
    expect(load(pickle(value, protocol))).toEqual(
      new Map<unknown, unknown>([
        ['a', [1, -5, 70000, 2 ** 40, [1, 2, 3, 4], []]],
        ['b', ['x']],
        ['c', ['x']],
        ['d', Uint8Array.of(0, 200)],
      ]),
    )
  })
})

describe('what is refused', () => {
  test('names of code, all of them, and nothing is called', () => {
    const message = refusal(fromBase64(vectors.reduce))
    expect(message).toContain('"builtins.print"')
    expect(message).toContain('"_pickle.Pickler"')
    expect(refusal(pickle([global('os', 'system'), raw(0x52)]))).toContain('"os.system"')
    const nested = [
      reduce(global('builtins', 'eval'), tuple('1')),
      new Map([['k', reduce(global('a.b', 'C'), tuple())]]),
    ]
    expect(refusal(pickle(nested, 4))).toMatch(/"builtins.eval"[\s\S]*"a.b.C"/)
  })

  test('objects made by __new__, extension codes, buffers from outside, protocol 0', () => {
    expect(refusal(pickle(raw(0x63, ...bytes('m\nC\n'), 0x29, 0x81)))).toContain('"m.C"')
    expect(refusal(pickle(raw(0x82, 1)))).toMatch(/opcode 0x82/)
    expect(refusal(pickle(raw(0x97), 5))).toMatch(/opcode 0x97/)
    expect(refusal(Uint8Array.from(bytes("(dp0\nS'a'\n.")))).toMatch(/protocol 2 to 5/)
    expect(refusal(Uint8Array.of(0x80, 6, 0x4e, 0x2e))).toMatch(/protocol 6/)
    expect(refusal(pickle(raw(0x4e, 0x51)))).toMatch(/outside itself/)
  })

  test('known names in wrong places', () => {
    expect(refusal(pickle(reduce(global('numpy', 'ndarray'), tuple())))).toMatch(/only ever named/)
    expect(refusal(pickle(reduce(global('numpy', 'dtype'), tuple('O8', false, true))))).not.toBe('')
    expect(refusal(pickle(reduce('text', tuple())))).toMatch(/calls/)
    expect(refusal(pickle(reduce(global('collections', 'OrderedDict'), tuple([1]))))).toMatch(/OrderedDict/)
    expect(refusal(pickle(new Map([[tuple(1), 2]])))).toMatch(/keys/)
  })

  test('values that cannot be written out do not spoil the message', () => {
    // x = []; x.append(x); numpy.dtype(x)
    const itself = raw(0x5d, 0x71, 50, 0x68, 50, 0x61)
    expect(refusal(pickle(reduce(global('numpy', 'dtype'), tuple(itself))))).toMatch(/got a list/)
    expect(refusal(pickle(numpyArray('i8', [2 ** 62], new Uint8Array(8))))).toMatch(/shape of an array, got a tuple/)
    expect(refusal(pickle(reduce(global('numpy', 'dtype'), tuple(2n ** 70n))))).toMatch(/got 1180591620717411303424/)
  })

  test('a container that contains itself, directly or through others', () => {
    expect(refusal(fromBase64(vectors.cycle))).toMatch(/contains itself/)
    // d = {}; d['a'] = [d]
    expect(refusal(pickle(raw(0x7d, 0x71, 0, 0x8c, 1, 97, 0x5d, 0x68, 0, 0x61, 0x73)))).toMatch(/contains itself/)
  })

  test('lengths beyond the file: text, bytes, integers, frames, two gigabytes', () => {
    const big = [0xff, 0xff, 0xff, 0x7f]
    expect(refusal(pickle(raw(0x58, ...big)))).toMatch(/cut short/)
    expect(refusal(pickle(raw(0x42, ...big)))).toMatch(/cut short/)
    expect(refusal(pickle(raw(0x8b, ...big)))).toMatch(/integer of 2147483647 bytes/)
    expect(refusal(pickle(raw(0x8d, ...big, ...big)))).toMatch(/cut short/)
    expect(refusal(Uint8Array.of(0x80, 4, 0x95, ...big, ...big, 0x4e, 0x2e))).toMatch(/frame/)
    for (const whole of [vectors.plain['4'], vectors.arrays['2']].map(fromBase64)) {
      for (let length = 0; length < whole.length; length++) refusal(whole.subarray(0, length))
    }
  })

  test('stack and memo that do not add up', () => {
    for (const opcodes of [
      [0x61],
      [0x65],
      [0x73],
      [0x75],
      [0x74],
      [0x30],
      [0x31],
      [0x32],
      [0x62],
      [0x52],
      [0x85],
      [0x93],
    ]) {
      refusal(pickle(raw(...opcodes)))
    }
    expect(refusal(pickle(raw(0x4e, 0x28)))).toMatch(/one value/)
    expect(refusal(pickle(raw(0x4e, 0x4e)))).toMatch(/one value/)
    expect(refusal(pickle(raw(0x68, 7)))).toMatch(/value 7/)
    expect(refusal(pickle(raw(0x29, 0x4e, 0x61)))).toMatch(/other than a list/)
  })

  test('a short pickle that is endless to walk, and one nested too deep', () => {
    // x = None; then forty times x = [x, x].
    const doubling = Array.from({ length: 40 }, (_, i) => [0x5d, 0x28, 0x68, i, 0x68, i, 0x65, 0x71, i + 1, 0x30])
    const pairs = raw(0x4e, 0x71, 0, 0x30, ...doubling.flat(), 0x68, 40)
    expect(refusal(pickle(pairs))).toMatch(/more than 8388608 values/)
    const deep = new Uint8Array(200_002).fill(0x5d, 2, 100_002).fill(0x61, 100_002)
    deep.set([0x80, 2])
    deep[200_001] = 0x2e
    expect(refusal(deep)).toMatch(/deep/)
  })

  test('small opcodes that ask for much memory', () => {
    const many = new Uint8Array(1_000_000).fill(0x7d)
    many.set([0x80, 2])
    const before = processorMs()
    expect(refusal(many)).toMatch(/over \d+ bytes/)
    // One text, turned into bytes over and over.
    const copies = Array.from({ length: 3000 }, () => [0x68, 1, 0x68, 0, 0x52, 0x30]).flat()
    const text = [0x63, ...bytes('_codecs\nencode\n'), 0x71, 1, 0x30]
    const big = [
      0x58,
      0x40,
      0x42,
      0x0f,
      0,
      ...new Uint8Array(1_000_000).fill(97),
      0x8c,
      6,
      ...bytes('latin1'),
      0x86,
      0x71,
      0,
      0x30,
    ]
    expect(refusal(Uint8Array.from([0x80, 2, ...text, ...big, ...copies, 0x2e]))).toMatch(/over \d+ bytes/)
    expect(processorMs() - before).toBeLessThan(5000)
  })
})

function bytes(text: string): number[] {
  return [...text].map((c) => c.charCodeAt(0))
}
