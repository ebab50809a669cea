// Base64 bit sets: bit i of the set is bit i mod 8 (least significant first) of byte i / 8.
import type { Fields } from '../json/fields.js'

/** The set's bits as one byte each, exactly `count` of them; reports a wrong length or a set bit past the end. */
export function readMaskBits(fields: Fields, name: string, count: number): Uint8Array {
  const bits = new Uint8Array(count)
  const text = fields.string(name)
  const bytes = tryBase64(text)
  const length = Math.ceil(count / 8)
  if (bytes === undefined) {
    fields.fault(name, 'base64')
  } else if (bytes.length !== length) {
    fields.problem(`${name}: expected ${length} bytes for ${count} elements, got ${bytes.length}`)
  } else {
    for (let i = 0; i < count; i++) bits[i] = (bytes[i >> 3] >> (i & 7)) & 1
    const spare = count & 7
    if (spare !== 0 && bytes[length - 1] >> spare !== 0)
      fields.problem(`${name}: expected zero bits past element ${count - 1}`)
  }
  return bits
}

/** @throws DOMException when the text is not base64 */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}

export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

function tryBase64(text: string): Uint8Array | undefined {
  try {
    return fromBase64(text)
  } catch {
    return undefined
  }
}
