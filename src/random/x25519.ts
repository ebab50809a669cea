// X25519 (RFC 7748): Node's own where this is Node, else by the ladder alone: the ready-made curve brings Edwards arithmetic
// that a page would load for nothing.

import { pow } from '@noble/curves/abstract/modular.js'
import { montgomery } from '@noble/curves/abstract/montgomery.js'

const P = 2n ** 255n - 19n

/** What parties need of X25519, keys of 32 bytes. */
export interface Curve {
  getPublicKey(secretKey: Uint8Array): Uint8Array
  /** @throws for a point of small order */
  getSharedSecret(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array
}

/** In JavaScript, a millisecond each. */
export const ladder: Curve = /* @__PURE__ */ montgomery({
  P,
  type: 'x25519',
  powPminus2: (x) => pow(x, P - 2n, P),
  // Section 5: a multiple of eight whose highest bit is bit 254.
  adjustScalarBytes(bytes: Uint8Array) {
    bytes[0] &= 0xf8
    bytes[31] = (bytes[31] & 0x7f) | 0x40
    return bytes
  },
})

interface Key {
  export(as: { format: 'jwk' }): { x: string }
}
/** The part of Node's `crypto` that is used. */
interface Crypto {
  createPrivateKey(key: { key: Uint8Array; format: 'der'; type: 'pkcs8' }): Key
  createPublicKey(key: Key | { key: { kty: string; crv: string; x: string }; format: 'jwk' }): Key
  diffieHellman(keys: { privateKey: Key; publicKey: Key }): Uint8Array
}

/** In front of a secret key's bytes in DER (RFC 8410). */
const DER = [0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32]

/** Secrets travel as bytes, which can be wiped; what is public, as text (RFC 8037), is read in a tenth of the time. */
function curveOf({ createPrivateKey, createPublicKey, diffieHellman }: Crypto): Curve {
  const secretOf = (secretKey: Uint8Array): Key => {
    if (secretKey.byteLength !== 32) throw new RangeError(`an X25519 key has 32 bytes, not ${secretKey.byteLength}`)
    const key = Uint8Array.from([...DER, ...secretKey])
    try {
      return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
    } finally {
      key.fill(0)
    }
  }
  const pointOf = (publicKey: Uint8Array): Key => {
    const x = btoa(String.fromCharCode(...publicKey))
    return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  }
  return {
    getPublicKey: (secretKey) => {
      const { x } = createPublicKey(secretOf(secretKey)).export({ format: 'jwk' })
      return Uint8Array.from(atob(x.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    },
    getSharedSecret: (secretKey, publicKey) =>
      wiped(diffieHellman({ privateKey: secretOf(secretKey), publicKey: pointOf(publicKey) })),
  }
}

/** A copy of bytes that are wiped. */
function wiped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  bytes.fill(0)
  return copy
}

/** Node's, if this is Node and it has not been told to do without (FIPS). */
function native(): Curve | undefined {
  const { process, Deno, Bun } = globalThis as {
    process?: { getBuiltinModule?(name: string): unknown }
    Deno?: unknown
    Bun?: unknown
  }
  const crypto = !Deno && !Bun && process?.getBuiltinModule?.('crypto')
  if (!crypto) return undefined
  const curve = curveOf(crypto as Crypto)
  try {
    curve.getPublicKey(new Uint8Array(32))
    return curve
  } catch {
    return undefined
  }
}

export const x25519: Curve = /* @__PURE__ */ native() ?? ladder
