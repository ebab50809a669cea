// The key agreement: the vectors of RFC 7748, the library's ready-made curve as a twin, and keys that agree on nothing.
import { x25519 as twin } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { entropy } from '../../src/random/seed.js'
import { ladder, x25519 as own } from '../../src/random/x25519.js'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (of: Uint8Array) => Buffer.from(of).toString('hex')

it('is Node’s own on Node', () => {
  expect(own).not.toBe(ladder)
})

describe.each([
  ['as this host has it', own],
  ['by the ladder', ladder],
])('X25519 %s', (_, x25519) => {
  it.each([
    [
      'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    ],
    [
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    ],
  ])('is that of RFC 7748, sections 5.2 and 6.1: %s', (secretKey, publicKey, shared) => {
    expect(hex(x25519.getSharedSecret(bytes(secretKey), bytes(publicKey)))).toBe(shared)
  })

  it('derives the public keys of RFC 7748, section 6.1', () => {
    const keys = {
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a':
        '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
      '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb':
        'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    }
    for (const [secret, open] of Object.entries(keys)) expect(hex(x25519.getPublicKey(bytes(secret)))).toBe(open)
  })

  it('agrees with the ready-made curve for any keys, canonical or not', () => {
    for (let i = 0; i < 50; i++) {
      const [own, peer] = [entropy(32), entropy(32)] // half of all points are on the curve's twist
      expect(hex(x25519.getPublicKey(own))).toBe(hex(twin.getPublicKey(own)))
      expect(hex(x25519.getSharedSecret(own, peer))).toBe(hex(twin.getSharedSecret(own, peer)))
    }
  })

  it.each([
    ['zero', '00'.repeat(32)],
    ['one', `01${'00'.repeat(31)}`],
    ['the prime', `ed${'ff'.repeat(30)}7f`],
    ['a point of order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
  ])('refuses %s, with which every key agrees on zero', (_, peer) => {
    expect(() => x25519.getSharedSecret(entropy(32), bytes(peer))).toThrow()
  })

  it.each([0, 31, 33])('refuses keys of %i bytes', (length) => {
    expect(() => x25519.getPublicKey(entropy(length))).toThrow()
    expect(() => x25519.getSharedSecret(entropy(length), x25519.getPublicKey(entropy(32)))).toThrow()
    expect(() => x25519.getSharedSecret(entropy(32), entropy(length))).toThrow()
  })
})
