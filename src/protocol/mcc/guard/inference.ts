// A guard through one inference, per role (docs/protocol.md, "Guarded plans"): everything that the server has to believe
// is checked together, once, before the output leaves.

import { RingfenceError } from '../../../errors.js'
import { type Kernels, type Region, upload } from '../../../kernels/instance.js'
import { sub32 } from '../../../kernels/ring.js'
import { elementCount } from '../../../plan/plan.js'
import type { Streams } from '../../../random/streams.js'
import { tensorMask } from '../../linear.js'
import { sendInput, takeInput } from '../input.js'
import type { MccStep, MccSteps, ReluStep } from '../step.js'
import { Compared } from './compared.js'
import { dealInputKeys, openInput, takeBoundedInput } from './input.js'
import {
  type DrawnReplies,
  type DueReplies,
  dealReplyKeys,
  drawReplies,
  dueReplies,
  expectReplies,
  liftReplies,
  type Switched,
} from './replies.js'
import {
  answerSigns,
  checkSigns,
  dealSigns,
  openSigns,
  SignPads,
  type SignSecret,
  type SignSet,
  signSecret,
  signSizes,
} from './signs.js'
import { type GuardTerms, guardSizes, isWindowed, PROOF_WORD, type SignSegment, segmentSizes, setsOf } from './terms.js'
import { UploadSums } from './upload.js'
import { halvesOf, lifted, unpackLong } from './words.js'

/** What a server holds of one inference beside the steps' material, until it is used. */
export class GuardMaterial {
  readonly upload: UploadSums
  /** Keys of the input, where it has any, then the tables of every second set; empty until they have come. */
  #dealt: readonly Region[] = []

  constructor(
    private readonly k: Kernels,
    private readonly terms: GuardTerms,
  ) {
    this.upload = new UploadSums(k, terms)
  }

  get inputKeys(): Region {
    return this.#dealt[0]
  }

  tables({ step, number }: SignSet): Region {
    return this.#dealt[setsOf(this.terms).findIndex((set) => set.step === step && set.number === number) + 1]
  }

  /** Takes in what the helper sent after the steps. */
  dealt(payload: Uint8Array): void {
    let at = 0
    const sets = setsOf(this.terms)
    const lengths = [guardSizes(this.terms).inputKeys, ...sets.map((set) => signSizes(set).tables)]
    this.#dealt = lengths.map((length) => upload(this.k.memory, payload.subarray(at, (at += length))))
    this.upload.combine(payload.subarray(at), 1)
  }

  /** Takes in the client's t. */
  uploaded(payload: Uint8Array): void {
    this.upload.combine(payload, -1)
  }

  release(): void {
    for (const region of this.#dealt) region.release()
    this.upload.release()
  }
}

/** What a helper knows of a registration that is guarded. */
export interface DealtGuard {
  readonly terms: GuardTerms
  /** Of the registration, shared with the server. */
  readonly registration: Streams
  /** λ' of every tensor. */
  readonly transposes: readonly Region[]
}

/** Helper: what is dealt after the steps of an inference. */
export class HelperGuard {
  readonly compared: Compared
  readonly #sums: UploadSums

  constructor(
    private readonly k: Kernels,
    private readonly guard: DealtGuard,
    private readonly streams: { ch: Streams; sh: Streams; own: Streams },
    private readonly inference: number,
  ) {
    this.compared = new Compared(k, guard.terms)
    this.#sums = UploadSums.padded(k, guard.terms, streams.ch, inference)
  }

  get terms(): GuardTerms {
    return this.guard.terms
  }

  /** A step's s - m, which takes the place of s. */
  addBlinds(step: MccStep, s: Region, m: Region): void {
    sub32(this.k, s, m, s, step.size)
    this.#sums.addSubsets(this.guard.registration, step, s)
  }

  /**
   * The keys of a step's replies.
   * @param masks m of what it opens, r of its result, one word per element
   */
  dealKeys(step: ReluStep, { m, next: r }: { m: Region; next: Region }, message: Region): void {
    const { k, streams, inference } = this
    const { terms } = this.guard
    const next = lifted(k, r, elementCount(step.step.out), terms.ring, streams.ch, step.index + 1, inference)
    dealReplyKeys(k, step, streams, { m, next }, inference, terms, message)
    next.release(true)
  }

