// Packing of n-bit words: a contiguous little-endian bit stream, word i in bits [i·bits, (i+1)·bits), the last byte
// filled up with zeros. No alignment is asked of the packed side.
//
// The loops are do-while: V8 sinks loop-invariant vectors (masks, swizzles) into the body of a `for` loop, which lies
// behind its test, and makes them anew in every step; the body of a do-while is the loop header, which they stay before.

/** The words from `src` on, bit by bit position; any width, and the end of every stream. */
function packRest(src: usize, count: i32, bits: i32, dst: usize): void {
  const mask: u64 = ((<u64>1) << bits) - 1
  let pending: u64 = 0, fill = 0
  for (const end = src + (<usize>count << 2); src < end; src += 4) {
    pending |= (<u64>load<u32>(src) & mask) << fill
    fill += bits
    if (fill >= 32) {
      store<u32>(dst, <u32>pending)
      dst += 4
      pending >>= 32
      fill -= 32
    }
  }
  for (; fill > 0; fill -= 8, pending >>= 8) store<u8>(dst++, <u8>pending)
}

function unpackRest(src: usize, count: i32, bits: i32, dst: usize): void {
  const mask: u64 = ((<u64>1) << bits) - 1
  let pending: u64 = 0, fill = 0
  for (const end = dst + (<usize>count << 2); dst < end; dst += 4) {
    while (fill < bits) {
      pending |= <u64>load<u8>(src++) << fill
      fill += 8
    }
    store<u32>(dst, <u32>(pending & mask))
    pending >>= bits
    fill -= bits
  }
}

// @ts-ignore: decorator
@inline
function copy(src: usize, dst: usize, bytes: usize): void {
  if (src != dst) memory.copy(dst, src, bytes)
}

/** 16 words to 16 bytes. */
// @ts-ignore: decorator
@inline
function pack8(src: usize, dst: usize): void {
  const a = i8x16.shuffle(v128.load(src), v128.load(src, 16), 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28)
  const b = i8x16.shuffle(v128.load(src, 32), v128.load(src, 48), 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28)
  v128.store(dst, v128.shuffle<u64>(a, b, 0, 2))
}

/** 16 words to 32 bytes. */
// @ts-ignore: decorator
@inline
function pack16(src: usize, dst: usize): void {
  v128.store(dst, v128.shuffle<u16>(v128.load(src), v128.load(src, 16), 0, 2, 4, 6, 8, 10, 12, 14))
  v128.store(dst, v128.shuffle<u16>(v128.load(src, 32), v128.load(src, 48), 0, 2, 4, 6, 8, 10, 12, 14), 16)
}

/** 16 words to 48 bytes. */
// @ts-ignore: decorator
@inline
function pack24(src: usize, dst: usize): void {
  const a = v128.load(src), b = v128.load(src, 16), c = v128.load(src, 32), d = v128.load(src, 48)
  v128.store(dst, i8x16.shuffle(a, b, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20))
  v128.store(dst, i8x16.shuffle(b, c, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22, 24, 25), 16)
  v128.store(dst, i8x16.shuffle(c, d, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22, 24, 25, 26, 28, 29, 30), 32)
}

/** 16 bytes to 16 words. */
// @ts-ignore: decorator
@inline
function unpack8(src: usize, dst: usize): void {
  const v = v128.load(src)
  const low = i16x8.extend_low_i8x16_u(v), high = i16x8.extend_high_i8x16_u(v)
  v128.store(dst, i32x4.extend_low_i16x8_u(low))
  v128.store(dst, i32x4.extend_high_i16x8_u(low), 16)
  v128.store(dst, i32x4.extend_low_i16x8_u(high), 32)
  v128.store(dst, i32x4.extend_high_i16x8_u(high), 48)
}

// @ts-ignore: decorator
@inline
function unpack16(src: usize, dst: usize): void {
  const a = v128.load(src), b = v128.load(src, 16)
  v128.store(dst, i32x4.extend_low_i16x8_u(a))
  v128.store(dst, i32x4.extend_high_i16x8_u(a), 16)
  v128.store(dst, i32x4.extend_low_i16x8_u(b), 32)
  v128.store(dst, i32x4.extend_high_i16x8_u(b), 48)
}

