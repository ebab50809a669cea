// The dealer's tables of the masked carry chain (docs/protocol.md, "masked carry chain").
import { chunk, chunkScalar, entryBits, GROUP, lanes, powers, tableWords, width } from './chunks'

// For an addend x the entries of a chunk whose sum carries are those at or above a threshold, so a whole column is
// made from one threshold per lane and never entry by entry.

/** Bits 16·word … 16·word + 15 of the column that is 1 from entry `from` on. */
// @ts-ignore: decorator
@inline
function atLeast(from: v128, word: i32): v128 {
  const x = i16x8.sub(from, i16x8.splat(<i16>(word << 4)))
  return i16x8.neg(powers(i16x8.min_s(i16x8.max_s(x, i16x8.splat(0)), i16x8.splat(16))))
}

/** One word of the column ¬msb((entry + x) mod 2^c); half = 2^(c-1). */
// @ts-ignore: decorator
@inline
function positive(x: v128, half: i32, word: i32): v128 {
  const h = i16x8.splat(<i16>half)
  const a = i16x8.sub(h, x)
  const b = i16x8.add(a, h)
  const c = i16x8.add(b, h)
  return v128.not(v128.xor(v128.xor(atLeast(a, word), atLeast(b, word)), atLeast(c, word)))
}

/** XORs a column's word into the tables of one group; columns of less than 16 entries share a word. */
// @ts-ignore: decorator
@inline
function put(table: usize, bit: i32, c: i32, column: v128): void {
  const at = table + (<usize>(bit >> 4) << 4)
  if (c < 4) {
    const field: i32 = (1 << (1 << c)) - 1
    column = i16x8.shl(v128.and(column, i16x8.splat(<i16>field)), bit & 15)
  }
  v128.store(at, v128.xor(v128.load(at), column))
}

// @ts-ignore: decorator
@inline
function putScalar(table: usize, lane: i32, bit: i32, c: i32, column: u32): void {
  const at = table + (<usize>(bit >> 4) << 4) + (<usize>lane << 1)
  if (c < 4) column = (column & ((1 << (1 << c)) - 1)) << (bit & 15)
  store<u16>(at, <u16>(<u32>load<u16>(at) ^ column))
}

// @ts-ignore: decorator
@inline
function atLeastScalar(from: i32, word: i32): u32 {
  const x = min(max(from - (word << 4), 0), 16)
  return <u32>(-1 << x)
}

/** Where key K_j^v starts in a group's dealer bits: s_0 … s_(t-2), then K_1^0, K_1^1, K_2^0, … of t - j bytes each. */
// @ts-ignore: decorator
@inline
function keyAt(t: i32, j: i32, v: i32): i32 {
  let at = t - 1
  for (let i = 1; i < j; i++) at += 2 * (t - i)
  return at + v * (t - j)
}

/**
 * XORs every DReLU's tables into `tables`, which holds the pads.
 * @param r masked addends, groups·8 of them (the caller pads the last group): u32, or u64 in the second export
 * @param lo window [lo, lo + k); @param shape, t the chunks of the window
 * @param rho one byte per group, bit l is lane l's ρ
 * @param bits dealer's random bits, t² - 1 bytes per group: s_0 … s_(t-2), then the keys
 */
export function mccDeal(
  r: usize, groups: i32, lo: i32, shape: usize, t: i32, rho: usize, bits: usize, tables: usize,
): void {
  deal<u32>(r, groups, lo, shape, t, rho, bits, tables)
}

export function mccDeal64(
  r: usize, groups: i32, lo: i32, shape: usize, t: i32, rho: usize, bits: usize, tables: usize,
): void {
  deal<u64>(r, groups, lo, shape, t, rho, bits, tables)
}

function deal<T>(
  r: usize, groups: i32, lo: i32, shape: usize, t: i32, rho: usize, bits: usize, tables: usize,
): void {
  const stride = <usize>tableWords(shape, t) << 4
  const random = <usize>(t * t - 1)
  for (let g = 0; g < groups; g++) {
    dealGroup<T>(r, lo, shape, t, load<u8>(rho), bits, tables)
    r += GROUP * sizeof<T>()
    rho += 1
    bits += random
    tables += stride
  }
}