  /** The message behind those of the steps. `r`: the mask of a tensor. The caller releases the result. */
  finish(r: (tensor: number) => Region): Region {
    const { k, streams, inference } = this
    const { terms, transposes } = this.guard
    const sizes = guardSizes(terms)
    transposes.forEach((each, tensor) => {
      this.#sums.addTransposed(each, r(tensor), each.byteLength / 4 / terms.vectors)
    })
    const message = k.memory.alloc(sizes.dealt)
    if (isWindowed(terms)) {
      const next = lifted(k, r(0), terms.input.size, terms.ring, streams.ch, 0, inference)
      dealInputKeys(k, streams, next, inference, terms, message.part(0, sizes.inputKeys))
      next.release(true)
    }
    let at = sizes.inputKeys
    for (const { number, sets } of terms.segments) {
      const { words, bits } = this.compared.segments[number]
      for (const set of sets) {
        const tables = message.part(at, signSizes(set).tables)
        dealSigns(k, set, { m: words, rho: bits, tables }, streams, { inference })
        at += tables.byteLength
      }
    }
    this.#sums.packInto(message.part(at, sizes.checks))
    return message
  }

  release(): void {
    this.compared.release()
    this.#sums.release()
  }
}

/** Client: the tags of all it sends, in one word. */
export class ClientGuard {
  readonly #sum: Region
  #drawn: DrawnReplies | undefined
  /** Of the sets of the present segment, of which so many comparisons were prepared. */
  #pads: readonly SignPads[] = []
  #compared = 0
  /** β of the second sets, as far as they have come. */
  readonly #answers: Uint8Array[] = []

  constructor(
    private readonly k: Kernels,
    readonly terms: GuardTerms,
    private readonly ch: Streams,
    private readonly inference: number,
  ) {
    this.#sum = k.memory.allocZero(PROOF_WORD)
  }