/** Whole bytes per word: 16 words per step. Returns the words done. */
function packBytes(src: usize, count: i32, bytes: i32, dst: usize): i32 {
  let i = 0
  if (bytes == 1) for (; i + 16 <= count; i += 16, src += 64, dst += 16) pack8(src, dst)
  else if (bytes == 2) for (; i + 16 <= count; i += 16, src += 64, dst += 32) pack16(src, dst)
  else for (; i + 16 <= count; i += 16, src += 64, dst += 48) pack24(src, dst)
  return i
}

function unpackBytes(src: usize, count: i32, bytes: i32, dst: usize): i32 {
  let i = 0
  if (bytes == 1) for (; i + 16 <= count; i += 16, src += 16, dst += 64) unpack8(src, dst)
  else for (; i + 16 <= count; i += 16, src += 32, dst += 64) unpack16(src, dst)
  return i
}

/** Two words beside each other in each 64-bit lane: low | high << bits. */
// @ts-ignore: decorator
@inline
function joinPairs(v: v128, mask: v128, bits: i32): v128 {
  v = v128.and(v, mask)
  return v128.or(v128.and(v, i64x2.splat(0xffffffff)), i64x2.shl(i64x2.shr_u(v, 32), bits))
}

/** bits <= 16: eight words become one 128-bit value, stored whole; the next step overwrites what is too much. */
function packNarrow(src: usize, count: i32, bits: i32, dst: usize): i32 {
  const mask = i32x4.splat((1 << bits) - 1)
  const pair = bits << 1, half = bits << 2
  const last = count - max(8, (127 + bits) / bits) // from here on 16 bytes could reach beyond the end
  if (last < 0) return 0
  let i = 0
  do {
    const a = joinPairs(v128.load(src), mask, bits), b = joinPairs(v128.load(src, 16), mask, bits)
    const low: u64 = i64x2.extract_lane(a, 0) | i64x2.extract_lane(a, 1) << pair
    const high: u64 = i64x2.extract_lane(b, 0) | i64x2.extract_lane(b, 1) << pair
    store<u64>(dst, low | high << half)
    store<u64>(dst, high >> (64 - half), 8)
    i += 8
    src += 32
    dst += bits
  } while (i <= last)
  return i
}

/** 17 <= bits <= 31: four words are 4·bits of 128 bits; an odd width leaves half a byte to the four words after. */
function packWide(src: usize, count: i32, bits: i32, dst: usize): i32 {
  const mask = i32x4.splat((1 << bits) - 1)
  const pair = bits << 1, over = 64 - pair, nibble = (bits & 1) << 2
  const second = <usize>((bits << 2) - nibble) >> 3
  const last = count - (255 + bits) / bits
  if (last < 0) return 0
  let i = 0
  do {
    const a = joinPairs(v128.load(src), mask, bits), b = joinPairs(v128.load(src, 16), mask, bits)
    const a0: u64 = i64x2.extract_lane(a, 0), a1: u64 = i64x2.extract_lane(a, 1)
    const b0: u64 = i64x2.extract_lane(b, 0), b1: u64 = i64x2.extract_lane(b, 1)
    store<u64>(dst, a0 | a1 << pair)
    const top = a1 >> over
    store<u64>(dst, top, 8)
    const low = b0 | b1 << pair, high = b1 >> over
    if (nibble) {
      // bits 4·bits - 4 … 4·bits of the first half: the half byte that both halves share
      store<u64>(dst + second, low << 4 | a1 >> (pair - 4))
      store<u64>(dst + second, high << 4 | low >> 60, 8)
    } else {
      store<u64>(dst + second, low)
      store<u64>(dst + second, high, 8)
    }
    i += 8
    src += 32
    dst += bits
  } while (i <= last)
  return i
}

