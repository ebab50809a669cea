// A guard through one inference, per role (docs/protocol.md, "Guarded plans"): everything that the server has to believe
// is checked together, once, before the output leaves.

import { RingfenceError } from '../../../errors.js'
import { type Kernels, type Region, upload } from '../../../kernels/instance.js'
import { elementCount } from '../../../plan/plan.js'
import type { Streams } from '../../../random/streams.js'
import { tensorMask } from '../../linear.js'
import { sendInput, takeInput } from '../input.js'
import type { MccSteps, ReluStep } from '../step.js'
import { Compared } from './compared.js'
import { dealInputKeys, openInput, takeBoundedInput } from './input.js'
import { dealReplyKeys, expectReplies, liftReplies, type Switched } from './replies.js'
import { answerSigns, checkSigns, dealSigns, openSigns, type SignSecret, signSecret, signSizes } from './signs.js'
import { type GuardTerms, guardSizes, isWindowed, PROOF_WORD } from './terms.js'
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

  tables(set: number): Region {
    return this.#dealt[set + 1]
  }

  /** Takes in what the helper sent after the steps. */
  dealt(payload: Uint8Array): void {
    let at = 0
    const lengths = [guardSizes(this.terms).inputKeys, ...this.terms.sets.map((set) => signSizes(set).tables)]
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

  /** A step's s - m. */
  addBlinds(step: Parameters<UploadSums['addBlinds']>[1]): void {
    this.#sums.addBlinds(this.guard.registration, step, this.streams.ch, this.inference)
  }

  /** The keys of a step's replies. `r`: the mask of its result, one word per element. */
  dealKeys(step: ReluStep, r: Region, message: Region): void {
    const { k, streams, inference } = this
    const { terms } = this.guard
    const next = lifted(k, r, elementCount(step.step.out), terms.ring, streams.ch, step.index + 1, inference)
    dealReplyKeys(k, step, streams, next, inference, terms, message)
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
    for (const set of terms.sets) {
      const tables = dealSigns(k, set, { m: this.compared.words, rho: this.compared.bits }, streams, { inference })
      message.u8().set(tables.u8(), at)
      at += tables.byteLength
      tables.release()
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

  /** R of a step's results, u64. `r`: the mask of its result, one word per element. The caller releases the result. */
  replies(step: ReluStep, opened: Switched, r: Region): Region {
    const { k, terms, ch, inference } = this
    const next = lifted(k, r, elementCount(step.step.out), terms.ring, ch, step.index + 1, inference)
    const replies = liftReplies(k, step, opened, ch, next, inference, terms, this.#sum)
    next.release(true)
    return replies
  }

  /** The last message: T, and β of the second sets. `message`: their openings. The caller releases the result. */
  prove(message: Region): Region {
    const { k, terms, ch, inference } = this
    const proof = k.memory.alloc(guardSizes(terms).proof)
    const out = () => proof.u8()
    out().set(cut(this.#sum.u8(), terms.word))
    let [from, to] = [0, PROOF_WORD]
    for (const set of terms.sets) {
      const { opened, rows } = signSizes(set)
      const beta = answerSigns(k, set, message.part(from, opened + rows), ch, { inference })
      out().set(beta.u8(), to)
      from += opened + rows
      to += beta.byteLength
      beta.release()
    }
    return proof
  }

  release(): void {
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
  /** Of every second set, from its opening on. */
  #secrets: readonly SignSecret[] = []

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

  /** The low words of a step's replies, as they are computed with. The caller releases them. */
  replies(step: ReluStep, opened: Switched, keys: Region, packed: Region): Region {
    const { k, sh, inference, terms } = this
    const { results } = step.relu
    const replies = unpackLong(k, packed, results, terms.word)
    expectReplies(k, step, opened, keys, replies, sh, inference, terms, this.#sum)
    this.compared.addBits(step, opened.beta)
    const [low, high] = halvesOf(k, replies, results)
    high.release()
    replies.release()
    return low
  }

  /** The openings of the second sets. The caller releases the result. */
  signs(): Region {
    const { k, sh, inference, terms, material } = this
    const message = k.memory.alloc(guardSizes(terms).signs)
    let at = 0
    this.#secrets = terms.sets.map((set) => signSecret(k, set, sh, { inference }))
    terms.sets.forEach((set, i) => {
      const own = { y: this.compared.words, tables: material.tables(i) }
      const opening = openSigns(k, set, own, this.#secrets[i], sh, { inference })
      message.u8().set(opening.u8(), at)
      at += opening.byteLength
      opening.release()
    })
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
    for (const [i, set] of terms.sets.entries()) {
      const { beta } = signSizes(set)
      const answer = answers.part(at, beta)
      if (!checkSigns(k, set, { beta: this.compared.bits, answer }, this.#secrets[i])) wrong |= 1
      at += beta
    }
    const due = cut(this.#sum.u8(), terms.word)
    for (let i = 0; i < PROOF_WORD; i++) wrong |= due[i] ^ proof[i]
    answers.release()
    if (wrong !== 0) throw cheated()
  }

  release(): void {
    for (const secret of this.#secrets) secret.release()
    this.compared.release()
    this.#sum.release(true)
  }
}

const cheated = (): RingfenceError =>
  new RingfenceError(
    'CHEATED',
    'the client did not follow the protocol; its session has ended and its material is burnt',
  )