  /** The input's message. `x`: signed fixed-point words, CHW. The caller releases the result. */
  input(x: Int32Array, planned: MccSteps): Region {
    const { k, terms, ch, inference } = this
    if (!isWindowed(terms)) return sendInput(k, planned, ch, x, inference)
    const r = tensorMask(k, planned, ch, 0, inference)
    const next = lifted(k, r, terms.input.size, terms.ring, ch, 0, inference)
    const message = openInput(k, x, next, ch, inference, terms, this.#sum)
    r.release(true)
    next.release(true)
    return message
  }

  /**
   * Draws what a step's replies take and its share of what its segment's second sets take, before its opening comes.
   * @param r the mask of its result, one word per element
   */
  prepare(step: ReluStep, r: Region): void {
    const { k, terms, ch, inference } = this
    this.#drawn?.release()
    this.#drawn = drawReplies(k, step, ch, r, inference, terms)
    const { comparisons } = step.relu
    if (comparisons === 0) return
    const segment = terms.segments.find(({ last }) => step.index <= last)!
    if (this.#pads.length === 0) this.#pads = segment.sets.map((set) => new SignPads(k, set))
    this.#compared += comparisons
    for (const pads of this.#pads) pads.drawTo(this.#compared / segment.comparisons, ch, { inference })
  }

  /** R of the results of the step that was prepared, u64. The caller releases the result. */
  replies(step: ReluStep, opened: Switched): Region {
    const replies = liftReplies(this.k, step, opened, this.#drawn!, this.#sum)
    this.#drawn!.release()
    this.#drawn = undefined
    return replies
  }

  /** β of a segment's second sets, kept for the last message. `message`: their openings. */
  answer({ sets }: SignSegment, message: Region): void {
    const { k } = this
    let from = 0
    for (const [i, set] of sets.entries()) {
      const { opened, rows } = signSizes(set)
      const beta = answerSigns(k, set, message.part(from, opened + rows), this.#pads[i].region)
      this.#answers.push(beta.u8().slice())
      beta.release()
      from += opened + rows
    }
    this.#releasePads()
  }

  #releasePads(): void {
    for (const pads of this.#pads) pads.release()
    this.#pads = []
    this.#compared = 0
  }

  /** The last message: T, and β of the second sets. */
  prove(): Uint8Array {
    const proof = new Uint8Array(guardSizes(this.terms).proof)
    proof.set(cut(this.#sum.u8(), this.terms.word))
    let at = PROOF_WORD
    for (const beta of this.#answers) {
      proof.set(beta, at)
      at += beta.byteLength
    }
    return proof
  }

  release(): void {
    this.#drawn?.release()
    this.#releasePads()
    this.#sum.release(true)
  }
}

/** The lowest bits of a u64; what is above them says nothing that the others do not, and is not sent. */
function cut(word: Uint8Array, bits: number): Uint8Array {
  return word.map((byte, i) => byte & (2 ** Math.max(0, Math.min(8, bits - 8 * i)) - 1))
}

/** Server: what the client's messages have to come to. */
export class ServerGuard {
  readonly compared: Compared
  readonly #sum: Region
  #due: DueReplies | undefined
  /** Of every second set, from its opening on. */
  readonly #secrets = new Map<SignSet, SignSecret>()

  constructor(
    private readonly k: Kernels,
    readonly terms: GuardTerms,
    private readonly sh: Streams,
    private readonly inference: number,
    private readonly material: GuardMaterial,
  ) {
    this.compared = new Compared(k, terms)
    this.#sum = k.memory.allocZero(PROOF_WORD)
  }

  /** x̂_0, one word per element. The caller releases it. */
  input(payload: Uint8Array, planned: MccSteps): Region {
    const { k, material, sh, inference, terms } = this
    if (!isWindowed(terms)) return takeInput(k, planned, payload)
    return takeBoundedInput(k, payload, material.inputKeys, sh, inference, terms, this.#sum)
  }

  /** Makes ready what a step's replies are checked with, before they come. @param keys as they travelled */
  prepare(step: ReluStep, keys: Region): void {
    const { k, sh, inference, terms } = this
    this.#due?.release()
    this.#due = dueReplies(k, step, keys, sh, inference, terms)
  }

  /** The low words of the replies of the step that was prepared, as they are computed with. The caller releases them. */
  replies(step: ReluStep, opened: Switched, packed: Region): Region {
    const { k, terms } = this
    const { results } = step.relu
    const replies = unpackLong(k, packed, results, terms.word)
    expectReplies(k, step, opened, this.#due!, replies, this.#sum)
    this.#due!.release()
    this.#due = undefined
    this.compared.addBits(step, opened.beta)
    const [low, high] = halvesOf(k, replies, results)
    high.release()
    replies.release()
    return low
  }

  /** The openings of a segment's second sets. The caller releases the result. */
  signs(segment: SignSegment): Region {
    const { k, sh, inference, material } = this
    const message = k.memory.alloc(segmentSizes(segment).opening)
    let at = 0
    for (const set of segment.sets) {
      const secret = signSecret(k, set, sh, { inference })
      this.#secrets.set(set, secret)
      const own = { y: this.compared.segments[segment.number].words, tables: material.tables(set) }
      const opening = openSigns(k, set, own, secret, sh, { inference })
      message.u8().set(opening.u8(), at)
      at += opening.byteLength
      opening.release()
    }
    return message
  }

  /**
   * Whether the client did what an honest one with some input would have done.
   * @throws RingfenceError CHEATED, the same and after the same work whatever it is that was changed
   */
  check(proof: Uint8Array): void {
    const { k, terms } = this
    const answers = upload(k.memory, proof)
    let at = PROOF_WORD
    let wrong = this.material.upload.remainder
    for (const { number, sets } of terms.segments) {
      const { bits } = this.compared.segments[number]
      for (const set of sets) {
        const answer = answers.part(at, signSizes(set).beta)
        if (!checkSigns(k, set, { beta: bits, answer }, this.#secrets.get(set)!)) wrong |= 1
        at += answer.byteLength
      }
    }
    const due = cut(this.#sum.u8(), terms.word)
    for (let i = 0; i < PROOF_WORD; i++) wrong |= due[i] ^ proof[i]
    answers.release()
    if (wrong !== 0) throw cheated()
  }

  release(): void {
    this.#due?.release()
    for (const secret of this.#secrets.values()) secret.release()
    this.compared.release()
    this.#sum.release(true)
  }
}

const cheated = (): RingfenceError =>
  new RingfenceError(
    'CHEATED',
    'the client did not follow the protocol; its session has ended and its material is burnt',
  )
