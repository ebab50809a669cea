// `.npy` and `.npz` as NumPy writes them, and as it does not.
import { zipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { readNpy, readNpz } from '../../../src/convert/weights/npy.js'
import type { StoredTensor } from '../../../src/convert/weights/stored-tensor.js'
import { RingfenceError } from '../../../src/errors.js'
import { fromBase64 } from '../../../src/model/relu/mask-bits.js'
import vectors from '../../vectors/pickles.json' with { type: 'json' }
import { npy } from '../encode.js'

const real = (name: keyof typeof vectors.npy) => readNpy(fromBase64(vectors.npy[name]))
const plain = ({ shape, dtype, data, bytes }: StoredTensor) => ({ shape, dtype, elements: [...(data ?? bytes)] })

describe('files NumPy wrote', () => {
  test('row-major, column-major, big endian, all versions', () => {
    expect(plain(real('f4'))).toEqual({ shape: [2, 3], dtype: 'F32', elements: [0, 1, 2, 3, 4, 5] })
    expect(plain(real('fortran'))).toEqual({ shape: [2, 3], dtype: 'F32', elements: [0, 1, 2, 3, 4, 5] })
    expect(plain(real('bigEndian'))).toEqual({
      shape: [2, 3],
      dtype: 'I16',
      elements: [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0],
    })
    expect(plain(real('v2'))).toEqual({ shape: [3], dtype: 'U8', elements: [0, 1, 2] })
    expect(plain(real('v3'))).toEqual({ shape: [], dtype: 'F64', elements: [1.5] })
  })

  test('arrays of Python objects and of records are refused', () => {
    expect(() => real('object')).toThrow(/types b1, i1/)
    expect(() => real('record')).toThrow(/'descr', 'fortran_order' and 'shape'/)
  })

  test('npz, stored and compressed', () => {
    const stored = readNpz(fromBase64(vectors.npz.stored))
    expect([...stored.keys()]).toEqual(['conv1.weight', 'mask'])
    expect(plain(stored.get('conv1.weight')!)).toEqual({ shape: [4], dtype: 'F32', elements: [0, 1, 2, 3] })
    const packed = readNpz(fromBase64(vectors.npz.compressed))
    expect(packed.get('zeros')!.data).toEqual(new Float32Array(3000))
    expect([...packed.get('conv1.weight')!.data!]).toEqual([0, 1, 2, 3])
  })
})

describe('files nobody should have written', () => {
  const good = npy('<f4', [2, 2], Float32Array.of(1, 2, 3, 4))

  test('the test writer is understood, in each version and order', () => {
    for (const version of [1, 2, 3]) {
      const columns = npy('<f4', [2, 2], Float32Array.of(1, 2, 3, 4), { version, columnMajor: true })
      expect([...readNpy(columns).data!]).toEqual([1, 3, 2, 4])
    }
  })

  test('shapes that lie, up to two gigabytes and beyond', () => {
    for (const shape of [[3, 2], [2 ** 29], [2 ** 31, 2 ** 31], [2 ** 60], Array(32).fill(1), [2, 2, 0]]) {
      expect(() => readNpy(npy('<f4', shape, Float32Array.of(1, 2, 3, 4))), `${shape}`).toThrow(RingfenceError)
    }
    expect(readNpy(npy('<f4', [2 ** 40, 0], new Float32Array(0))).shape).toEqual([2 ** 40, 0])
  })

  test('headers that are cut short, too long, or no dict of three fields', () => {
    for (let length = 0; length < good.length; length++) {
      expect(() => readNpy(good.subarray(0, length)), `${length}`).toThrow(RingfenceError)
    }
    const huge = npy('<f4', [1], Float32Array.of(1), { version: 2 })
    huge.fill(0xff, 8, 12)
    expect(() => readNpy(huge)).toThrow(/got a length of 4294967295/)
    for (const descr of ['<c8', '<U4', '<m8', 'x', '<f16', "<f4', 'x': '"]) {
      expect(() => readNpy(npy(descr, [1], new Uint8Array(4))), descr).toThrow(RingfenceError)
    }
  })

  test('an npz with other files in it names them all; a flipped bit fails the checksum', () => {
    const file = zipSync({ 'a.npy': good, 'b.txt': good, 'c.pkl': good })
    expect(() => readNpz(file)).toThrow(/"b.txt"[\s\S]*"c.pkl"/)
    const stored = zipSync({ 'a.npy': good }, { level: 0 })
    stored[stored.length - 22 - 46 - 5 - 3] ^= 1
    expect(() => readNpz(stored)).toThrow(/checksum/)
  })
})
