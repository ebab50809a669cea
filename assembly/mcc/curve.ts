// Functions of an opened value by segment tables (docs/protocol.md, "Curves"), in u64 words of which the lowest N = n + f bits
// count.
//
// A value's table has an entry for each of the 2^k top parts of E, and an entry the `words` coefficients of a polynomial in E,
// constant first: entry after entry, value after value.

/**
 * Corrections of the words of `count` tables, in place of the client's halves.
 * @param r below 2^bits
 * @param segments `words` coefficients of a polynomial in y for each of 2^k segments
 * @param scratch two tables
 */
export function mccDealCurve(
  r: usize, count: i32, bits: i32, k: i32, words: i32, segments: usize, tables: usize, scratch: usize,
): void {
  const entries = 1 << k
  const low = bits - k
  const bytes = <usize>(entries * words) << 3
  const half = <i64>1 << (bits - 1)
  for (let i = 0; i < count; i++) {
    const mask = <u64>load<u32>(r + (<usize>i << 2))
    const top = <i32>(mask >> low)
    const from = rotated(segments, top, k, words, scratch)
    const to = tables + <usize>i * bytes
    for (let e = 0; e < entries; e++) {
      const wraps = <u64>((e + top) >> k)
      const b = mask - (wraps << bits) - half
      const at = <usize>(e * words) << 3
      const c0 = load<u64>(from + at)
      const c1 = load<u64>(from + at + 8)
      const c2 = words > 2 ? load<u64>(from + at + 16) : 0
      correct(c0 + (c1 + c2 * b) * b, to + at)
      correct(c1 + 2 * c2 * b, to + at + 8)
      if (words > 2) correct(c2, to + at + 16)
    }
  }
}

/** The segments from number `by` on: a barrel shifter, whose steps are the same whatever `by` is. */
function rotated(segments: usize, by: i32, k: i32, words: i32, scratch: usize): usize {
  const length = words << k
  let from = segments
  let to = scratch
  for (let p = 0; p < k; p++) {
    const moved = -(<i64>((by >> p) & 1))
    let ahead = words << p
    for (let w = 0; w < length; w++) {
      const here = load<i64>(from + (<usize>w << 3))
      const there = load<i64>(from + (<usize>ahead << 3))
      store<i64>(to + (<usize>w << 3), here ^ ((here ^ there) & moved))
      if (++ahead == length) ahead = 0
    }
    from = to
    to = from == scratch ? scratch + (<usize>length << 3) : scratch
  }
  return from
}

// @ts-ignore: decorator
@inline
function correct(value: u64, word: usize): void {
  store<u64>(word, value - load<u64>(word))
}

/**
 * One party's share of every value's polynomial, f bits shorter, moved to the next mask: out = (share >> f) ± other.
 * @param e opened values below 2^bits
 * @param server 1 at the server, which adds the public 2^f - 1, else 0
 * @param sign 1: plus other (server: what the client sent); -1: minus other (client: its next mask)
 */
export function mccCurve(
  e: usize, tables: usize, count: i32, bits: i32, k: i32, words: i32, width: i32, f: i32,
  server: i32, sign: i32, other: usize, out: usize,
): void {
  const mask: u32 = (1 << bits) - 1
  const half: u32 = 1 << (bits - 1)
  const centre = <u64>server * (((<u64>1) << f) - 1)
  const unused = 64 - width
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const opened = (load<u32>(e + at) + half) & mask
    const entry = (i << k) + <i32>(opened >> (bits - k))
    const word = tables + ((<usize>entry * <usize>words) << 3)
    const x = <u64>opened
    let z = load<u64>(word) + x * load<u64>(word + 8) + centre
    if (words > 2) z += x * x * load<u64>(word + 16)
    const share = <u32>(((z << unused) >> unused) >> f)
    store<u32>(out + at, share + load<u32>(other + at) * sign)
  }
}
