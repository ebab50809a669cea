// The owner of an input, with nothing but `fetch`: one request to the server and one to the delegate, at the same time.
import { RingfenceError } from '../errors.js'
import { pictureToInput } from '../model/pictures/input.js'
import type { PictureSource } from '../model/pictures/page.js'
import { elementCount } from '../model/shape.js'
import { answerOf } from '../party/client/answer.js'
import type { CallOptions, InferenceResult } from '../party/client/client-options.js'
import { inputWords } from '../plan/ends.js'
import { outputHeadroom } from '../plan/headroom.js'
import { encodeHead, encodeInputHalf, encodeSealedSeed } from '../protocol/delegated/messages.js'
import { type DelegateTerms, decodeTerms, type OwnerTerms } from '../protocol/delegated/terms.js'
import { sealSeed } from '../random/seal.js'
import { entropy, freshSeed, type Seed } from '../random/seed.js'
import { Purpose } from '../random/streams.js'
import { packWords, unpackWords } from '../ring/bit-stream.js'
import { expectInput } from '../ring/codec.js'
import { ownerWords } from './masks.js'
import { type Fetch, request, requestUrl } from './requests.js'

/** Whom an owner asks, and what it insists on. */
export interface ThinOptions {
  /** `https://…` (or `http://` on loopback) of the delegate, and of the server or one of its models. */
  delegate: string
  server: string
  /** The delegate's public key, learnt over a trusted way, not from the server: what seeds are sealed to. */
  delegateKey: Uint8Array
  /** Shown to both parties, or one for each, where they do not let everybody in. */
  token?: string | { server?: string; delegate?: string }
  /** SHA-256 of the only plan to accept. */
  planDigest?: Uint8Array
  signal?: AbortSignal
  /** Longest time a request may take, in milliseconds. Default 30,000. */
  deadlineMs?: number
  /** Makes the requests. Default: the host's `fetch`. */
  fetch?: Fetch
}

const ID_BYTES = 16
const KEY_BYTES = 32
/** Longest terms: a thousand labels fit many times. */
const TERMS_BYTES = 2 ** 20
const PLANS_BYTES = 1024

/**
 * The owner of an input, on a page, in a service worker or at an edge, without WebAssembly. One request to each party and one
 * answer; nothing is prepared or kept. Calls may run at once.
 * @example
 * ```ts
 * import { ThinClient } from 'ringfence/thin'
 *
 * export async function classify(input: Float32Array, delegateKey: Uint8Array): Promise<string | undefined> {
 *   const parties = { delegate: 'https://delegate.example', server: 'https://server.example' }
 *   const client = await ThinClient.create({ ...parties, delegateKey })
 *   return (await client.run(input)).label
 * }
 * ```
 */
export class ThinClient {
  readonly #options: ThinOptions
  readonly #urls: { readonly delegate: string; readonly server: string }
  #known: DelegateTerms
  #runs = 0

  private constructor(options: ThinOptions, urls: { delegate: string; server: string }, known: DelegateTerms) {
    this.#options = options
    this.#urls = urls
    this.#known = known
  }

  /**
   * Asks the delegate for its keys and the plan's two ends, and the server whether it has that plan.
   * @throws RingfenceError BAD_INPUT, INSECURE (plain text off loopback, a delegate with another key than the pinned one),
   *   PLAN_MISMATCH, PEER_GONE, DEADLINE, UNAUTHORIZED, BUSY, ABORTED, HOST
   */
  static async create(options: ThinOptions): Promise<ThinClient> {
    const { delegateKey } = options
    if (!(delegateKey instanceof Uint8Array) || delegateKey.byteLength !== KEY_BYTES) {
      throw new RingfenceError('BAD_INPUT', `delegateKey: expected the delegate's public key, ${KEY_BYTES} bytes`)
    }
    const urls = {
      delegate: requestUrl('delegate', options.delegate),
      server: requestUrl('server', options.server),
    }
    const [known, plans] = await Promise.all([
      termsOf(options, urls.delegate),
      ask(options, 'server', urls.server, undefined, PLANS_BYTES),
    ])
    if (options.planDigest && !same(options.planDigest, known.digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'the delegate works on another plan than the one this client accepts')
    }
    for (let at = 0; at < plans.byteLength; at += KEY_BYTES) {
      if (same(plans.subarray(at, at + KEY_BYTES), known.digest)) return new ThinClient(options, urls, known)
    }
    throw new RingfenceError('PLAN_MISMATCH', 'server and delegate do not work on the same plan; ask whoever runs them')
  }

  /** The two ends of the network: `terms.input.shape` is the shape of an input. */
  get terms(): OwnerTerms {
    return this.#known.terms
  }

  /** SHA-256 of the plan. */
  get planDigest(): Uint8Array {
    return this.#known.digest.slice()
  }

