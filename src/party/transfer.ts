// Messages longer than one frame, in pieces whose lengths both ends compute.

import { RingfenceError } from '../errors.js'
import type { Region } from '../kernels/index.js'
import type { Link, PhaseCode, ReceiveOptions } from '../net/index.js'
import { PIECE_BYTES } from '../protocol/pieces.js'

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
    const view = link.frame(kind, phase, step, Math.min(PIECE_BYTES, length - at))
    // Views of WASM memory are taken piece by piece: memory may grow while this waits.
    const bytes = source instanceof Uint8Array ? source : source.u8()
    view.set(bytes.subarray(at, at + view.byteLength))
    link.sendFrame(view)
    await drained(link, options)
  }
}

/** `link.drained()`, for no longer than the deadline: a peer that stopped reading is as gone as one that fell silent. */
export async function drained(link: Link, { deadlineMs, signal }: SendOptions): Promise<void> {
  let giveUp!: (error: RingfenceError) => void
  const stopped = new Promise<never>((_, reject) => {
    giveUp = reject
  })
  const onAbort = () => giveUp(new RingfenceError('ABORTED', `sending to the ${link.name} was aborted by the caller`))
  const onTimer = () =>
    giveUp(new RingfenceError('DEADLINE', `the ${link.name} read nothing within ${deadlineMs} ms; try again`))
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort)
  const timer = setTimeout(onTimer, deadlineMs)
  try {
    await Promise.race([stopped, link.drained()])
  } catch (error) {
    throw await lastWords(link, error)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** When a peer is gone: the failure it told before it closed, if it told one. */
async function lastWords(link: Link, error: unknown): Promise<unknown> {
  if (!(error instanceof RingfenceError && error.code === 'PEER_GONE')) return error
  try {
    for (;;) await link.receiveAny(Number.POSITIVE_INFINITY) // what else had arrived is of no use any more
  } catch (told) {
    return told instanceof RingfenceError && told.code === 'PEER_FAILED' ? told : error
  }
}

/** Receives what `sendPieces` sent. */
export async function receivePieces(
  link: Link,
  kind: number,
  phase: PhaseCode,
  step: number,
  length: number,
  options?: ReceiveOptions,
): Promise<Uint8Array> {
  if (length <= PIECE_BYTES) return link.receive(kind, phase, step, length, options)
  const out = new Uint8Array(length)
  for (let at = 0; at < length; at += PIECE_BYTES) {
    out.set(await link.receive(kind, phase, step, Math.min(PIECE_BYTES, length - at), options), at)
  }
  return out
}
