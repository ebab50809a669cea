import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { loadKernels } from '../../src/kernels/instance.js'
import { agreeSeed, deriveSeed, entropy, keyPair } from '../../src/random/seed.js'
import { nonce, Purpose, type PurposeCode, type StreamAddress, Streams } from '../../src/random/streams.js'

const purposes = Object.values(Purpose) as PurposeCode[]
const address = fc.record({
  purpose: fc.constantFrom(...purposes),
  layer: fc.integer({ min: 0, max: 65535 }),
  tensor: fc.integer({ min: 0, max: 255 }),
  inference: fc.maxSafeNat(),
})

describe('stream addresses', () => {
  it('have a nonce of their own each', () => {
    const seen = new Set<string>()
    let count = 0
    const some = [0, 1, 2, 255, 256, 32767, 32768, 2 ** 16, 2 ** 32 - 1, 2 ** 32]
    const edges = (most: number) => new Set([...some.filter((x) => x <= most), most])
    for (const purpose of purposes) {
      for (const layer of edges(65535)) {
        for (const tensor of edges(255)) {
          for (const inference of edges(2 ** 53 - 1)) {
            seen.add(nonce({ purpose, layer, tensor, inference }).join())
            count++
          }
        }
      }
    }
    expect(seen.size).toBe(count)
  })

  it('can be read back from their nonce', () => {
    fc.assert(
      fc.property(address, (a) => {
        const [first, low, high] = nonce(a)
        const back: StreamAddress = {
          purpose: (first & 255) as PurposeCode,
          tensor: (first >>> 8) & 255,
          layer: first >>> 16,
          inference: low + high * 2 ** 32,
        }
        expect(back).toEqual(a)
      }),
    )
  })

  it('purposes have codes of one byte, no two alike', () => {
    expect(new Set(purposes).size).toBe(purposes.length)
    expect(purposes.every((code) => Number.isInteger(code) && code > 0 && code < 256)).toBe(true)
  })

  it.each([
    { layer: 65536 },
    { layer: -1 },
    { layer: 0.5 },
    { tensor: 256 },
    { inference: 2 ** 53 },
    { inference: -1 },
    { inference: Number.NaN },
  ])('%j is out of range', (wrong) => {
    expect(() => nonce({ purpose: 1, layer: 0, inference: 0, ...wrong })).toThrow(RangeError)
  })
})

describe('streams', () => {
  const k = loadKernels()
  const seed = new Uint8Array(32).fill(9)

  it('start with the same bytes whatever their length, and differ by address, seed and rounds', () => {
    const make = (s: Uint8Array, rounds: 12 | 20, inference: number, bytes: number) =>
      new Streams(k, s, rounds).take({ purpose: Purpose.blind, layer: 2, inference }, bytes).u8().slice()
    const long = make(seed, 12, 5, 1000)
    for (const bytes of [0, 1, 63, 64, 65, 999]) expect(make(seed, 12, 5, bytes)).toEqual(long.slice(0, bytes))
    const others = [make(seed, 12, 6, 1000), make(seed, 20, 5, 1000), make(new Uint8Array(32).fill(8), 12, 5, 1000)]
    for (const other of others) expect(other).not.toEqual(long)
  })

  it('of two addresses have nothing in common', () => {
    const streams = new Streams(k, seed, 12)
    fc.assert(
      fc.property(address, address, (a, b) => {
        fc.pre(nonce(a).join() !== nonce(b).join())
        const [x, y] = [a, b].map((each) => streams.take(each, 64))
        const equal = x.u8().filter((byte, i) => byte === y.u8()[i]).length
        x.release()
        y.release()
        expect(equal).toBeLessThan(16)
      }),
    )
  })

  it('of an inference have a seed of their own, in memory of their own', () => {
    const streams = new Streams(k, seed, 12)
    const before = k.memory.inUse
    const where = { purpose: Purpose.blind, layer: 2, inference: 5 }
    const drawn = [streams, streams.ofInference(5), streams.ofInference(6), streams.ofInference(5)].map((each) => {
      const region = each.take(where, 32)
      const bytes = region.u8().slice()
      region.release()
      if (each !== streams) each.release()
      return bytes
    })
    expect(drawn[3]).toEqual(drawn[1])
    expect(new Set(drawn.map(String)).size).toBe(3)
    expect(k.memory.inUse).toBe(before)
  })

  it('take a seed of 32 bytes and wipe it on release', () => {
    expect(() => new Streams(k, new Uint8Array(31), 12)).toThrow(/32 bytes/)
    const fresh = loadKernels()
    const streams = new Streams(fresh, new Uint8Array(32).fill(0xab), 12)
    const bytes = () => new Uint8Array(fresh.memory.buffer).filter((byte) => byte === 0xab).length
    const before = bytes()
    streams.release()
    expect(before - bytes()).toBe(32)
  })
})

describe('seeds', () => {
  const [a, b] = [keyPair(), keyPair()]
  const order = { initiator: a.publicKey, responder: b.publicKey }
  const context = Uint8Array.of(1, 2, 3)
  const seed = agreeSeed('client-helper', a, b.publicKey, order, context)

  it('agree both ways', () => {
    expect(seed).toHaveLength(32)
    expect(agreeSeed('client-helper', b, a.publicKey, order, context)).toEqual(seed)
  })

  it('differ by role, context, order and keys', () => {
    const others = [
      agreeSeed('server-helper', a, b.publicKey, order, context),
      agreeSeed('client-helper', a, b.publicKey, order, Uint8Array.of(1, 2, 4)),
      agreeSeed('client-helper', a, b.publicKey, order, Uint8Array.of(1, 2)),
      agreeSeed('client-helper', a, b.publicKey, { initiator: b.publicKey, responder: a.publicKey }, context),
      agreeSeed('client-helper', keyPair(), b.publicKey, order, context),
      deriveSeed(seed, context, 'session'),
      deriveSeed(seed, context, 'other'),
      deriveSeed(seed, Uint8Array.of(9), 'session'),
    ]
    const all = [seed, ...others].map((bytes) => Buffer.from(bytes).toString('hex'))
    expect(new Set(all).size).toBe(all.length)
  })

  it('refuse a public key of small order', () => {
    for (const key of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) {
      expect(() => agreeSeed('client-helper', a, key, order, context)).toThrow(RingfenceError)
    }
  })

  it('come from the platform', () => {
    expect(entropy(16)).not.toEqual(entropy(16))
    expect(keyPair().publicKey).not.toEqual(keyPair().publicKey)
  })
})
