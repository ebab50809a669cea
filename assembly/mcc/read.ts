// Opening table rows at a public position, and walking the masked carry chain over them.
import { chunk, chunkScalar, entryBits, GROUP, lanes, powers, tableWords, width } from './chunks'

/**
 * Reads from every DReLU's tables the entry at each chunk of ((e + add) mod 2^bits) >> lo. The server reads the padded
 * tables, the client its pads: the position is public to both, so nothing secret decides an address.
 * @param e opened values, u32, or u64 in the second export
 * @param rows out, t² bytes per group: entry bits in order of stages, bit l of a byte is lane l
 */
export function mccRead(
  e: usize, groups: i32, add: u32, bits: i32, lo: i32, shape: usize, t: i32, tables: usize, rows: usize,
): void {
  read<u32>(e, groups, add, bits == 32 ? -1 : (1 << bits) - 1, lo, shape, t, tables, rows)
}

export function mccRead64(
  e: usize, groups: i32, add: u64, bits: i32, lo: i32, shape: usize, t: i32, tables: usize, rows: usize,
): void {
  read<u64>(e, groups, add, bits == 64 ? -1 : (1 << <u64>bits) - 1, lo, shape, t, tables, rows)
}

function read<T>(
  e: usize, groups: i32, add: T, mask: T, lo: i32, shape: usize, t: i32, tables: usize, rows: usize,
): void {
  const stride = <usize>tableWords(shape, t) << 4
  for (let g = 0; g < groups; g++) {
    let shift = lo
    let bit = 0
    for (let j = 0; j < t; j++) {
      const c = width(shape, j)
      const columns = entryBits(t, j)
      if (ASC_FEATURE_SIMD) {
        const x = chunk<T>(e, add, mask, shift, 1 << c)
        if (c <= 4) readNarrow(tables, bit, c, columns, powers(x), rows)
        else readWide(tables, bit, c, columns, x, rows)
      } else {
        readScalar<T>(e, add, mask, shift, tables, bit, c, columns, rows)
      }
      rows += columns
      bit += columns << c
      shift += c
    }
    e += GROUP * sizeof<T>()
    tables += stride
  }
}

// @ts-ignore: decorator
@inline
function readNarrow(table: usize, bit: i32, c: i32, columns: i32, at: v128, rows: usize): void {
  if (c == 4) {
    let word = table + (<usize>(bit >> 4) << 4)
    for (let i = 0; i < columns; i++) {
      store<u8>(rows + i, <u8>i16x8.bitmask(i16x8.eq(v128.and(v128.load(word), at), at)))
      word += 16
    }
    return
  }
  for (let i = 0; i < columns; i++) {
    const place = i16x8.shl(at, bit & 15)
    const word = v128.load(table + (<usize>(bit >> 4) << 4))
    store<u8>(rows + i, <u8>i16x8.bitmask(i16x8.eq(v128.and(word, place), place)))
    bit += 1 << c
  }
}

/** Chunks of more than 4 bits: sweep the column's words and keep the one each lane wants. */
// @ts-ignore: decorator
@inline
function readWide(table: usize, bit: i32, c: i32, columns: i32, x: v128, rows: usize): void {
  const words = 1 << (c - 4)
  const high = i16x8.shr_u(x, 4)
  const at = powers(v128.and(x, i16x8.splat(15)))
  let word = table + (<usize>(bit >> 4) << 4)
  for (let i = 0; i < columns; i++) {
    let found = i16x8.splat(0)
    for (let w = 0; w < words; w++) {
      const here = v128.and(i16x8.eq(high, i16x8.splat(<i16>w)), at)
      found = v128.or(found, v128.and(v128.load(word), here))
      word += 16
    }
    store<u8>(rows + i, <u8>i16x8.bitmask(i16x8.ne(found, i16x8.splat(0))))
  }
}

function readScalar<T>(
  e: usize, add: T, mask: T, shift: i32, table: usize, bit: i32, c: i32, columns: i32, rows: usize,
): void {
  for (let i = 0; i < columns; i++) {
    let byte: u32 = 0
    for (let lane = 0; lane < GROUP; lane++) {
      const x = chunkScalar<T>(e + <usize>lane * sizeof<T>(), add, mask, shift, 1 << c)
      const at = <u32>(bit + (i << c) + x)
      const word = load<u16>(table + (<usize>(at >> 4) << 4) + (<usize>lane << 1))
      byte |= ((<u32>word >> (at & 15)) & 1) << lane
    }
    store<u8>(rows + i, <u8>byte)
  }
}

/**
 * Unpads the rows and walks the chain: 8 DReLUs at a time, a byte per bit.
 * @param rows what the server sent; @param opened the client's pads at the same entries; overwritten
 * @param beta out, one byte per group: b ⊕ ρ
 */
export function mccWalk(rows: usize, opened: usize, groups: i32, t: i32, beta: usize): void {
  for (let g = 0; g < groups; g++) {
    // The state (u, K) of the stage before lies at `state`; stage j has t - j bytes for either value of u.
    let state = opened
    for (let i = 0; i < t; i++) store<u8>(opened + i, load<u8>(opened + i) ^ load<u8>(rows + i))
    rows += t
    opened += t
    for (let j = 1; j < t; j++) {
      const length = t - j
      const u = load<u8>(state)
      for (let i = 0; i < length; i++) {
        const zero = load<u8>(rows + i) ^ load<u8>(opened + i)
        const one = load<u8>(rows + length + i) ^ load<u8>(opened + length + i)
        store<u8>(opened + i, zero ^ (u & (zero ^ one)) ^ load<u8>(state + 1 + i))
      }
      state = opened
      rows += 2 * length
      opened += 2 * length
    }
    store<u8>(beta + g, load<u8>(state))
  }
}
