// What the three parties of the published protocol hold while they run it: all three are on line.
import type { Kernels, Region } from '../../kernels/index.js'
import { upload } from '../../kernels/index.js'
import type { Party } from '../../kernels/securenn-shares.js'
import { type Link, Phase } from '../../net/index.js'
import type { Streams } from '../../random/streams.js'

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

/** Messages of one call; a frame's step is the layer. */
export const Message = {
  masked: 40, // client, server → helper: a + r
  converted: 41, // helper → server: δ, bits of a + r, x, bits of x, low bit of x
  digits1: 42, // client, server → helper: s·c of the first comparison
  wrap: 43, // helper → server: η'
  opened: 44, // client ↔ server: 2y + x
  digits2: 45, // client, server → helper: s·c of the second comparison
  answer: 46, // helper → server: β' and C of the product
  xor: 47, // client ↔ server: openings of γ·δ
  productC: 48, // helper → server: C of a product
  product: 49, // client ↔ server: openings of a product
} as const

/** Sends regions one after the other as one frame. */
export function sendRegions(link: Link, kind: number, step: number, parts: readonly Region[]): void {
  const frame = link.frame(
    kind,
    Phase.online,
    step,
    parts.reduce((sum, part) => sum + part.byteLength, 0),
  )
  let at = 0
  for (const part of parts) {
    frame.set(part.u8(), at)
    at += part.byteLength
  }
  link.sendFrame(frame)
}

/** Receives a frame of parts of known lengths into WASM memory. The caller releases the whole, the first of the result. */
export async function receiveRegions(
  k: Kernels,
  link: Link,
  kind: number,
  step: number,
  lengths: readonly number[],
): Promise<[whole: Region, ...parts: Region[]]> {
  const total = lengths.reduce((sum, length) => sum + length, 0)
  const whole = upload(k.memory, await link.receive(kind, Phase.online, step, total))
  let at = 0
  return [whole, ...lengths.map((length) => whole.part((at += length) - length, length))]
}
