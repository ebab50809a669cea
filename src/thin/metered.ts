// How much an owner's requests carry: the bytes of their bodies, as HTTP adds headers of its own.
import type { Fetch } from './requests.js'

/** Bytes and requests so far. */
export interface OwnerTraffic {
  requests: number
  bytesUp: number
  bytesDown: number
}

/** `fetch` that counts. Requests at the same time are one round trip. */
export function meteredFetch(counts: OwnerTraffic, fetch: Fetch = (url, init) => globalThis.fetch(url, init)): Fetch {
  return async (url, init) => {
    counts.requests++
    counts.bytesUp += (init.body as Uint8Array | undefined)?.byteLength ?? 0
    const response = await fetch(url, init)
    const body = new Uint8Array(await response.arrayBuffer())
    counts.bytesDown += body.byteLength
    // Some statuses may have no body at all.
    return new Response(body.byteLength > 0 ? body : null, response)
  }
}
