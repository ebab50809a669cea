// Zip archives that lie: about sizes, about places, about what is inside.
import { zipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { Budget } from '../../../src/convert/weights/budget.js'
import { crc32 } from '../../../src/convert/weights/crc32.js'
import { readZip } from '../../../src/convert/weights/zip.js'
import { RingfenceError } from '../../../src/errors.js'
import { processorMs } from '../../fixtures/clock.js'
import { ascii, concat } from '../encode.js'

const open = (file: Uint8Array) => readZip(file, new Budget(file.length, 'test.zip'))
const text = Uint8Array.from(ascii('the quick brown fox jumps over the lazy dog'))
const view = (file: Uint8Array) => new DataView(file.buffer, file.byteOffset, file.byteLength)

/** Where the records of a zip file with one entry of the given name lie. */
function places(file: Uint8Array, name: string): { end: number; central: number } {
  return { end: file.length - 22, central: file.length - 22 - 46 - name.length }
}

/** A zip file of one entry, changed before it is read. */
function changed(change: (at: DataView, central: number, end: number) => void, level: 0 | 6 = 0): Uint8Array {
  const file = zipSync({ a: text }, { level })
  const { end, central } = places(file, 'a')
  change(view(file), central, end)
  return file
}

test('the checksum is CRC-32', () => {
  expect(crc32(Uint8Array.from(ascii('123456789')))).toBe(0xcbf43926)
  for (let length = 0; length < 20; length++) {
    expect(crc32(text.subarray(0, length)), `${length}`).toBe(slowCrc(text.subarray(0, length)))
  }
})

function slowCrc(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

describe('what is read', () => {
  test.each([0, 6] as const)('entries of level %i, folders left out', (level) => {
    const zip = open(zipSync({ 'x/a': text, 'x/b': new Uint8Array(0), 'x/long': new Uint8Array(300_000) }, { level }))
    expect(zip.names).toEqual(['x/a', 'x/b', 'x/long'])
    expect(zip.read('x/a', { verify: true })).toEqual(text)
    expect(zip.read('x/b', { verify: true })).toHaveLength(0)
    expect(zip.read('x/long', { verify: true })).toEqual(new Uint8Array(300_000))
    expect(() => zip.read('x/c')).toThrow(/"x\/c"/)
  })

  test('a comment at the end, and the zip64 end records PyTorch always writes', () => {
    const file = zipSync({ a: text }, { level: 0 })
    const { end, central } = places(file, 'a')
    const tail = file.slice(end)
    const comment = Uint8Array.from(ascii('hello'))
    view(tail).setUint16(20, comment.length, true)
    expect(open(concat([file.subarray(0, end), tail, comment])).read('a')).toEqual(text)

    const long = new Uint8Array(56 + 20)
    view(long).setUint32(0, 0x06064b50, true)
    view(long).setUint32(4, 44, true)
    view(long).setUint32(24, 1, true)
    view(long).setUint32(32, 1, true)
    view(long).setUint32(40, end - central, true)
    view(long).setUint32(48, central, true)
    view(long).setUint32(56, 0x07064b50, true)
    view(long).setUint32(64, end, true)
    const zip64 = concat([file.subarray(0, end), long, file.subarray(end)])
    expect(open(zip64).read('a')).toEqual(text)
    view(zip64).setUint32(end + 48 + 4, 1, true)
    expect(() => open(zip64)).toThrow(/does not fit its directory/)
  })
})

describe('what is refused', () => {
  test('bombs: a size that cannot be, one that is too large, one that is not kept to', () => {
    expect(() => open(changed((v, c) => v.setUint32(c + 24, 0x7fffffff, true), 6))).toThrow(/cannot inflate/)
    // A true bomb: 70 MB of zeros in 70 kB.
    const bomb = zipSync({ a: new Uint8Array(70_000_000) }, { level: 6 })
    expect(bomb.length).toBeLessThan(100_000)
    expect(() => open(bomb).read('a')).toThrow(/over \d+ bytes/)
    // The same bomb that says it is small: stopped after the first step past the announced size.
    const { central } = places(bomb, 'a')
    for (const at of [22, central + 24]) view(bomb).setUint32(at, 1000, true)
    const before = processorMs()
    expect(() => open(bomb).read('a')).toThrow(/more than the 1000 bytes/)
    expect(processorMs() - before).toBeLessThan(1000)
  })

  test('many entries over the same bytes', () => {
    const one = zipSync({ a: text, b: text }, { level: 0 })
    const central = one.length - 22 - 47 - 47
    view(one).setUint32(central + 47 + 42, 0, true)
    expect(() => open(one)).toThrow(/overlaps/)
  })

  test('sizes that differ, between headers or from what is there', () => {
    expect(() => open(changed((v) => v.setUint32(18, 5, true)))).toThrow(/different sizes/)
    expect(() => open(changed((v, c) => v.setUint32(c + 24, 5, true)))).toThrow(/unfold to 5/)
    const shorter = changed((v, c) => {
      for (const at of [22, c + 24]) v.setUint32(at, 5, true)
    }, 6)
    expect(() => open(shorter).read('a')).toThrow(/more than the 5 bytes/)
    const longer = changed((v, c) => {
      for (const at of [22, c + 24]) v.setUint32(at, 50, true)
    }, 6)
    expect(() => open(longer).read('a')).toThrow(/not to the 50/)
  })

  test('encrypted, unknown method, two of one name, split, moved, zip64 sizes that are missing', () => {
    expect(() => open(changed((v, c) => v.setUint16(c + 8, 1, true)))).toThrow(/encrypted/)
    expect(() => open(changed((v, c) => v.setUint16(c + 10, 14, true)))).toThrow(/method 14/)
    expect(() => open(changed((v, _, e) => v.setUint16(e + 4, 1, true)))).toThrow(/end record/)
    expect(() => open(changed((v, _, e) => v.setUint32(e + 16, 3, true)))).toThrow(/end record/)
    expect(() => open(changed((v, c) => v.setUint32(c + 42, 3, true)))).toThrow(/where it points/)
    expect(() => open(changed((v, c) => v.setUint32(c + 24, 0xffffffff, true)))).toThrow(/zip64 sizes/)
    expect(() => open(changed((v, c) => v.setUint8(c + 46, 98)))).toThrow(/contradict/)
    const twice = zipSync({ a: text, b: text }, { level: 0 })
    for (const at of [text.length + 30 + 1 + 30, twice.length - 22 - 1]) twice[at] = 97
    expect(() => open(twice)).toThrow(/two entries "a"/)
    expect(() => open(concat([text, zipSync({ a: text })]))).toThrow(RingfenceError)
    expect(() => open(new Uint8Array(0))).toThrow(/no end/)
  })

  test('every truncation', () => {
    const file = zipSync({ a: text, b: text })
    for (let length = 0; length < file.length; length++)
      expect(() => open(file.subarray(0, length))).toThrow(RingfenceError)
  })
})
