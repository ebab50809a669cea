// `fetch` as if a network lay between the two ends, as net/shaper.ts does for channels: for benches and demos.
import { wait } from '../clock.js'
import type { NetworkProfile } from '../shaper.js'

type Fetching = (url: string, init: RequestInit) => Promise<Response>

/**
 * Half a round trip and the body's time each way. Requests at the same time do not share the line, and a connection is taken to
 * be open already.
 */
export function shapedFetch(
  { rttMs, upBitsPerSecond, downBitsPerSecond }: NetworkProfile,
  fetch: Fetching = (url, init) => globalThis.fetch(url, init),
): Fetching {
  const takes = (bytes: number, bitsPerSecond: number) => rttMs / 2 + (8000 * bytes) / bitsPerSecond
  return async (url, init) => {
    await wait(takes((init.body as Uint8Array | undefined)?.byteLength ?? 0, upBitsPerSecond))
    const response = await fetch(url, init)
    const body = await response.arrayBuffer()
    await wait(takes(body.byteLength, downBitsPerSecond))
    // Some statuses may have no body at all.
    return new Response(body.byteLength > 0 ? body : null, response)
  }
}