  /**
   * Classifies one input. Every call and every retry draws a seed of its own.
   * @param input normalised values in CHW order, or a picture of the network's size
   * @throws RingfenceError BAD_INPUT before anything is sent; PEER_GONE, DEADLINE, BUSY (`retryable`: ask again), UNAUTHORIZED,
   *   PLAN_MISMATCH (make a new client), PEER_FAILED, ABORTED
   */
  async run(input: Float32Array | PictureSource, options: CallOptions = {}): Promise<InferenceResult> {
    const { terms } = this.#known
    const values = input instanceof Float32Array ? input : pictureToInput(input, terms.input)
    const words = inputWords(terms, expectInput(values, elementCount(terms.input.shape)))
    if (options.signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted before it began')
    const inference = this.#runs++
    const started = performance.now()
    const told = (step: number, layer: string) =>
      options.onProgress?.({ phase: 'run', inference, step, steps: 2, layer })
    const raw = await this.#answered(words, options.signal, told)
    told(2, 'answer')
    const { output, labels } = terms
    const milliseconds = performance.now() - started
    const beyond = (values: Int32Array, bits: number) => values.filter((x) => Math.abs(x) >= 2 ** (bits - 2)).length
    const beyondRange = {
      input: beyond(words, terms.input.bits),
      output: beyond(raw, terms.ring - outputHeadroom(terms.ring)),
    }
    return { ...answerOf({ ...output, labels }, raw), raw, scale: output.scale, inference, beyondRange, milliseconds }
  }

  async #answered(
    words: Int32Array,
    signal: AbortSignal | undefined,
    told: (step: number, layer: string) => void,
  ): Promise<Int32Array> {
    try {
      return await this.#attempt(words, signal, told)
    } catch (error) {
      if (!(error instanceof RingfenceError) || error.code !== 'PEER_GONE' || !(await this.#renewed(signal)))
        throw error
      return this.#attempt(words, signal, told)
    }
  }

  /** Asks for the delegate's key of the hour; false when it is the one that is known, or there is none. */
  async #renewed(signal: AbortSignal | undefined): Promise<boolean> {
    const before = this.#known
    const known = await termsOf({ ...this.#options, signal }, this.#urls.delegate).catch(() => before)
    if (same(known.epoch, before.epoch) || !same(known.digest, before.digest)) return false
    this.#known = known
    return true
  }

  /** Both halves under a fresh seed, and what comes back without p_out. */
  async #attempt(
    words: Int32Array,
    signal: AbortSignal | undefined,
    told: (step: number, layer: string) => void,
  ): Promise<Int32Array> {
    const { terms, digest, identity, epoch } = this.#known
    const seed = freshSeed()
    const head = { id: entropy(ID_BYTES), digest }
    const seal = sealSeed(seed, { identity, epoch }, encodeHead(head))
    const half = encodeInputHalf({ ...head, words: packWords(masked(words, seed, terms), terms.bits) })
    const { elements } = terms.output
    const answerBytes = Math.ceil((elements * terms.ring) / 8)
    const giveUp = new AbortController()
    const options = { ...this.#options, signal: signal ? AbortSignal.any([signal, giveUp.signal]) : giveUp.signal }
    told(1, 'request')
    try {
      const [answer] = await Promise.all([
        ask(options, 'server', this.#urls.server, half, answerBytes),
        ask(options, 'delegate', this.#urls.delegate, encodeSealedSeed({ ...head, epoch, ...seal }), 0),
      ])
      if (answer.byteLength !== answerBytes) {
        throw new RingfenceError('FRAME', `the server answers with ${answer.byteLength} bytes, ${answerBytes} are due`)
      }
      return opened(answer, seed, terms)
    } catch (error) {
      giveUp.abort()
      if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted', [], { cause: signal.reason })
      throw error
    } finally {
      seed.fill(0)
    }
  }
}

/** x - p. */
function masked(words: Int32Array, seed: Seed, { rounds }: OwnerTerms): Uint32Array {
  const mask = ownerWords(seed, Purpose.ownerInput, words.length, rounds)
  for (let i = 0; i < words.length; i++) mask[i] = words[i] - mask[i]
  return mask
}

/** y, as signed integers. */
function opened(answer: Uint8Array, seed: Seed, { output, ring, rounds }: OwnerTerms): Int32Array {
  const words = unpackWords(answer, output.elements, ring)
  const mask = ownerWords(seed, Purpose.ownerOutput, output.elements, rounds)
  const up = 32 - ring
  return Int32Array.from(words, (word, i) => ((word + mask[i]) << up) >> up)
}

async function termsOf(options: ThinOptions, url: string): Promise<DelegateTerms> {
  const known = decodeTerms(await ask(options, 'delegate', url, undefined, TERMS_BYTES))
  if (same(known.identity, options.delegateKey)) return known
  throw new RingfenceError('INSECURE', 'this is not the delegate whose public key was pinned')
}

function ask(
  { token, signal, deadlineMs = 30_000, fetch: given }: ThinOptions,
  name: 'server' | 'delegate',
  url: string,
  body: Uint8Array<ArrayBuffer> | undefined,
  mostBytes: number,
): Promise<Uint8Array> {
  const fetch = given ?? ((address: string, init: RequestInit) => globalThis.fetch(address, init))
  const shown = typeof token === 'string' ? token : token?.[name]
  return request(name, url, body, mostBytes, { fetch, token: shown, signal, deadlineMs })
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}
