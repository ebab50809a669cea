// Elementwise kernels over u32 and u64 lanes. `out` may be an input (in place) or disjoint from both; n counts words.
// Each is one pass at memory speed beyond the cache, so four vectors per step are all the unrolling that pays.

// @ts-ignore: decorator
@lazy const ADD: i32 = 0
// @ts-ignore: decorator
@lazy const SUB: i32 = 1
// @ts-ignore: decorator
@lazy const MUL: i32 = 2
// @ts-ignore: decorator
@lazy const SHL: i32 = 3
// @ts-ignore: decorator
@lazy const SHR: i32 = 4
// @ts-ignore: decorator
@lazy const AND: i32 = 5

// @ts-ignore: decorator
@inline
function one<T>(op: i32, x: T, y: T): T {
  if (op == ADD) return <T>(x + y)
  if (op == SUB) return <T>(x - y)
  if (op == MUL) return <T>(x * y)
  if (op == SHL) return <T>(x << y)
  if (op == SHR) return <T>(x >> y)
  return <T>(x & y)
}

// @ts-ignore: decorator
@inline
function lanes<T>(op: i32, x: v128, y: v128): v128 {
  if (op == ADD) return v128.add<T>(x, y)
  if (op == SUB) return v128.sub<T>(x, y)
  if (op == MUL) return v128.mul<T>(x, y)
  return v128.and(x, y)
}

/** out[i] = a[i] op b[i] */
// @ts-ignore: decorator
@inline
function pairwise<T>(op: i32, a: usize, b: usize, out: usize, n: i32): void {
  const end = out + (<usize>n << alignof<T>())
  if (ASC_FEATURE_SIMD) {
    for (; out + 64 <= end; a += 64, b += 64, out += 64) {
      v128.store(out, lanes<T>(op, v128.load(a), v128.load(b)))
      v128.store(out, lanes<T>(op, v128.load(a, 16), v128.load(b, 16)), 16)
      v128.store(out, lanes<T>(op, v128.load(a, 32), v128.load(b, 32)), 32)
      v128.store(out, lanes<T>(op, v128.load(a, 48), v128.load(b, 48)), 48)
    }
  }
  for (; out < end; a += sizeof<T>(), b += sizeof<T>(), out += sizeof<T>()) {
    store<T>(out, one<T>(op, load<T>(a), load<T>(b)))
  }
}

// @ts-ignore: decorator
@inline
function lanesBy<T>(op: i32, x: v128, y: v128, shift: i32): v128 {
  if (op == SHL) return v128.shl<T>(x, shift)
  if (op == SHR) return v128.shr<T>(x, shift)
  return lanes<T>(op, x, y)
}

/** out[i] = x[i] op y */
// @ts-ignore: decorator
@inline
function each<T>(op: i32, x: usize, y: T, out: usize, n: i32): void {
  const end = out + (<usize>n << alignof<T>())
  if (ASC_FEATURE_SIMD) {
    const all = v128.splat<T>(y)
    for (; out + 64 <= end; x += 64, out += 64) {
      v128.store(out, lanesBy<T>(op, v128.load(x), all, <i32>y))
      v128.store(out, lanesBy<T>(op, v128.load(x, 16), all, <i32>y), 16)
      v128.store(out, lanesBy<T>(op, v128.load(x, 32), all, <i32>y), 32)
      v128.store(out, lanesBy<T>(op, v128.load(x, 48), all, <i32>y), 48)
    }
  }
  for (; out < end; x += sizeof<T>(), out += sizeof<T>()) store<T>(out, one<T>(op, load<T>(x), y))
}

export function add32(a: usize, b: usize, out: usize, n: i32): void { pairwise<u32>(ADD, a, b, out, n) }
export function sub32(a: usize, b: usize, out: usize, n: i32): void { pairwise<u32>(SUB, a, b, out, n) }
export function mul32(a: usize, b: usize, out: usize, n: i32): void { pairwise<u32>(MUL, a, b, out, n) }

/** out[i] = x[i] * factor */
export function scale32(x: usize, factor: u32, out: usize, n: i32): void { each<u32>(MUL, x, factor, out, n) }
export function shl32(x: usize, shift: u32, out: usize, n: i32): void { each<u32>(SHL, x, shift, out, n) }
export function shrLogical32(x: usize, shift: u32, out: usize, n: i32): void { each<u32>(SHR, x, shift, out, n) }
export function and32(x: usize, mask: u32, out: usize, n: i32): void { each<u32>(AND, x, mask, out, n) }

export function add64(a: usize, b: usize, out: usize, n: i32): void { pairwise<u64>(ADD, a, b, out, n) }
export function sub64(a: usize, b: usize, out: usize, n: i32): void { pairwise<u64>(SUB, a, b, out, n) }
export function mul64(a: usize, b: usize, out: usize, n: i32): void { pairwise<u64>(MUL, a, b, out, n) }

/** out[i] = x[i] * factor (two words, because a u64 parameter would be a BigInt in JavaScript) */
export function scale64(x: usize, low: u32, high: u32, out: usize, n: i32): void { each<u64>(MUL, x, <u64>high << 32 | low, out, n) }
export function shl64(x: usize, shift: u32, out: usize, n: i32): void { each<u64>(SHL, x, shift, out, n) }
export function shrLogical64(x: usize, shift: u32, out: usize, n: i32): void { each<u64>(SHR, x, shift, out, n) }

