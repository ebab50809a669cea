// The check of a client's δ (docs/protocol.md, "The upload"): q random subsets γ_k of all its words, summed. The server
// knows B, so it knows λ_k = L_Bᵀγ_k with ⟨γ_k, L_B(r)⟩ = ⟨λ_k, r⟩; helper and client know r.
//
//   registration   server → helper   λ'_k = λ_k + z_k, z_k from the seed of B, which clients have too
//   off line       helper → server   h_k = ⟨λ'_k, r⟩ + ⟨γ_k, s - m⟩ + μ_k
//                  client → server   t_k = ⟨z_k, r⟩ + μ_k
//                  server            ⟨γ_k, δ⟩ = h_k - t_k mod 2^n
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../../kernels/instance.js'
import { dot32, subsetSums } from '../../../kernels/mac.js'
import { add32, sub32 } from '../../../kernels/ring.js'
import { elementCount, type MccPlan, tensorShape } from '../../../plan/plan.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import type { MccStep } from '../step.js'
import type { GuardTerms } from './terms.js'

/** Elements of every tensor that steps read. */
export const tensorSizes = (plan: MccPlan): number[] =>
  plan.steps.map((_, tensor) => elementCount(tensorShape(plan, tensor)))

/** Server and helper: which of a step's words of δ belong to which subset, one bit each. */
export const flagsOf = (registration: Streams, { index, size }: Pick<MccStep, 'index' | 'size'>): Region =>
  registration.take({ purpose: Purpose.uploadFlag, layer: index, inference: 0 }, size * 4)

/** Bytes of z that a client keeps between inferences; beyond that it draws them anew each time. */
const MAX_KEPT_BYTES = 2 ** 26

/** A client's z: the same for all inferences of a registration, 17 words per element at σ = 16. */
export class UploadMasks {
  readonly #kept = new Map<string, Region>()
  #room = MAX_KEPT_BYTES

  /** @param model the seed of B; released with this */
  constructor(private readonly model: Streams) {}

  /** ⟨z_k, r⟩ of a tensor. */
  dot(k: Kernels, tensor: number, vector: number, r: Region, size: number): number {
    const name = `${tensor} ${vector}`
    const kept = this.#kept.get(name)
    const z = kept ?? maskOf(this.model, tensor, vector, size)
    const sum = dot32(k, size, z, r)
    if (kept) return sum
    if (z.byteLength <= this.#room) {
      this.#room -= z.byteLength
      this.#kept.set(name, z)
    } else z.release(true)
    return sum
  }

  release(): void {
    for (const z of this.#kept.values()) z.release(true)
    this.#kept.clear()
    this.model.release()
  }
}

/** Server and client: z_k of a tensor. */
export const maskOf = (model: Streams, tensor: number, vector: number, size: number): Region =>
  model.take({ purpose: Purpose.uploadMask, layer: tensor, tensor: vector, inference: 0 }, size * 4)

/** Helper: λ' of one tensor, q vectors of u32 words after one another. */
export function takeTransposes(
  k: Kernels,
  payload: Uint8Array,
  size: number,
  { ring, vectors }: Pick<GuardTerms, 'ring' | 'vectors'>,
): Region {
  const each = packedBytes(size, ring)
  const packed = upload(k.memory, payload)
  const out = k.memory.alloc(size * 4 * vectors)
  for (let vector = 0; vector < vectors; vector++) {
    unpack(k, packed.part(vector * each, each), size, ring, out.part(vector * size * 4, size * 4))
  }
  packed.release()
  return out
}

/** Client: t as it goes to the server. `r`: the mask of a tensor. The caller releases the result. */
export function uploadTag(
  k: Kernels,
  plan: MccPlan,
  terms: GuardTerms,
  { ch, masks }: { ch: Streams; masks: UploadMasks },
  r: (tensor: number) => Region,
  inference: number,
): Region {
  const sums = UploadSums.padded(k, terms, ch, inference)
  for (const [tensor, size] of tensorSizes(plan).entries()) sums.addMasked(masks, tensor, r(tensor), size)
  const message = k.memory.alloc(packedBytes(terms.vectors, terms.ring))
  sums.packInto(message)
  sums.release()
  return message
}

/** Sums of one inference, one u32 word per subset. */
export class UploadSums {
  readonly region: Region

  constructor(
    private readonly k: Kernels,
    private readonly terms: GuardTerms,
    from?: Region,
  ) {
    this.region = from ?? k.memory.allocZero(terms.vectors * 4)
  }

  /** Client and helper: μ_k to begin with. */
  static padded(k: Kernels, terms: GuardTerms, ch: Streams, inference: number): UploadSums {
    const pad = ch.take({ purpose: Purpose.uploadPad, layer: 0, inference }, terms.vectors * 4)
    return new UploadSums(k, terms, pad)
  }

  /** Client: ⟨z_k, r⟩ of a tensor. */
  addMasked(masks: UploadMasks, tensor: number, r: Region, size: number): void {
    // The view is taken anew each time: memory may grow while z is drawn.
    for (let vector = 0; vector < this.terms.vectors; vector++) {
      const sum = masks.dot(this.k, tensor, vector, r, size)
      this.region.u32()[vector] += sum
    }
  }

  /** Helper: ⟨λ'_k, r⟩ of a tensor. */
  addTransposed(transposes: Region, r: Region, size: number): void {
    const sums = this.region.u32()
    for (let vector = 0; vector < sums.length; vector++) {
      sums[vector] += dot32(this.k, size, transposes.part(vector * size * 4, size * 4), r)
    }
  }

  /** ⟨γ_k, words⟩ of a step. */
  addSubsets(registration: Streams, step: Pick<MccStep, 'index' | 'size'>, words: Region): void {
    const flags = flagsOf(registration, step)
    subsetSums(this.k, step.size, this.terms.vectors, flags, words, this.region)
    flags.release(true)
  }

  /** Server: takes off ⟨γ_k, δ⟩ of a step. */
  takeSubsets(registration: Streams, step: Pick<MccStep, 'index' | 'size'>, delta: Region): void {
    const { k, terms } = this
    const sums = new UploadSums(k, terms)
    sums.addSubsets(registration, step, delta)
    sub32(k, this.region, sums.region, this.region, terms.vectors)
    sums.release()
  }

  /** As they travel. */
  packInto(message: Region): void {
    pack(this.k, this.region, this.terms.vectors, this.terms.ring, message)
  }

  /** Server: adds what the helper sent, or takes off what the client sent. */
  combine(payload: Uint8Array, sign: 1 | -1): void {
    const { k, region } = this
    const { vectors, ring } = this.terms
    const packed = upload(k.memory, payload)
    const words = k.memory.alloc(vectors * 4)
    unpack(k, packed, vectors, ring, words)
    ;(sign === 1 ? add32 : sub32)(k, region, words, region, vectors)
    packed.release()
    words.release()
  }

  /** All bits that are not zero in any sum mod 2^n. Reads every word. */
  get remainder(): number {
    const { ring } = this.terms
    return this.region.u32().reduce((all, word) => all | (word << (32 - ring)), 0)
  }

  release(): void {
    this.region.release(true)
  }
}
