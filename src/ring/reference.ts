// The slow twin of every ring, stream and packing kernel: BigInt and plain loops, straight from the definitions. Used by
// tests and checks only; nothing here is meant to be fast.
import { type ConvGeometry, outputSize } from '../kernels/geometry.js'
import { type EmbedSource, type EmbedTarget, type PoolGeometry, poolSize } from '../kernels/planes.js'

export type Words = readonly bigint[]
export type Width = 32 | 64

const wrap = (bits: Width, value: bigint): bigint => BigInt.asUintN(bits, value)

export function add(bits: Width, a: Words, b: Words): bigint[] {
  return a.map((value, i) => wrap(bits, value + b[i]))
}

export function sub(bits: Width, a: Words, b: Words): bigint[] {
  return a.map((value, i) => wrap(bits, value - b[i]))
}

export function mul(bits: Width, a: Words, b: Words): bigint[] {
  return a.map((value, i) => wrap(bits, value * b[i]))
}

export function scale(bits: Width, x: Words, factor: bigint): bigint[] {
  return x.map((value) => wrap(bits, value * factor))
}

export function shl(bits: Width, x: Words, by: number): bigint[] {
  return x.map((value) => wrap(bits, value << BigInt(by)))
}

export function shrLogical(x: Words, by: number): bigint[] {
  return x.map((value) => value >> BigInt(by))
}

export function mask(x: Words, bits: number): bigint[] {
  return x.map((value) => BigInt.asUintN(bits, value))
}

/** C[m, n] = A[m, kk]·B[kk, n]. */
export function matmul(bits: Width, a: Words, b: Words, m: number, kk: number, n: number): bigint[] {
  const c: bigint[] = []
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0n
      for (let k = 0; k < kk; k++) sum += a[i * kk + k] * b[k * n + j]
      c.push(wrap(bits, sum))
    }
  }
  return c
}

/** One output word of a convolution. */
function convAt(g: ConvGeometry, x: Words, w: Words, channel: number, i: number, j: number): bigint {
  const perGroup = g.cin / g.groups
  const first = Math.floor(channel / (g.cout / g.groups)) * perGroup
  let sum = 0n
  for (let c = 0; c < perGroup; c++) {
    for (let r = 0; r < g.kernel[0]; r++) {
      for (let s = 0; s < g.kernel[1]; s++) {
        const row = i * g.stride[0] + r * g.dilation[0] - g.pad[0]
        const column = j * g.stride[1] + s * g.dilation[1] - g.pad[1]
        if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue
        const weight = w[((channel * perGroup + c) * g.kernel[0] + r) * g.kernel[1] + s]
        sum += weight * x[((first + c) * g.h + row) * g.w + column]
      }
    }
  }
  return sum
}

/** `before` + conv(x, w); without `before` the convolution alone. */
export function conv(bits: Width, g: ConvGeometry, x: Words, w: Words, before?: Words): bigint[] {
  const [oh, ow] = outputSize(g)
  const y: bigint[] = []
  for (let channel = 0; channel < g.cout; channel++) {
    for (let i = 0; i < oh; i++) {
      for (let j = 0; j < ow; j++) {
        y.push(wrap(bits, convAt(g, x, w, channel, i, j) + (before?.[y.length] ?? 0n)))
      }
    }
  }
  return y
}

export function poolSum(g: PoolGeometry, x: Words): bigint[] {
  const [oh, ow] = poolSize(g)
  const y: bigint[] = []
  for (let c = 0; c < g.c; c++) {
    for (let i = 0; i < oh; i++) {
      for (let j = 0; j < ow; j++) {
        let sum = 0n
        for (let r = 0; r < g.kernel[0]; r++) {
          for (let s = 0; s < g.kernel[1]; s++) {
            const row = i * g.stride[0] + r - g.pad[0]
            const column = j * g.stride[1] + s - g.pad[1]
            if (row >= 0 && row < g.h && column >= 0 && column < g.w) sum += x[(c * g.h + row) * g.w + column]
          }
        }
        y.push(wrap(32, sum))
      }
    }
  }
  return y
}

