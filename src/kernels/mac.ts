// Typed calls of the MAC kernels: one-time tags and keys of what the client replies (assembly/mcc/mac.ts). Keys and lifted
// words are u64, of which the plan's N bits count; tags are whole bytes of a stream; what is dealt and opened is u32.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from './guard.js'
import type { Kernels, Region } from './instance.js'

/** The client's summand m' of r and its halves of ω and μ: u32, each below its own modulus. */
export interface KnownAddend {
  known: Region
  omega: Region
  mu: Region
}

/** The client's halves of a switched value's words. */
export interface KnownSelect extends KnownAddend {
  rho: Region
  p: Region
  q: Region
}

/** How many bytes apart tags lie, 1 to 8: those of ρ, w_0 and w_2, and those that count times 2^bits. Keys are `LONG`. */
export interface TagBytes {
  readonly wide: number
  readonly narrow: number
}

/** u64 words. */
export const LONG: TagBytes = { wide: 8, narrow: 8 }

/** Bytes that `count` tags take when `bytes` apart: eight are read of each, so that the last needs room behind it. */
export const tagBytes = (count: number, bytes: number): number => (count === 0 ? 0 : (count - 1) * bytes + 8)

/** Tags M or keys K of a switched value: of ρ, of w_0, of Q, of w_2 and of μ - Q. */
export interface SelectTags {
  rho: Region
  w0: Region
  q: Region
  w2: Region
  muQ: Region
}

/** Tags or keys of a passed value: of w_0 and of μ. */
export interface PassedTags {
  w0: Region
  mu: Region
}

type Words = Readonly<Record<string, Region>>

/** Words that a call reads (u32, u64, tags), flags, and what it writes: outputs lie apart from all else. */
interface Operands {
  readonly words: Words
  readonly long: Words
  readonly tags?: readonly Tag[]
  readonly outs: Words
  readonly beta?: Region
}

interface Tag {
  readonly name: string
  readonly region: Region
  readonly bytes: number
}

function expectCall(call: string, count: number, bits: number, { words, long, tags, outs, beta }: Operands): void {
  expectInteger(call, 'count', count, 0, 2 ** 28)
  expectInteger(call, 'bits', bits, 2, 32)
  const flags = (count + 7) >> 3
  if (beta) expectWords(call, 'beta', beta, flags, 1)
  for (const [name, region] of Object.entries(words)) expectWords(call, name, region, count, 4)
  for (const [name, region] of Object.entries(long)) expectWords(call, name, region, count, 8)
  for (const { name, region, bytes } of tags ?? []) {
    expectInteger(call, `bytes of ${name}`, bytes, 1, 8)
    expectWords(call, name, region, tagBytes(count, bytes), 1)
  }
  const written = Object.entries(outs)
  written.forEach(([name, out], i) => {
    expectWords(call, name, out, count, 8)
    if (beta) expectDisjoint(call, out, count * 8, beta, flags)
    for (const input of Object.values(words)) expectDisjoint(call, out, count * 8, input, count * 4)
    for (const input of Object.values(long)) expectSameOrDisjoint(call, out, input, count * 8)
    for (const { region, bytes } of tags ?? []) expectDisjoint(call, out, count * 8, region, tagBytes(count, bytes))
    for (const [, other] of written.slice(0, i)) expectDisjoint(call, out, count * 8, other, count * 8)
  })
}

/** One u64 word that a call adds to, apart from all it reads. */
function expectSum(call: string, count: number, sum: Region, operands: Omit<Operands, 'outs'>): void {
  const { words, long, tags, beta } = operands
  expectWords(call, 'sum', sum, 1, 8)
  if (beta) expectDisjoint(call, sum, 8, beta, (count + 7) >> 3)
  for (const input of Object.values(words)) expectDisjoint(call, sum, 8, input, count * 4)
  for (const input of Object.values(long)) expectDisjoint(call, sum, 8, input, count * 8)
  for (const { region, bytes } of tags ?? []) expectDisjoint(call, sum, 8, region, tagBytes(count, bytes))
}

