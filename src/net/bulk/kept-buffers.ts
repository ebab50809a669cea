// Buffers of large messages, used again: fresh memory is cleared, touched for the first time, and collected as garbage. What
// they held is not wiped: it crossed the wire, and stays in memory that is collected just as well.

/** Smaller ones are cheaper made anew. */
export const KEPT_FROM = 2 ** 16
/** All that are kept and not in use: a few of the largest pieces that messages travel in. */
const MOST_BYTES = 2 ** 24

/** By size, those used last at the end. */
const kept = new Map<number, ArrayBuffer[]>()
let bytes = 0

/** A buffer of exactly so many bytes; from `KEPT_FROM` on with anything in it. */
export function takeBuffer(size: number): ArrayBuffer {
  const buffer = kept.get(size)?.pop()
  if (!buffer) return new ArrayBuffer(size)
  bytes -= size
  return buffer
}

/** A message was sent or read, and nobody looks at its buffer any more. Given twice it is kept once. */
export function giveBuffer({ buffer }: Uint8Array): void {
  const size = buffer.byteLength
  if (size < KEPT_FROM || size > MOST_BYTES || !(buffer instanceof ArrayBuffer)) return
  const same = kept.get(size) ?? []
  if (same.includes(buffer)) return
  same.push(buffer)
  kept.delete(size)
  kept.set(size, same)
  bytes += size
  for (const [least, buffers] of kept) {
    while (bytes > MOST_BYTES && buffers.pop()) bytes -= least
    if (buffers.length > 0) break
    kept.delete(least)
  }
}
