// Widening of the float formats found in weight files to float32. Every one is little endian.

/** Bytes per element of the float formats that can be read. */
export const FLOAT_BYTES = { F32: 4, F64: 8, F16: 2, BF16: 2 } as const
export type FloatFormat = keyof typeof FLOAT_BYTES

/** Elements as float32; a view of `bytes`, not a copy, when they are aligned F32. */
export function toFloat32(format: FloatFormat, bytes: Uint8Array): Float32Array {
  const count = bytes.byteLength / FLOAT_BYTES[format]
  if (format === 'F32' && bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, count)
  // Not bytes.slice(): that of Node's Buffer shares its memory.
  if (format === 'F32') return new Float32Array(new Uint8Array(bytes).buffer)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(count)
  if (format === 'F64') for (let i = 0; i < count; i++) out[i] = view.getFloat64(8 * i, true)
  else {
    const words = new Uint32Array(out.buffer)
    const widen = format === 'F16' ? widenHalf : widenBrain
    for (let i = 0; i < count; i++) words[i] = widen(view.getUint16(2 * i, true))
  }
  return out
}

/** bfloat16 is the upper half of a float32. */
function widenBrain(bits: number): number {
  return bits << 16
}

/** IEEE 754 binary16 to the bits of the equal binary32. */
function widenHalf(bits: number): number {
  const sign = (bits & 0x8000) << 16
  const exponent = (bits >> 10) & 31
  const fraction = bits & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21 // a subnormal: move its leading one to the implicit bit
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}
