// The other way: a delegate next to the server plays this page's part, and this page sends one request.
import { ThinClient } from 'ringfence/thin'

const DEADLINE_MS = 10_000

/** A client that knows the two ends of the plan and nothing between them. */
export class DelegatedClient {
  #client
  #counts
  #end = new AbortController()

  constructor(client, counts) {
    this.#client = client
    this.#counts = counts
    const { input, labels, bits } = client.terms
    this.plan = { input, labels, inputBits: bits }
    this.connected = true
    this.prepared = 0 // nothing is
  }

  /** @param parties `server`, `delegate` and its `key`; @param query what both are to know of this page and its wishes */
  static async create({ server, delegate, key }, query) {
    const delegateKey = Uint8Array.from(key.match(/../g), (byte) => Number.parseInt(byte, 16))
    const counts = {}
    const fetch = counting(counts, query)
    const options = { server, delegate, delegateKey, fetch, deadlineMs: DEADLINE_MS }
    return new DelegatedClient(await ThinClient.create(options), counts)
  }

  /** @returns the result, and what it cost as the one step that it is */
  async run(input, { signal, onProgress }) {
    Object.assign(this.#counts, { up: 0, down: 0, sealed: 0, sent: undefined, answered: undefined })
    const started = performance.now()
    const result = await this.#client.run(input, {
      signal: AbortSignal.any([signal, this.#end.signal]),
      onProgress,
    })
    const { sent, answered, sealed, up, down } = this.#counts
    const step = { ms: performance.now() - started, waiting: answered - sent, up, down, sealed, flights: 2 }
    return { result, steps: [step] }
  }

  /** Ends what runs, if something does. */
  async release() {
    this.#end.abort()
  }
}

/** `fetch` that adds the query, and counts bytes and the time between the first request and the last answer. */
function counting(counts, query) {
  return async (url, init) => {
    counts.sent ??= performance.now()
    const bytes = init.body?.byteLength ?? 0
    counts.up += bytes
    const response = await fetch(url + query, init)
    const body = await response.arrayBuffer()
    counts.answered = performance.now()
    counts.down += body.byteLength
    if (body.byteLength === 0) counts.sealed = bytes // it is the delegate that answers with nothing
    return new Response(body.byteLength > 0 ? body : null, response)
  }
}
