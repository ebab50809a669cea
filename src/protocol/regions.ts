// Messages of an inference between WASM memory and a link: in pieces of bounded size, however long they are.
import type { Kernels, Region } from '../kernels/instance.js'
import { giveBuffer, type Link, type NextOptions, Phase, type ReceiveOptions, turn } from '../net/index.js'
import { PIECE_BYTES } from './pieces.js'

/** Bytes of a message that carries parts of these lengths. */
export const total = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + length, 0)

/** Where bytes of a message lie. */
export type Part = Region | Uint8Array

/** How a message is sent. */
export interface SendOptions extends ReceiveOptions {
  /** All of it is queued at once: for a peer that may itself be waiting to send. */
  queued?: boolean
}

/**
 * Sends parts one after the other as one message, in pieces, waiting between them where the peer is slower.
 * @throws RingfenceError as `Link.drained`
 */
export async function sendRegions(
  link: Link,
  kind: number,
  step: number,
  parts: readonly Part[],
  options: SendOptions = {},
): Promise<void> {
  const bytes = total(parts.map(({ byteLength }) => byteLength))
  let [part, at] = [0, 0]
  for (let sent = 0; sent === 0 || sent < bytes; ) {
    const frame = link.frame(kind, Phase.online, step, Math.min(PIECE_BYTES, bytes - sent))
    for (let filled = 0; filled < frame.byteLength; ) {
      const length = Math.min(parts[part].byteLength - at, frame.byteLength - filled)
      // Views of WASM memory are taken anew: memory may have grown while this waited.
      frame.set(viewOf(parts[part]).subarray(at, at + length), filled)
      filled += length
      at += length
      if (at === parts[part].byteLength) [part, at] = [part + 1, 0]
    }
    sent += frame.byteLength
    link.sendFrame(frame)
    if (bytes === 0) return
    if (sent < bytes && !options.queued) await link.drained(options)
  }
}

/** Bytes that a socket takes while they are sent: Chromium's 131,000, Node's what the system buffers. */
const AT_ONCE = 2 ** 17

/** What is left of a large message leaves before work begins that needs no answer to it. A browser pays for every turn. */
export async function handOver(sent: number): Promise<void> {
  if (sent > AT_ONCE) await turn()
}

const viewOf = (part: Part): Uint8Array => (part instanceof Uint8Array ? part : part.u8())

/**
 * Receives what `sendRegions` sent into WASM memory, piece by piece; what was announced takes none before its first piece
 * has come. The caller releases the whole, the first of the result.
 * @param lengths from the plan
 * @throws RingfenceError FRAME, PROTOCOL as `Link.receive` does, for every piece
 */
export async function receiveRegions(
  k: Kernels,
  link: Link,
  kind: number,
  step: number,
  lengths: readonly number[],
  options?: NextOptions,
): Promise<[whole: Region, ...parts: Region[]]> {
  const bytes = total(lengths)
  const piece = (at: number) => link.receive(kind, Phase.online, step, Math.min(PIECE_BYTES, bytes - at), options)
  const first = await piece(0)
  const whole = k.memory.alloc(bytes)
  try {
    whole.u8().set(first)
    giveBuffer(first)
    for (let at = PIECE_BYTES; at < bytes; at += PIECE_BYTES) {
      const next = await piece(at)
      whole.u8().set(next, at)
      giveBuffer(next)
    }
  } catch (error) {
    whole.release()
    throw error
  }
  let at = 0
  return [whole, ...lengths.map((length) => whole.part((at += length) - length, length))]
}
