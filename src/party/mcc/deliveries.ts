// Bundles that dealers bring to a server past its helper's link, whole or not at all.
import type { Seed } from '../../random/seed.js'
import { deliveryToken, equal, fromHex, sessionSeed } from '../messages.js'
import type { MaterialStore } from './store.js'

/** A bundle that is wanted. */
export interface Delivery {
  /** It has as many, and no other number is read. */
  readonly bytes: number
  /** It is here, whole. Tells the status of HTTP: 201 stored, 200 had it already, 410 not wanted any more. */
  take(body: Uint8Array): number
  /** Nothing more comes of it, whatever has. */
  end(): void
}

/** Which bundle a path names, if the token is that of its session's dealers; else a status of HTTP. */
export function delivered(
  path: string,
  token: Uint8Array,
  helperSeed: Seed,
): [session: string, inference: number] | number {
  const [, session, inference] = /^\/v1\/bundle\/([0-9a-f]{32})\/(\d{1,15})$/.exec(path) ?? []
  if (session === undefined) return 404
  const sh = sessionSeed(helperSeed, fromHex(session))
  const may = equal(token, deliveryToken(sh))
  sh.fill(0)
  return may ? [session, Number(inference)] : 403
}

/** One number is brought by so many at a time: a dealer that was taken for dead may still be sending. */
const AT_A_TIME = 2

export class Deliveries {
  /** How many bring a number. */
  readonly #arriving = new Map<string, number>()

  /** @param onBundle told how long one took to come */
  constructor(
    private readonly store: MaterialStore,
    private readonly onBundle?: (milliseconds: number) => void,
  ) {}

  expects(session: string, inference: number): Delivery | number {
    const { store } = this
    const wanted = () => (store.has(session, inference) ? (store.isDealt(session, inference) ? 200 : 201) : 410)
    if (wanted() !== 201) return wanted()
    const name = `${session} ${inference}`
    const arriving = this.#arriving.get(name) ?? 0
    if (arriving >= AT_A_TIME) return 503
    this.#arriving.set(name, arriving + 1)
    const began = performance.now()
    return {
      bytes: store.lengths.helper.reduce((sum, length) => sum + length, 0),
      take: (body) => {
        const status = wanted()
        if (status !== 201) return status
        let at = 0
        for (const [step, length] of store.lengths.helper.entries()) {
          store.dealt(session, inference, step, body.subarray(at, at + length))
          at += length
        }
        this.onBundle?.(performance.now() - began)
        return 201
      },
      end: () => {
        const left = this.#arriving.get(name)! - 1
        if (left > 0) this.#arriving.set(name, left)
        else this.#arriving.delete(name)
      },
    }
  }
}
