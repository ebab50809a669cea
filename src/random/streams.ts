// Pseudorandom streams out of one seed. Every stream has an address of its own, (purpose, layer, tensor, inference):
// two uses never share one, and no counter has to be kept in step between parties.
import type { Kernels, Region } from '../kernels/instance.js'
import { upload } from '../kernels/instance.js'
import { fillStream } from '../kernels/prg.js'
import { SEED_BYTES, type Seed } from './seed.js'

/** What a stream is for. The pair that holds the seed is named behind it; see docs/protocol.md for the symbols. */
export const Purpose = {
  inputMask: 1, // client–helper: r, the mask of a tensor that the server holds as x - r
  outputMask: 2, // client–helper: m, the mask of a linear step's result
  blind: 3, // client–helper: s, what hides the helper's part u from the server
  tablePad: 4, // client–helper: pads of the comparison tables
  rhoHalf: 5, // client–helper: the client's halves of [ρ]
  selectHalf: 6, // client–helper: the client's halves of [ρA_0] and [ρμ]
  extendHalf: 7, // client–helper: the client's halves of [ω] and [μ]
  openingMask: 8, // server–helper: a', what hides the opened value from the client
  dealerRho: 9, // helper alone: ρ
  dealerBits: 10, // helper alone: carry masks and keys of the tables
  modelMask: 11, // server–client: B, the client's part of the weights
  securenn: 12, // either pair or the helper alone: draws of the published protocol, numbered in securenn/draws.ts
  inferenceKey: 13, // client–helper: on mcc, the seed of one inference's streams
  signOrder: 14, // server–helper: order of the places of a second set of comparisons
  signMask: 15, // server–helper: a'', what hides its opened values from the client
  signFlip: 16, // server–helper: g, what hides its signs from the client
  signTrap: 17, // server–helper: ŷ' of its traps; helper alone: their m'
  signPad: 18, // client–helper: pads of its tables
  signBits: 19, // helper alone: carry masks and keys of its tables
  replyAlpha: 20, // server–helper: α, the secret factors of the MACs on replies
  replyTag: 21, // client–helper: M, the tags of what a reply is made of
  replyLift: 22, // client–helper: the bits of a tensor's mask r beyond n
  inputWindow: 23, // client–helper: what hides a bounded input from the server
  uploadPad: 24, // client–helper: μ, what hides the tag of δ
  uploadFlag: 25, // server–helper, of a registration: γ, the subsets of δ that are checked
  uploadMask: 26, // server–client, of a registration: z, what hides the transposes of γ from the helper
  ownerInput: 27, // owner–delegate: p, the mask of the input
  ownerOutput: 28, // owner–delegate: p_out, the mask of the answer
  productHalf: 29, // client–helper: the client's halves of a product's words
  curveHalf: 30, // client–helper: the client's halves of segment tables
  quadraticHalf: 31, // client–helper: the client's halves of a quadratic select's words
  replyFresh: 32, // client–helper: the bits of its reply's mask below those of r
} as const
export type PurposeCode = (typeof Purpose)[keyof typeof Purpose]

export interface StreamAddress {
  purpose: PurposeCode
  /** Step of the plan, 0 … 65535. */
  layer: number
  /** Which of the step's tensors, 0 … 255. */
  tensor?: number
  /** 0 … 2^53 - 1. */
  inference: number
}

/** The ChaCha nonce of an address: three words that no other address has. */
export function nonce({ purpose, layer, tensor = 0, inference }: StreamAddress): [number, number, number] {
  const whole = (value: number, below: number) => Number.isInteger(value) && value >= 0 && value < below
  if (!whole(layer, 65536) || !whole(tensor, 256) || !whole(inference, 2 ** 53)) {
    throw new RangeError(`stream address out of range: layer ${layer}, tensor ${tensor}, inference ${inference}`)
  }
  return [(purpose | (tensor << 8) | (layer << 16)) >>> 0, inference >>> 0, Math.floor(inference / 2 ** 32)]
}

/** The streams of one seed. The seed lies in WASM memory until `release`, which wipes it. */
export class Streams {
  readonly #kernels: Kernels
  readonly #key: Region
  readonly #rounds: 12 | 20

  constructor(kernels: Kernels, seed: Seed, rounds: 12 | 20) {
    if (seed.byteLength !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, not ${seed.byteLength}`)
    this.#kernels = kernels
    this.#key = upload(kernels.memory, seed)
    this.#rounds = rounds
  }

  /** The same streams with memory from other kernels, those of a scope for example; released on their own. */
  on(kernels: Kernels): Streams {
    return new Streams(kernels, this.#key.u8(), this.#rounds)
  }

  /** The streams of one inference. From their seed follows neither this one nor that of another inference. */
  ofInference(inference: number): Streams {
    const region = this.take({ purpose: Purpose.inferenceKey, layer: 0, inference }, SEED_BYTES)
    const seed = region.u8().slice()
    region.release(true)
    const streams = new Streams(this.#kernels, seed, this.#rounds)
    seed.fill(0)
    return streams
  }

  /** A copy of the seed, for the caller to wipe. */
  seed(): Seed {
    return this.#key.u8().slice()
  }

  /** Overwrites `out` with the stream from 64-byte block `block` on. */
  fill(address: StreamAddress, out: Region, block = 0): void {
    fillStream(this.#kernels, this.#key, nonce(address), block, this.#rounds, out)
  }

  /** A new region with the stream's first bytes; the caller releases it. */
  take(address: StreamAddress, bytes: number): Region {
    const out = this.#kernels.memory.alloc(bytes)
    this.fill(address, out)
    return out
  }

  release(): void {
    this.#key.release(true)
  }
}
