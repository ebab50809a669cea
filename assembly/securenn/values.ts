// Shares of a layer's values on their way into and out of comparisons: truncation, and public index maps where a layer
// mixes plain, block, passed and zero elements.

/**
 * out = y >> f, each party alone (SecureML, section 4.1): the client shifts its share, the server the negative of its
 * own. Right to one unit unless |y| comes near 2^63.
 */
export function snnTruncate(y: usize, n: i32, f: i32, party: i32, out: usize): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    const share = load<i64>(y + i)
    store<i64>(out + i, party == 0 ? share >> f : -(-share >> f))
  }
}

/** out[i] = values[index[i]]. */
export function gather64(values: usize, index: usize, count: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u64>(out + (i << 3), load<u64>(values + (<usize>load<u32>(index + (i << 2)) << 3)))
  }
}

/** out[index[i]] = values[i]. */
export function scatter64(values: usize, index: usize, count: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u64>(out + (<usize>load<u32>(index + (i << 2)) << 3), load<u64>(values + (i << 3)))
  }
}

/**
 * out[p] = (Σ values[elements[start[p]] … elements[start[p+1] - 1]]) >> min(shifts[p], most): shares of a patch's sum, or
 * about of its mean where the compared window leaves room to drop bits.
 */
export function snnPatchSums(
  values: usize, start: usize, elements: usize, shifts: usize, most: i32, count: i32, out: usize,
): void {
  for (let p: usize = 0; p < <usize>count; p++) {
    const end = load<u32>(start + (p << 2), 4)
    let sum: u64 = 0
    for (let i = load<u32>(start + (p << 2)); i < end; i++) {
      sum += load<u64>(values + (<usize>load<u32>(elements + (<usize>i << 2)) << 3))
    }
    store<u64>(out + (p << 3), sum >> min(<i32>load<u8>(shifts + p), most))
  }
}