export function embed(s: EmbedSource, x: Words, t: EmbedTarget): bigint[] {
  const y: bigint[] = Array(t.channels * t.h * t.w).fill(0n)
  for (let c = 0; c < s.c; c++) {
    for (let i = 0; i < t.h - t.top; i++) {
      for (let j = 0; j < t.w - t.left; j++) {
        const row = s.offset[0] + i * s.stride[0]
        const column = s.offset[1] + j * s.stride[1]
        const channel = t.channelOffset + c
        if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue
        if (channel < 0 || channel >= t.channels || t.top + i < 0 || t.left + j < 0) continue
        y[(channel * t.h + t.top + i) * t.w + t.left + j] = x[(c * s.h + row) * s.w + column]
      }
    }
  }
  return y
}

/** The bit stream of `pack` as one large number. */
export function pack(x: Words, bits: number): Uint8Array {
  let stream = 0n
  for (let i = x.length - 1; i >= 0; i--) stream = (stream << BigInt(bits)) | BigInt.asUintN(bits, x[i])
  const bytes = new Uint8Array(Math.ceil((x.length * bits) / 8))
  for (let i = 0; i < bytes.length; i++, stream >>= 8n) bytes[i] = Number(stream & 255n)
  return bytes
}

/** Bit w of plane p of block b = bit p of word 128 b + w. */
export function toPlanes(x: Words): Uint8Array {
  const planes = new Uint8Array(Math.ceil(x.length / 128) * 512)
  x.forEach((word, i) => {
    for (let p = 0; p < 32; p++) {
      const bit = Number((word >> BigInt(p)) & 1n)
      planes[(i >> 7) * 512 + p * 16 + ((i & 127) >> 3)] |= bit << (i & 7)
    }
  })
  return planes
}

/** RFC 8439 §2.1 on four words of the state. */
function quarterRound(s: bigint[], a: number, b: number, c: number, d: number): void {
  const turn = (value: bigint, by: bigint) => wrap(32, value << by) | (value >> (32n - by))
  s[a] = wrap(32, s[a] + s[b])
  s[d] = turn(s[d] ^ s[a], 16n)
  s[c] = wrap(32, s[c] + s[d])
  s[b] = turn(s[b] ^ s[c], 12n)
  s[a] = wrap(32, s[a] + s[b])
  s[d] = turn(s[d] ^ s[a], 8n)
  s[c] = wrap(32, s[c] + s[d])
  s[b] = turn(s[b] ^ s[c], 7n)
}

/** One block of RFC 8439 §2.3, with any even number of rounds: 64 bytes. */
export function chachaBlock(key: Uint8Array, nonce: readonly number[], counter: number, rounds: number): Uint8Array {
  const at = new DataView(key.buffer, key.byteOffset, key.byteLength)
  const start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]
  for (let i = 0; i < 8; i++) start.push(at.getUint32(4 * i, true))
  start.push(counter, ...nonce)
  const s = start.map(BigInt)
  for (let i = 0; i < rounds; i += 2) {
    for (let c = 0; c < 4; c++) quarterRound(s, c, 4 + c, 8 + c, 12 + c)
    for (let c = 0; c < 4; c++) quarterRound(s, c, 4 + ((c + 1) & 3), 8 + ((c + 2) & 3), 12 + ((c + 3) & 3))
  }
  const out = new DataView(new ArrayBuffer(64))
  s.forEach((word, i) => {
    out.setUint32(4 * i, Number(wrap(32, word + BigInt(start[i]))), true)
  })
  return new Uint8Array(out.buffer)
}

export function chachaStream(
  key: Uint8Array,
  nonce: readonly number[],
  counter: number,
  rounds: number,
  byteLength: number,
): Uint8Array {
  const out = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength; at += 64) {
    out.set(chachaBlock(key, nonce, counter + at / 64, rounds).subarray(0, byteLength - at), at)
  }
  return out
}