const keysOf = (keys: SelectTags | PassedTags): Words =>
  Object.fromEntries(Object.entries(keys).map(([name, region]) => [`key of ${name}`, region]))

const HIGH: readonly string[] = ['q', 'mu', 'muQ']

const tagsOf = (tags: SelectTags | PassedTags, { wide, narrow }: TagBytes): Tag[] =>
  Object.entries(tags).map(([name, region]) => {
    return { name: `tag of ${name}`, region, bytes: HIGH.includes(name) ? narrow : wide }
  })

/** Keys lie apart from all they are made of. */
function expectKeysApart(call: string, count: number, inputs: readonly Region[], tags: SelectTags | PassedTags): void {
  for (const out of Object.values(tags) as Region[]) {
    for (const input of inputs) expectDisjoint(call, out, count * 8, input, count * 8)
  }
}

/** Helper: keys K = M - α·word of switched values from their tags; `next`: the lifted mask of the result. */
export function macKeys(
  k: Kernels,
  count: number,
  bits: number,
  { alpha, next, rho, p, q, known, omega, mu }: KnownSelect & { alpha: Region; next: Region },
  tags: SelectTags,
  bytes: TagBytes,
  keys: SelectTags,
): void {
  const words = { rho, p, q, known, omega, mu }
  expectCall('macKeys', count, bits, { words, long: {}, tags: tagsOf(tags, bytes), outs: keysOf(keys) })
  expectCall('macKeys', count, bits, { words: {}, long: { alpha, next }, outs: {} })
  expectKeysApart('macKeys', count, [alpha, next], keys)
  k.raw.mccMacKeys(
    count,
    bits,
    alpha.ptr,
    rho.ptr,
    p.ptr,
    q.ptr,
    known.ptr,
    omega.ptr,
    mu.ptr,
    next.ptr,
    bytes.wide,
    bytes.narrow,
    tags.rho.ptr,
    tags.w0.ptr,
    tags.q.ptr,
    tags.w2.ptr,
    tags.muQ.ptr,
    keys.rho.ptr,
    keys.w0.ptr,
    keys.q.ptr,
    keys.w2.ptr,
    keys.muQ.ptr,
  )
}

/** Client: its share of b·y' less `next`, lifted, of every switched value. `beta`: one bit per value; `out` may be `next`. */
export function liftSelect(
  k: Kernels,
  count: number,
  bits: number,
  { e, beta, next, out, rho, p, q, known, omega, mu }: KnownSelect & Record<'e' | 'beta' | 'next' | 'out', Region>,
): void {
  const words = { e, rho, p, q, known, omega, mu }
  expectCall('liftSelect', count, bits, { words, long: { next }, outs: { out }, beta })
  k.raw.mccLiftSelect(
    e.ptr,
    count,
    bits,
    beta.ptr,
    rho.ptr,
    p.ptr,
    q.ptr,
    known.ptr,
    omega.ptr,
    mu.ptr,
    next.ptr,
    out.ptr,
  )
}

/** Adds the signed tag of all switched values (from tags) or what it should be (from keys) to one u64 word. */
export function macSelect(
  k: Kernels,
  count: number,
  bits: number,
  { e, beta }: { e: Region; beta: Region },
  tags: SelectTags,
  bytes: TagBytes,
  sign: 1 | -1,
  sum: Region,
): void {
  const operands = { words: { e }, long: {}, tags: tagsOf(tags, bytes), beta }
  expectCall('macSelect', count, bits, { ...operands, outs: {} })
  expectSum('macSelect', count, sum, operands)
  k.raw.mccMacSelect(
    e.ptr,
    count,
    bits,
    beta.ptr,
    bytes.wide,
    bytes.narrow,
    tags.rho.ptr,
    tags.w0.ptr,
    tags.q.ptr,
    tags.w2.ptr,
    tags.muQ.ptr,
    sign,
    sum.ptr,
  )
}

