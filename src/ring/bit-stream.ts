// Words of n bits as a little-endian bit stream, in plain JavaScript: for hosts that load no kernels, and as their twin.

/** The low `bits` bits of every word, 1 … 32, one after the other; the last byte is filled up with zeros. */
export function packWords(words: ArrayLike<number>, bits: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil((words.length * bits) / 8))
  for (let i = 0, at = 0; i < words.length; i++) {
    for (let left = bits, word = words[i]; left > 0; ) {
      const shift = at & 7
      const taken = Math.min(8 - shift, left)
      out[at >> 3] |= (word & ((1 << taken) - 1)) << shift
      word >>>= taken
      left -= taken
      at += taken
    }
  }
  return out
}

/** The inverse of `packWords`: `count` words below 2^bits, from at least as many bytes as they take. */
export function unpackWords(bytes: Uint8Array, count: number, bits: number): Uint32Array {
  const out = new Uint32Array(count)
  for (let i = 0, at = 0; i < count; i++) {
    for (let done = 0; done < bits; ) {
      const shift = at & 7
      const taken = Math.min(8 - shift, bits - done)
      out[i] |= ((bytes[at >> 3] >>> shift) & ((1 << taken) - 1)) << done
      done += taken
      at += taken
    }
  }
  return out
}
