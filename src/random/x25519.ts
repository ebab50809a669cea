// X25519 (RFC 7748) by the ladder alone: the ready-made curve brings Edwards arithmetic that a page would load for nothing.

import { pow } from '@noble/curves/abstract/modular.js'
import { montgomery } from '@noble/curves/abstract/montgomery.js'

const P = 2n ** 255n - 19n

export const x25519 = /* @__PURE__ */ montgomery({
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