/** Each word lies inside eight bytes: one unaligned load, shift and mask per word, eight words per `bits` bytes. */
function unpackEight(src: usize, count: i32, bits: i32, dst: usize): i32 {
  const mask: u64 = ((<u64>1) << bits) - 1
  const last = count - 8 - (63 + bits) / bits
  if (last < 0) return 0
  let i = 0
  do {
    store<u32>(dst, <u32>(load<u64>(src) & mask))
    for (let j = 1; j < 8; j++) {
      const at = j * bits
      store<u32>(dst + (j << 2), <u32>(load<u64>(src + (at >> 3)) >> (at & 7) & mask))
    }
    i += 8
    src += bits
    dst += 32
  } while (i <= last)
  return i
}

/** Byte numbers of the four bytes that hold words `first` … `first` + 3, counted from the byte where `first` begins. */
// @ts-ignore: decorator
@inline
function windows(first: i32, bits: i32): v128 {
  const start = first * bits & ~7
  const step = 0x01010101
  let v = i32x4.splat(0x03020100)
  v = i32x4.replace_lane(v, 1, 0x03020100 + step * (((first + 1) * bits - start) >> 3))
  v = i32x4.replace_lane(v, 2, 0x03020100 + step * (((first + 2) * bits - start) >> 3))
  return i32x4.replace_lane(v, 3, 0x03020100 + step * (((first + 3) * bits - start) >> 3))
}

/** Powers of two that move each word of its window to the top, where no lane-wise shift exists. */
// @ts-ignore: decorator
@inline
function lifts(first: i32, bits: i32): v128 {
  const top = 32 - bits
  let v = i32x4.splat(1 << (top - (first * bits & 7)))
  v = i32x4.replace_lane(v, 1, 1 << (top - ((first + 1) * bits & 7)))
  v = i32x4.replace_lane(v, 2, 1 << (top - ((first + 2) * bits & 7)))
  return i32x4.replace_lane(v, 3, 1 << (top - ((first + 3) * bits & 7)))
}

/** bits <= 25: each word lies inside four bytes; a swizzle fetches them, a product lifts, one shift drops the rest. */
function unpackLanes(src: usize, count: i32, bits: i32, dst: usize): i32 {
  const near = windows(0, bits), far = windows(4, bits)
  const lift = lifts(0, bits), farLift = lifts(4, bits)
  const middle = <usize>bits >> 1, drop = 32 - bits
  const last = count - 4 - (127 + bits) / bits // from here on 16 bytes could reach beyond the end
  if (last < 0) return 0
  let i = 0
  do {
    v128.store(dst, i32x4.shr_u(i32x4.mul(i8x16.swizzle(v128.load(src), near), lift), drop))
    v128.store(dst, i32x4.shr_u(i32x4.mul(i8x16.swizzle(v128.load(src + middle), far), farLift), drop), 16)
    i += 8
    src += bits
    dst += 32
  } while (i <= last)
  return i
}

/** `count` words mod 2^bits, 1 <= bits <= 32, into ⌈count·bits/8⌉ bytes. dst may be src (packing never overtakes). */
export function packBits(src: usize, count: i32, bits: i32, dst: usize): void {
  if (bits == 32) {
    copy(src, dst, <usize>count << 2)
    return
  }
  let done = 0
  if (ASC_FEATURE_SIMD) {
    if (bits == 8 || bits == 16 || bits == 24) done = packBytes(src, count, bits >> 3, dst)
    else if (bits <= 16) done = packNarrow(src, count, bits, dst)
    else done = packWide(src, count, bits, dst)
  }
  packRest(src + (<usize>done << 2), count - done, bits, dst + (<usize>done >> 3) * <usize>bits)
}

/** The inverse: reads ⌈count·bits/8⌉ bytes, writes `count` words below 2^bits. dst is disjoint from src. */
export function unpackBits(src: usize, count: i32, bits: i32, dst: usize): void {
  if (bits == 32) {
    copy(src, dst, <usize>count << 2)
    return
  }
  let done = 0
  if (ASC_FEATURE_SIMD) {
    if (bits == 8 || bits == 16) done = unpackBytes(src, count, bits >> 3, dst)
    else if (bits <= 25) done = unpackLanes(src, count, bits, dst)
    else done = unpackEight(src, count, bits, dst)
  } else done = unpackEight(src, count, bits, dst)
  unpackRest(src + (<usize>done >> 3) * <usize>bits, count - done, bits, dst + (<usize>done << 2))
}
