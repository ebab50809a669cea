import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { fillStream } from '../../src/kernels/prg.js'
import { chachaStream } from '../../src/ring/reference.js'
import { Bay, VARIANTS } from './fixture.js'

const fromHex = (hex: string) => Uint8Array.from(hex.replace(/\s/g, '').match(/../g)!, (byte) => parseInt(byte, 16))
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i)

// RFC 8439 §2.3.2: block 1 of key 00…1f, nonce 00:00:00:09:00:00:00:4a:00:00:00:00
const BLOCK = fromHex(`
  10 f1 e7 e4 d1 3b 59 15 50 0f dd 1f a3 20 71 c4 c7 d1 f4 c7 33 c0 68 03 04 22 aa 9a c3 d4 6c 4e
  d2 82 64 46 07 9f aa 09 14 c2 d7 05 d9 8b 02 a2 b5 12 9c d1 de 16 4e b9 cb d0 83 e8 a2 50 3c 4e`)

// RFC 8439 §2.4.2: the text is encrypted with blocks 1 and 2 of nonce 00:00:00:00:00:00:00:4a:00:00:00:00
const TEXT =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
const CIPHER = fromHex(`
  6e 2e 35 9a 25 68 f9 80 41 ba 07 28 dd 0d 69 81 e9 7e 7a ec 1d 43 60 c2 0a 27 af cc fd 9f ae 0b
  f9 1b 65 c5 52 47 33 ab 8f 59 3d ab cd 62 b3 57 16 39 d6 24 e6 51 52 ab 8f 53 0c 35 9f 08 61 d8
  07 ca 0d bf 50 0d 6a 61 56 a3 8e 08 8a 22 b6 5e 52 bc 51 4d 16 cc f8 06 81 8c e9 1a b7 79 37 36
  5a f9 0b bf 74 a3 5b e6 b4 0b 8e ed f2 78 5e 42 87 4d`)

describe.each(VARIANTS)('ChaCha streams, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  function stream(
    byteLength: number,
    rounds: 12 | 20,
    nonce: readonly [number, number, number],
    counter: number,
    offset = 0,
  ): Uint8Array {
    const key = bay.bytes(KEY, offset)
    const out = bay.room(byteLength, offset)
    fillStream(k, key, nonce, counter, rounds, out)
    const bytes = out.u8().slice()
    bay.close(out)
    return bytes
  }

  it('gives the block of RFC 8439 §2.3.2', () => {
    expect(stream(64, 20, [0x09000000, 0x4a000000, 0], 1)).toEqual(BLOCK)
  })

  it('encrypts the text of RFC 8439 §2.4.2', () => {
    const key = stream(TEXT.length, 20, [0, 0x4a000000, 0], 1)
    expect(new TextEncoder().encode(TEXT).map((byte, i) => byte ^ key[i])).toEqual(CIPHER)
  })

  it.each([12, 20] as const)('equals its twin for every length 0-67 at every byte offset, %d rounds', (rounds) => {
    const nonce = [0xffffffff, 0x80000000, 7] as const
    const expected = chachaStream(KEY, nonce, 5, rounds, 67)
    for (let length = 0; length <= 67; length++) {
      for (let offset = 0; offset < 16; offset++) {
        expect(stream(length, rounds, nonce, 5, offset)).toEqual(expected.subarray(0, length))
      }
    }
  })

  it.each([12, 20] as const)('equals its twin around every multiple of eight blocks, %d rounds', (rounds) => {
    const nonce = [1, 2, 3] as const
    const expected = chachaStream(KEY, nonce, 0, rounds, 1700)
    for (const at of [256, 448, 511, 512, 513, 575, 576, 1023, 1024, 1025, 1535, 1536, 1600, 1699]) {
      expect(stream(at, rounds, nonce, 0, at % 16)).toEqual(expected.subarray(0, at))
    }
  })

  it('reaches the last block and refuses to wrap', () => {
    const nonce = [0, 0, 0] as const
    const start = 2 ** 32 - 9
    expect(stream(9 * 64, 12, nonce, start)).toEqual(chachaStream(KEY, nonce, start, 12, 9 * 64))
    expect(() => stream(9 * 64 + 1, 12, nonce, start)).toThrow(RangeError)
  })

  it('refuses a short key, an output over the key, other round counts and words that are not u32', () => {
    const key = bay.bytes(KEY)
    const out = bay.room(64)
    expect(() => fillStream(k, key.part(0, 31), [0, 0, 0], 0, 12, out)).toThrow(RangeError)
    expect(() => fillStream(k, key, [0, 0, 0], 0, 12, key)).toThrow(RangeError)
    expect(() => fillStream(k, key, [0, -1, 0], 0, 12, out)).toThrow(RangeError)
    expect(() => fillStream(k, key, [0, 0, 0], 0.5, 12, out)).toThrow(RangeError)
    expect(() => fillStream(k, key, [0, 0, 0], 0, 8 as 12, out)).toThrow(RangeError)
    bay.close(out)
  })
})