/** Helper: `macKeys` of passed values. */
export function macPassedKeys(
  k: Kernels,
  count: number,
  bits: number,
  { alpha, next, known, omega, mu }: KnownAddend & { alpha: Region; next: Region },
  tags: PassedTags,
  bytes: TagBytes,
  keys: PassedTags,
): void {
  const words = { known, omega, mu }
  expectCall('macPassedKeys', count, bits, { words, long: {}, tags: tagsOf(tags, bytes), outs: keysOf(keys) })
  expectCall('macPassedKeys', count, bits, { words: {}, long: { alpha, next }, outs: {} })
  expectKeysApart('macPassedKeys', count, [alpha, next], keys)
  k.raw.mccMacPassedKeys(
    count,
    bits,
    alpha.ptr,
    known.ptr,
    omega.ptr,
    mu.ptr,
    next.ptr,
    bytes.wide,
    bytes.narrow,
    tags.w0.ptr,
    tags.mu.ptr,
    keys.w0.ptr,
    keys.mu.ptr,
  )
}

/** Client: `liftSelect` of passed values. */
export function liftPassed(
  k: Kernels,
  count: number,
  bits: number,
  { e, next, out, known, omega, mu }: KnownAddend & Record<'e' | 'next' | 'out', Region>,
): void {
  expectCall('liftPassed', count, bits, { words: { e, known, omega, mu }, long: { next }, outs: { out } })
  k.raw.mccLiftPassed(e.ptr, count, bits, known.ptr, omega.ptr, mu.ptr, next.ptr, out.ptr)
}

/** `macSelect` of passed values. */
export function macPassed(
  k: Kernels,
  count: number,
  bits: number,
  e: Region,
  tags: PassedTags,
  bytes: TagBytes,
  sign: 1 | -1,
  sum: Region,
): void {
  const operands = { words: { e }, long: {}, tags: tagsOf(tags, bytes) }
  expectCall('macPassed', count, bits, { ...operands, outs: {} })
  expectSum('macPassed', count, sum, operands)
  k.raw.mccMacPassed(e.ptr, count, bits, bytes.wide, bytes.narrow, tags.w0.ptr, tags.mu.ptr, sign, sum.ptr)
}

/** Adds Σ α·words to one u64 word. */
export function macDot(k: Kernels, count: number, alpha: Region, words: Region, sum: Region): void {
  expectInteger('macDot', 'count', count, 0, 2 ** 28)
  expectWords('macDot', 'alpha', alpha, count, 8)
  expectWords('macDot', 'words', words, count, 8)
  expectSum('macDot', count, sum, { words: {}, long: { alpha, words } })
  k.raw.mccMacDot(alpha.ptr, words.ptr, count, sum.ptr)
}

/** Σ a·b mod 2^32 of u32 words. */
export function dot32(k: Kernels, count: number, a: Region, b: Region): number {
  expectInteger('dot32', 'count', count, 0, 2 ** 28)
  expectWords('dot32', 'a', a, count, 4)
  expectWords('dot32', 'b', b, count, 4)
  return k.raw.mccDot32(a.ptr, b.ptr, count) >>> 0
}

/** sums[j] += Σ words[i] mod 2^32 over the i whose u32 flags have bit j, for j < vectors. */
export function subsetSums(
  k: Kernels,
  count: number,
  vectors: number,
  flags: Region,
  words: Region,
  sums: Region,
): void {
  expectInteger('subsetSums', 'count', count, 0, 2 ** 28)
  expectInteger('subsetSums', 'vectors', vectors, 1, 32)
  expectWords('subsetSums', 'flags', flags, count, 4)
  expectWords('subsetSums', 'words', words, count, 4)
  expectWords('subsetSums', 'sums', sums, vectors, 4)
  for (const input of [flags, words]) expectDisjoint('subsetSums', sums, vectors * 4, input, count * 4)
  k.raw.mccSubsetSums(flags.ptr, words.ptr, count, vectors, sums.ptr)
}
