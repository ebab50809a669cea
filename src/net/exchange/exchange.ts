// Requests that have one answer each, beside connections: what a party serves so, whatever carries it.
import type { Peer } from '../access/peer.js'

/** Who asks, and how it is called off. */
export interface ExchangeCall {
  readonly peer?: Peer
  readonly signal?: AbortSignal
}

/** A party's side of it. `listen` offers one over HTTP: GET describes, POST asks. */
export interface Exchange {
  /** Most bytes of a request. */
  readonly requestBytes: number
  /** What callers may know before they ask. @throws RingfenceError where nothing can be asked now */
  describe(): Uint8Array
  /** @throws RingfenceError why there is no answer */
  answer(request: Uint8Array, call: ExchangeCall): Promise<Uint8Array>
}

/** Where an exchange is, below the address of its party. */
export const EXCHANGE_PATH = '/delegated'

/** Whether a request's path leads to an exchange. */
export const isExchange = (target: string): boolean => target.split('?', 1)[0].endsWith(EXCHANGE_PATH)