function dealGroup<T>(r: usize, lo: i32, shape: usize, t: i32, rho: u32, bits: usize, table: usize): void {
  let shift = lo
  let bit = 0
  for (let j = 0; j < t; j++) {
    const c = width(shape, j)
    const key = <usize>keyAt(t, j, 0)
    const next = <usize>keyAt(t, j + 1, 0)
    if (ASC_FEATURE_SIMD) dealStage<T>(r, shift, c, t, j, rho, bits, bits + key, bits + next, table, bit)
    else dealStageScalar<T>(r, shift, c, t, j, rho, bits, bits + key, bits + next, table, bit)
    bit += entryBits(t, j) << c
    shift += c
  }
}

function dealStage<T>(
  r: usize, shift: i32, c: i32, t: i32, j: i32, rho: u32, s: usize, key: usize, next: usize, table: usize, bit: i32,
): void {
  const size: i32 = 1 << c
  const x = chunk<T>(r, <T>0, <T>-1, shift, size)
  const words = c > 4 ? 1 << (c - 4) : 1
  const last = j == t - 1
  const keys = t - j - 1 // bits of the next key
  const out = last ? lanes(rho) : lanes(load<u8>(s + j))
  // Before stage 0 the carry is a public 0; later it comes masked by s_(j-1).
  const carryMask = j == 0 ? i16x8.splat(0) : lanes(load<u8>(s + j - 1))
  const rows = j == 0 ? 1 : 2
  for (let v = 0; v < rows; v++) {
    // q = v ⊕ s_(j-1); masks are -1 where set, so subtracting one adds 1.
    const q = v == 0 ? carryMask : v128.not(carryMask)
    const sum = i16x8.sub(x, q)
    const from = i16x8.sub(i16x8.splat(<i16>size), sum)
    const row = key + <usize>(v * (t - j))
    for (let w = 0; w < words; w++) {
      let at = bit + (w << 4)
      const pad = j == 0 ? i16x8.splat(0) : lanes(load<u8>(row))
      const u = v128.xor(last ? positive(sum, 1 << (c - 1), w) : atLeast(from, w), out)
      put(table, at, c, v128.xor(u, pad))
      for (let i = 0; i < keys; i++) {
        at += 1 << c
        const k0 = lanes(load<u8>(next + i))
        const k1 = lanes(load<u8>(next + keys + i))
        let column = v128.xor(k0, v128.and(u, v128.xor(k0, k1)))
        if (j > 0) column = v128.xor(column, lanes(load<u8>(row + 1 + i)))
        put(table, at, c, column)
      }
    }
    bit += (t - j) << c
  }
}

function dealStageScalar<T>(
  r: usize, shift: i32, c: i32, t: i32, j: i32, rho: u32, s: usize, key: usize, next: usize, table: usize, bit: i32,
): void {
  const words = c > 4 ? 1 << (c - 4) : 1
  const last = j == t - 1
  const keys = t - j - 1
  const rows = j == 0 ? 1 : 2
  for (let lane = 0; lane < GROUP; lane++) {
    const x = chunkScalar<T>(r + <usize>lane * sizeof<T>(), <T>0, <T>-1, shift, 1 << c)
    const out = last ? mask(rho, lane) : mask(load<u8>(s + j), lane)
    const carryMask: u32 = j == 0 ? 0 : mask(load<u8>(s + j - 1), lane)
    for (let v = 0; v < rows; v++) {
      const q = v == 0 ? <i32>carryMask : ~(<i32>carryMask)
      const sum = x - q
      const row = key + <usize>(v * (t - j))
      const half = 1 << (c - 1)
      for (let w = 0; w < words; w++) {
        let at = bit + v * ((t - j) << c) + (w << 4)
        const column = last
          ? ~(atLeastScalar(half - sum, w) ^ atLeastScalar(2 * half - sum, w) ^ atLeastScalar(3 * half - sum, w))
          : atLeastScalar((1 << c) - sum, w)
        const u = column ^ out
        putScalar(table, lane, at, c, u ^ (j == 0 ? 0 : mask(load<u8>(row), lane)))
        for (let i = 0; i < keys; i++) {
          at += 1 << c
          const k0 = mask(load<u8>(next + i), lane)
          const k1 = mask(load<u8>(next + keys + i), lane)
          let k = k0 ^ (u & (k0 ^ k1))
          if (j > 0) k ^= mask(load<u8>(row + 1 + i), lane)
          putScalar(table, lane, at, c, k)
        }
      }
    }
  }
}

/** All ones where bit `lane` of `bits` is set. */
// @ts-ignore: decorator
@inline
function mask(bits: u32, lane: i32): u32 {
  return -((bits >> lane) & 1)
}
