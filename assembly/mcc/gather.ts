// Public index maps: which element feeds which comparison. Used where a layer mixes plain, block, passed and zero
// elements; a plain ReLU layer needs none of them.

/** out[i] = values[index[i]]. */
export function gather32(values: usize, index: usize, count: i32, out: usize): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    store<u32>(out + at, load<u32>(values + (<usize>load<u32>(index + at) << 2)))
  }
}

/** out[index[i]] = values[i]. */
export function scatter32(values: usize, index: usize, count: i32, out: usize): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    store<u32>(out + (<usize>load<u32>(index + at) << 2), load<u32>(values + at))
  }
}

/** Bit i of out = bit index[i] of `bits`; whole bytes of out are written. */
export function gatherBits(bits: usize, index: usize, count: i32, out: usize): void {
  for (let i = 0; i < count; i += 8) {
    let byte: u32 = 0
    const end = min(8, count - i)
    for (let l = 0; l < end; l++) {
      const at = load<u32>(index + (<usize>(i + l) << 2))
      byte |= (((<u32>load<u8>(bits + (at >> 3))) >> (at & 7)) & 1) << l
    }
    store<u8>(out + (i >> 3), <u8>byte)
  }
}

/** out[p] = (Σ values[elements[start[p]] … elements[start[p+1] - 1]]) >> (shift + shifts[p]), sums mod 2^32. */
export function patchSums(
  values: usize, start: usize, elements: usize, shifts: usize, shift: i32, count: i32, out: usize,
): void {
  for (let p = 0; p < count; p++) {
    const at = <usize>p << 2
    const end = load<u32>(start + at, 4)
    let sum: u32 = 0
    for (let i = load<u32>(start + at); i < end; i++) {
      sum += load<u32>(values + (<usize>load<u32>(elements + (<usize>i << 2)) << 2))
    }
    store<u32>(out + at, sum >> (shift + <i32>load<u8>(shifts + p)))
  }
}

/** u64 words to their low and high halves. */
export function split64(words: usize, count: i32, low: usize, high: usize): void {
  for (let i: usize = 0, end = <usize>count << 2; i < end; i += 4) {
    store<u32>(low + i, load<u32>(words + (i << 1)))
    store<u32>(high + i, load<u32>(words + (i << 1), 4))
  }
}

/** The inverse of `split64`. */
export function join64(low: usize, high: usize, count: i32, words: usize): void {
  for (let i: usize = 0, end = <usize>count << 2; i < end; i += 4) {
    store<u32>(words + (i << 1), load<u32>(low + i))
    store<u32>(words + (i << 1), load<u32>(high + i), 4)
  }
}
