// Where a server keeps the requests of owners until their delegate brings the other half (docs/protocol.md, "delegated").
// Material is bound only when both halves are there; a request is answered once, or never.
import { RingfenceError } from '../../errors.js'
import type { Exchange, ExchangeCall } from '../../net/exchange/exchange.js'
import { busy, type Link, Phase } from '../../net/index.js'
import { decodeInputHalf, HEAD_BYTES } from '../../protocol/delegated/messages.js'
import { Kind } from '../../protocol/kinds.js'
import type { DelegatedSizes } from '../../protocol/mcc/delegated.js'
import { refused, spend } from '../allowance.js'
import { equal, hex } from '../messages.js'
import { SeenIds } from './seen.js'

/** Requests that wait at a time. */
const WAITING = 1024
/** Ids that delegates have announced and nobody has asked for. */
const OFFERED = 4096
const SEEN = 2 ** 16
/** A half whose other half does not come within that is given up, in milliseconds. */
export const JOIN_MS = 10_000

/** A request that waits, or the one whose inference runs. */
export interface OwnerRequest {
  /** x - p, packed. */
  readonly words: Uint8Array
  resolve(answer: Uint8Array<ArrayBuffer>): void
  reject(error: RingfenceError): void
}

export class Owners {
  readonly #waiting = new Map<string, OwnerRequest>()
  /** Ids whose seeds are at a delegate, with the connection that said so. */
  readonly #offered = new Map<string, Link>()
  readonly #delegates = new Set<Link>()
  readonly #seen = new SeenIds(SEEN)

  /** @param terms what the plan asks of a request; sizes are null where it does not bound its input */
  constructor(
    private readonly terms: { digest: Uint8Array; sizes: DelegatedSizes | null },
    private readonly joinMs = JOIN_MS,
  ) {}

  /** Requests that wait for their other half. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** @param check throws while nobody is to be answered */
  exchange(check: () => void): Exchange {
    const { digest, sizes } = this.terms
    return {
      requestBytes: HEAD_BYTES + (sizes?.inputBytes ?? 0),
      describe: () => {
        check()
        return digest
      },
      answer: async (request, call) => {
        check()
        return this.answer(request, call)
      },
    }
  }

  /**
   * The answer to an owner's request: y - p_out, packed.
   * @param request as `encodeInputHalf` writes it; kept until it is answered
   * @throws RingfenceError UNSUPPORTED (the plan does not bound its input), PROTOCOL, FRAME, PLAN_MISMATCH, MATERIAL_USED (an id
   *   seen before), BUSY, UNAUTHORIZED (the allowance is used up), PEER_GONE (the delegate is away, or left in the middle),
   *   DEADLINE (it has no other half), ABORTED
   */
  async answer(request: Uint8Array, { peer = {}, signal }: ExchangeCall = {}): Promise<Uint8Array<ArrayBuffer>> {
    const { digest, sizes } = this.terms
    if (!sizes) {
      const what = 'this plan does not bound its input; compile the model with `delegated: true`'
      throw new RingfenceError('UNSUPPORTED', what)
    }
    const half = decodeInputHalf(request, sizes.inputBytes)
    if (!equal(half.digest, digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'the server runs another plan than the one this request is for')
    }
    if (signal?.aborted) throw left()
    if (this.#delegates.size === 0) throw new RingfenceError('PEER_GONE', 'the delegate is away; ask again later')
    if (this.#waiting.size >= WAITING) throw busy('the server', 1000)
    const id = hex(half.id)
    if (!this.#seen.add(id)) throw new RingfenceError('MATERIAL_USED', 'a request with this id came before')
    const allowed = spend(peer, 1)
    if (allowed.granted === 0) throw refused(allowed)
    return this.#wait(id, half, signal)
  }

  #wait(name: string, { id, words }: { id: Uint8Array; words: Uint8Array }, signal: AbortSignal | undefined) {
    return new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        if (this.#waiting.get(name) === request) this.#waiting.delete(name)
      }
      const request: OwnerRequest = {
        words,
        resolve: (answer) => {
          settle()
          resolve(answer)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      const onAbort = () => request.reject(left())
      const timer = setTimeout(() => {
        if (this.#waiting.get(name) !== request) return // its inference runs
        const what = `the delegate did not bring the other half within ${this.joinMs} ms`
        request.reject(new RingfenceError('DEADLINE', `${what}; send both halves again, of a fresh seed`))
      }, this.joinMs)
      signal?.addEventListener('abort', onAbort)
      this.#waiting.set(name, request)
      const delegate = this.#offered.get(name)
      if (delegate) this.#want(name, id, delegate)
    })
  }

  /** A connection that announces seeds. */
  attend(delegate: Link): void {
    if (this.#delegates.has(delegate)) return
    this.#delegates.add(delegate)
    void delegate.closed.then(() => {
      this.#delegates.delete(delegate)
      for (const [id, link] of this.#offered) if (link === delegate) this.#offered.delete(id)
    })
  }

  /** The seed of this id is at a delegate. */
  offer(id: Uint8Array, delegate: Link): void {
    if (!this.#delegates.has(delegate)) {
      throw new RingfenceError('PROTOCOL', 'an id was offered on a connection that is no delegate’s')
    }
    const name = hex(id)
    if (this.#waiting.has(name)) {
      this.#want(name, id, delegate)
      return
    }
    if (this.#offered.size >= OFFERED) this.#offered.delete(this.#offered.keys().next().value!)
    this.#offered.set(name, delegate)
  }

  #want(name: string, id: Uint8Array, delegate: Link): void {
    this.#offered.delete(name)
    delegate.send(Kind.wanted, Phase.online, 0, id)
  }

  /** Takes a request out, for its inference; undefined when its owner has left or it was taken before. */
  take(id: Uint8Array): OwnerRequest | undefined {
    const name = hex(id)
    const request = this.#waiting.get(name)
    this.#waiting.delete(name)
    return request
  }

  /** Nobody is answered any more. */
  end(error: RingfenceError): void {
    for (const request of [...this.#waiting.values()]) request.reject(error)
  }
}

const left = () => new RingfenceError('ABORTED', 'the owner of the input called its request off')
