// Messages longer than one frame, in pieces whose lengths both ends compute.
import type { Region } from '../kernels/instance.js'
import { giveBuffer, type Link, type PhaseCode, type ReceiveOptions, turn } from '../net/index.js'
import { firstPiece, PIECE_BYTES } from '../protocol/pieces.js'

/** How long to wait for a peer that reads, and who may call it off. */
export interface SendOptions {
  deadlineMs: number
  signal?: AbortSignal
}

/**
 * Sends `bytes` in pieces, waiting where the peer is slower.
 * @throws RingfenceError DEADLINE when the peer stops reading, PEER_FAILED, PEER_GONE, ABORTED
 */
export async function sendPieces(
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  source: Region | Uint8Array,
  options: SendOptions,
): Promise<void> {
  const length = source.byteLength
  for (let at = 0; at === 0 || at < length; at += PIECE_BYTES) {
    await turn() // what was sent before leaves, and its buffer comes back
    const view = link.frame(kind, phase, step, Math.min(PIECE_BYTES, length - at))
    // Views of WASM memory are taken piece by piece: memory may grow while this waits.
    const bytes = source instanceof Uint8Array ? source : source.u8()
    view.set(bytes.subarray(at, at + view.byteLength))
    link.sendFrame(view)
    await link.drained(options)
  }
}

/** Receives what `sendPieces` sent. What was announced takes none before its first piece has come. */
export async function receivePieces(
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  length: number,
  options?: ReceiveOptions,
): Promise<Uint8Array> {
  const first = await link.receive(kind, phase, step, firstPiece(length), options)
  return moreOf(first, link, kind, phase, step, length, options)
}

/** As `receivePieces`, or undefined when the peer sends, in place of the first piece, an empty frame of the kind `instead`. */
export async function receivePiecesUnless(
  instead: number,
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  length: number,
): Promise<Uint8Array | undefined> {
  const first = await link.receiveUnless(instead, kind, phase, step, firstPiece(length))
  return first && moreOf(first, link, kind, phase, step, length)
}

/** The whole of which the first piece has come. */
export async function moreOf(
  first: Uint8Array,
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  length: number,
  options?: ReceiveOptions,
): Promise<Uint8Array> {
  if (length <= PIECE_BYTES) return first
  // Memory that is not written to yet takes none.
  const out = new Uint8Array(length)
  await eachPiece(first, (piece, at) => out.set(piece, at), link, kind, phase, step, length, options)
  return out
}

/** Puts every piece where it belongs, as it comes: the first, which has come, and those that follow. */
export async function eachPiece(
  first: Uint8Array,
  put: (piece: Uint8Array, at: number) => void,
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  length: number,
  options?: ReceiveOptions,
): Promise<void> {
  put(first, 0)
  giveBuffer(first)
  for (let at = PIECE_BYTES; at < length; at += PIECE_BYTES) {
    const piece = await link.receive(kind, phase, step, Math.min(PIECE_BYTES, length - at), options)
    put(piece, at)
    giveBuffer(piece)
  }
}
