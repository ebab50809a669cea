// Seeded damage to a file, of the kinds that readers get wrong: flipped bits, cuts, splices, and numbers overwritten
// with the sizes that overflow something.

/** Mulberry32: a small generator whose every run is the same. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const SIZES = [0, 1, 2, 255, 256, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000000]

export type Mutation = (file: Uint8Array, random: () => number) => Uint8Array

const at = (file: Uint8Array, random: () => number) => Math.floor(random() * file.length)

function flipBits(file: Uint8Array, random: () => number): Uint8Array {
  const out = file.slice()
  for (let n = 1 + Math.floor(random() * 4); n > 0; n--) out[at(out, random)] ^= 1 << Math.floor(random() * 8)
  return out
}

function setBytes(file: Uint8Array, random: () => number): Uint8Array {
  const out = file.slice()
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) out[at(out, random)] = Math.floor(random() * 256)
  return out
}

function truncate(file: Uint8Array, random: () => number): Uint8Array {
  return file.slice(0, at(file, random))
}

/** A stretch of the file taken out, doubled, or put somewhere else. */
function splice(file: Uint8Array, random: () => number): Uint8Array {
  const from = at(file, random)
  const piece = file.subarray(from, from + 1 + Math.floor(random() * 40))
  const where = at(file, random)
  const skipped = random() < 0.5 ? piece.length : 0
  const out = new Uint8Array(where + piece.length + Math.max(0, file.length - where - skipped))
  out.set(file.subarray(0, where))
  out.set(piece, where)
  out.set(file.subarray(where + skipped, where + skipped + out.length - where - piece.length), where + piece.length)
  return out
}

/** A number of one, two, four or eight bytes, little endian, that is zero, huge, or just on an edge. */
function overwriteLength(file: Uint8Array, random: () => number): Uint8Array {
  const out = file.slice()
  const width = [1, 2, 4, 8][Math.floor(random() * 4)]
  const start = at(out, random)
  const size = SIZES[Math.floor(random() * SIZES.length)]
  const high = random() < 0.5 ? 0 : SIZES[Math.floor(random() * SIZES.length)]
  for (let i = 0; i < width && start + i < out.length; i++) {
    out[start + i] = ((i < 4 ? size : high) >>> (8 * (i & 3))) & 255
  }
  return out
}

/** A decimal digit replaced, for the formats whose lengths are text. */
function overwriteDigit(file: Uint8Array, random: () => number): Uint8Array {
  const out = file.slice()
  const start = at(out, random)
  for (let i = 0; i < out.length; i++) {
    const place = (start + i) % out.length
    if (out[place] < 0x30 || out[place] > 0x39) continue
    out[place] = 0x30 + Math.floor(random() * 10)
    // Sometimes a long run of nines, where there is room.
    for (let j = 1; random() < 0.6 && j < 12 && out[place + j] === 0x20; j++) out[place + j] = 0x39
    break
  }
  return out
}

export const MUTATIONS: readonly Mutation[] = [
  flipBits,
  setBytes,
  truncate,
  splice,
  overwriteLength,
  overwriteLength,
  overwriteDigit,
]

/** Case number `index` of a file: one to three mutations after each other. */
export function mutated(file: Uint8Array, index: number): Uint8Array {
  const random = seeded(index)
  let out = file
  for (let n = random() < 0.7 ? 1 : 3; n > 0 && out.length > 0; n--) {
    out = MUTATIONS[Math.floor(random() * MUTATIONS.length)](out, random)
  }
  return out
}
