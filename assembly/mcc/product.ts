// Products of two opened values (docs/protocol.md, "Products"), in u64 words of which the lowest N = n + f bits count.
//
// Left factors are `count` values, right factors `broad`, which serve runs of `plane` left ones in turn: element i meets
// right factor (i / plane) mod broad. Left ones come first wherever both lie in one region. The words of a step are ω, μ,
// P = A A', X = μ A', Y = μ' A and Z = μ μ' of every element, then ω' and μ' of every right factor.

/** Corrections of a step's words, in place of the client's halves. `r`: below 2^bits; `a`: a' as its stream gives it. */
export function mccDealProduct(
  r: usize, a: usize, count: i32, broad: i32, plane: i32, bits: i32, words: usize,
): void {
  const low: u32 = (1 << bits) - 1
  const offset: i64 = (<i64>1) << (bits - 2)
  const field = <usize>count << 3
  const right = words + 6 * field
  for (let i = 0; i < broad; i++) {
    const at = <usize>(count + i) << 2
    const to = right + (<usize>i << 3)
    dealWrap(load<u32>(r + at), load<u32>(a + at) & low, bits, to, to + (<usize>broad << 3))
  }
  let run = 0
  let g = 0
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const to = words + (<usize>i << 3)
    const r1 = load<u32>(r + at)
    const r2 = load<u32>(r + (<usize>(count + g) << 2))
    const a1 = <i64>r1 - offset
    const a2 = <i64>r2 - offset
    const mu1 = <i64>(r1 >> (bits - 1))
    const mu2 = <i64>(r2 >> (bits - 1))
    dealWrap(r1, load<u32>(a + at) & low, bits, to, to + field)
    correct(a1 * a2, to + 2 * field)
    correct(a2 & -mu1, to + 3 * field)
    correct(a1 & -mu2, to + 4 * field)
    correct(mu1 & mu2, to + 5 * field)
    if (++run == plane) {
      run = 0
      if (++g == broad) g = 0
    }
  }
}

/** The value's other share takes the half's place. */
// @ts-ignore: decorator
@inline
function correct(value: i64, word: usize): void {
  store<u64>(word, <u64>value - load<u64>(word))
}

// @ts-ignore: decorator
@inline
function dealWrap(r: u32, a: u32, bits: i32, omega: usize, mu: usize): void {
  correct(<i64>(r < a), omega)
  correct(<i64>(r >> (bits - 1)), mu)
}

/** ẽ: E = (e + 2^(bits-2)) mod 2^bits, read signed. */
// @ts-ignore: decorator
@inline
function signedOf(e: u32, bits: i32): i64 {
  const up = 32 - bits
  return <i64>(<i32>((e + (1 << (bits - 2))) << up) >> up)
}

/** One party's share of A_j: what it knows of r, less 2^bits (ω + (1 - j) μ). `j`: all ones where E reads negative. */
// @ts-ignore: decorator
@inline
function addendOf(known: i64, omega: u64, mu: u64, j: u64, bits: i32): u64 {
  return <u64>known - ((omega + (mu & ~j)) << bits)
}

/**
 * One party's share of the product of every element, f bits shorter, moved to the next mask: out = (share >> f) ± other.
 * @param e opened values; @param known m (client) or a' (server), of which the low `bits` bits count
 * @param server 1 at the server, which adds the public ẽ ẽ' + 2^f - 1 and takes offsets off, else 0
 * @param sign 1: plus other (server: what the client sent); -1: minus other (client: its next mask)
 */
export function mccProduct(
  e: usize, known: usize, words: usize, count: i32, broad: i32, plane: i32, bits: i32, width: i32, f: i32,
  server: i32, sign: i32, other: usize, out: usize,
): void {
  const low: u32 = (1 << bits) - 1
  const offset = <i64>server << (bits - 2)
  const one = <i64>server
  const centre = one * (((<i64>1) << f) - 1)
  const unused = 64 - width
  const field = <usize>count << 3
  const right = words + 6 * field
  let run = 0
  let g = 0
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const word = words + (<usize>i << 3)
    const at2 = <usize>(count + g) << 2
    const word2 = right + (<usize>g << 3)
    const e1 = signedOf(load<u32>(e + at), bits)
    const e2 = signedOf(load<u32>(e + at2), bits)
    const j1 = <u64>(e1 >> 63)
    const j2 = <u64>(e2 >> 63)
    const a1 = addendOf(<i64>(load<u32>(known + at) & low) - offset, load<u64>(word), load<u64>(word + field), j1, bits)
    const k2 = <i64>(load<u32>(known + at2) & low) - offset
    const a2 = addendOf(k2, load<u64>(word2), load<u64>(word2 + (<usize>broad << 3)), j2, bits)
    const once = (load<u64>(word + 3 * field) & ~j1) + (load<u64>(word + 4 * field) & ~j2)
    const both = load<u64>(word + 5 * field) & ~(j1 | j2)
    const aa = load<u64>(word + 2 * field) - (once << bits) + (both << (2 * bits))
    const z = <u64>(e1 * e2 * one + centre) + <u64>e1 * a2 + <u64>e2 * a1 + aa
    const share = <u32>(((z << unused) >> unused) >> f)
    store<u32>(out + at, share + load<u32>(other + at) * sign)
    if (++run == plane) {
      run = 0
      if (++g == broad) g = 0
    }
  }
}
