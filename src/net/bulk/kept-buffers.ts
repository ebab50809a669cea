// Buffers of large messages, used again: fresh memory is cleared, touched for the first time, and collected as garbage. What
// they held is not wiped: it crossed the wire, and stays in memory that is collected just as well.

/** Smaller ones are cheaper made anew. In Chromium a fresh one of 25 kB takes 125 µs, to make and to fill; in Node it hardly matters. */
export const KEPT_FROM = 2 ** 12
/** The memory of larger ones that are not kept goes back at once. Those that come from a socket are read into kept ones. */
export const BULK_FROM = 2 ** 16
/** All that are kept and not in use: two of the largest pieces that messages travel in. */
const MOST_BYTES = 2 ** 23

/** In front of a payload in its message's buffer (framing.ts says what it holds). */
export const HEADER_BYTES = 8

/** Sizes that are remembered. */
const MOST_SIZES = 1024

/** By size, those used last at the end. Of sizes that nobody takes none is kept: messages that come another way only take up room. */
const kept = new Map<number, ArrayBuffer[]>()
let bytes = 0

/** A buffer of exactly so many bytes; from `KEPT_FROM` on with anything in it. */
export function takeBuffer(size: number): ArrayBuffer {
  return (size < KEPT_FROM ? undefined : keptBuffer(size)) ?? new ArrayBuffer(size)
}

/** One that is kept, of exactly so many bytes. */
export function keptBuffer(size: number): ArrayBuffer | undefined {
  const buffer = used(size).pop()
  if (buffer) bytes -= size
  return buffer
}

/**
 * A message was sent or read, and nobody looks at its buffer any more. Given twice it is kept once. What does not fill its
 * buffer but for a header is left alone: the rest is somebody else's.
 */
export function giveBuffer({ buffer, byteOffset, byteLength }: Uint8Array): void {
  const size = buffer.byteLength
  if (size < KEPT_FROM || !(buffer instanceof ArrayBuffer)) return
  if (byteOffset > HEADER_BYTES || byteOffset + byteLength < size) return
  if (size > MOST_BYTES || !kept.has(size)) {
    if (size >= BULK_FROM) dropBuffer(buffer)
    return
  }
  const same = used(size)
  if (same.includes(buffer)) return
  same.push(buffer)
  bytes += size
  for (const [least, buffers] of kept) {
    while (bytes > MOST_BYTES && buffers.length > 0) {
      dropBuffer(buffers.pop()!)
      bytes -= least
    }
    if (bytes <= MOST_BYTES) break
  }
}

/** What is kept of a size that is used now. */
function used(size: number): ArrayBuffer[] {
  const same = kept.get(size) ?? []
  kept.delete(size)
  kept.set(size, same)
  if (kept.size > MOST_SIZES) {
    const [[oldest, buffers]] = kept
    kept.delete(oldest)
    bytes -= oldest * buffers.length
    for (const buffer of buffers) dropBuffer(buffer)
  }
  return same
}

/** Nobody listens: what is transferred to it is freed. */
const nowhere = typeof MessageChannel === 'undefined' ? undefined : new MessageChannel().port1
nowhere?.close()

/**
 * Gives memory back at once. The collector comes when its own heap has grown, which is small beside these: until then tens of
 * megabytes of them would lie about, in a heap of the C library that never shrinks again.
 */
export function dropBuffer(buffer: ArrayBuffer): void {
  try {
    nowhere?.postMessage(undefined, [buffer])
  } catch {
    // A host that does not give it away collects it.
  }
}
