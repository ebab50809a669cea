// What the three parties of the published protocol hold while they run it: all three are on line.
import type { Kernels, Region } from '../../kernels/instance.js'
import type { Party } from '../../kernels/securenn/shares.js'
import { type Link, Phase, type ReceiveOptions } from '../../net/index.js'
import type { Streams } from '../../random/streams.js'
import type { KindName } from '../kinds.js'
import { PIECE_BYTES } from '../pieces.js'
import type { Message } from '../transcript.js'

/** Client (party 0) or server (party 1). */
export interface Side {
  readonly k: Kernels
  readonly party: Party
  /** Shared by client and server. */
  readonly common: Streams
  /** Shared with the helper. */
  readonly dealt: Streams
  readonly peer: Link
  readonly helper: Link
  /** Calls the conversation off. */
  readonly signal?: AbortSignal
}

/** The helper. Halves that are pure randomness come from `ch` on the client's side; the server is sent its own. */
export interface HelperSide {
  readonly k: Kernels
  readonly ch: Streams
  readonly sh: Streams
  readonly own: Streams
  readonly client: Link
  readonly server: Link
}

/** Bytes of a message that carries parts of these lengths. */
export const total = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + length, 0)

/** A message of as many bytes from each of client and server to the helper. */
export const toHelper = (kind: KindName, bytes: number, stage: number): Message[] =>
  (['client', 'server'] as const).map((from) => ({ kind, from, to: 'helper', bytes, stage, inPieces: true }))

export const toServer = (kind: KindName, bytes: number, stage: number): Message => ({
  ...{ kind, from: 'helper', to: 'server', bytes, stage, inPieces: true },
})

/** As many bytes both ways between client and server. */
export const exchanged = (kind: KindName, bytes: number, stage: number): Message[] => [
  { kind, from: 'client', to: 'server', bytes, stage, inPieces: true },
  { kind, from: 'server', to: 'client', bytes, stage, inPieces: true },
]

/** Sends regions one after the other, in frames of a few MiB, waiting where the peer is slower. */
export async function sendRegions(
  link: Link,
  kind: number,
  step: number,
  parts: readonly Region[],
  options?: ReceiveOptions,
): Promise<void> {
  const bytes = total(parts.map(({ byteLength }) => byteLength))
  let [part, at] = [0, 0]
  for (let sent = 0; sent === 0 || sent < bytes; ) {
    const frame = link.frame(kind, Phase.online, step, Math.min(PIECE_BYTES, bytes - sent))
    for (let filled = 0; filled < frame.byteLength; ) {
      const length = Math.min(parts[part].byteLength - at, frame.byteLength - filled)
      // Views of WASM memory are taken anew: memory may have grown while this waited.
      frame.set(parts[part].u8().subarray(at, at + length), filled)
      filled += length
      at += length
      if (at === parts[part].byteLength) [part, at] = [part + 1, 0]
    }
    sent += frame.byteLength
    link.sendFrame(frame)
    if (sent < bytes) await link.drained(options)
    else if (bytes === 0) return
  }
}

/** Receives what `sendRegions` sent into WASM memory. The caller releases the whole, the first of the result. */
export async function receiveRegions(
  k: Kernels,
  link: Link,
  kind: number,
  step: number,
  lengths: readonly number[],
  options?: ReceiveOptions,
): Promise<[whole: Region, ...parts: Region[]]> {
  const bytes = total(lengths)
  const whole = k.memory.alloc(bytes)
  try {
    for (let at = 0; at === 0 || at < bytes; at += PIECE_BYTES) {
      const piece = await link.receive(kind, Phase.online, step, Math.min(PIECE_BYTES, bytes - at), options)
      whole.u8().set(piece, at)
    }
  } catch (error) {
    whole.release()
    throw error
  }
  let at = 0
  return [whole, ...lengths.map((length) => whole.part((at += length) - length, length))]
}

/** Client and server: sends `mine` to the other and receives as much. The caller releases the result. */
export async function exchange({ k, peer, signal }: Side, kind: number, step: number, mine: Region): Promise<Region> {
  // At once: two long messages that wait for each other's receiver would wait for ever. And to the end, also when one of
  // them fails: `mine` is not given back while it is still read.
  const [received, sent] = await Promise.allSettled([
    receiveRegions(k, peer, kind, step, [mine.byteLength], { signal }),
    sendRegions(peer, kind, step, [mine], { signal }),
  ])
  if (received.status === 'rejected') throw received.reason
  if (sent.status === 'rejected') throw sent.reason
  return received.value[0]
}
