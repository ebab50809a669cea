// The work of one party alone: a batch of all three is played once and what arrives is kept; then each party plays its
// part again with the messages at hand, without waiting for anyone.
import { loadKernels } from '../../src/kernels/index.js'
import { type Channel, Link, memoryPair } from '../../src/net/index.js'
import type { LocalWork, Values, Variant } from './backend.js'
import { batch, deal, helperOf, type Result, shareOf, sideOf } from './securenn-batch.js'

const LIMIT = 2 ** 30
const linkOf = (channel: Channel) => new Link(channel, { name: 'peer', deadlineMs: 60_000, maxFrame: LIMIT })

/** What arrived at one end of a channel in one batch. */
class Recording {
  readonly #messages: Uint8Array[] = []

  record(channel: Channel): Channel {
    return {
      send: (message) => channel.send(message),
      receive: async (options) => {
        const message = await channel.receive(options)
        this.#messages.push(message.slice())
        return message
      },
      drained: () => channel.drained(),
      close: (reason) => channel.close(reason),
      closed: channel.closed,
    }
  }

  /** Every batch anew; what is sent goes nowhere. */
  play(): Channel {
    const messages = this.#messages
    let next = 0
    return {
      send() {},
      receive: async () => messages[next++ % messages.length],
      async drained() {},
      close() {},
      closed: new Promise(() => {}),
    }
  }
}

/** Both ends of a link; `played` is to be taken once the batch has been recorded. */
function recordedPair(): { ends: [Link, Link]; played: () => [Link, Link] } {
  const recordings = [new Recording(), new Recording()]
  const [a, b] = memoryPair({ inboxLimit: LIMIT })
  return {
    ends: [linkOf(recordings[0].record(a)), linkOf(recordings[1].record(b))],
    played: () => [linkOf(recordings[0].play()), linkOf(recordings[1].play())],
  }
}

export interface SharedResults extends LocalWork {
  /** What the shares of a whole ReLU add up to; null for a comparison. */
  results(): BigInt64Array | null
}

export async function local(variant: Variant, values: Values): Promise<SharedResults> {
  const count = values.length
  const [kc, ks, kh] = [loadKernels(), loadKernels(), loadKernels()]
  const [cs, ch, sh] = [recordedPair(), recordedPair(), recordedPair()]
  const client = sideOf(kc, 0, cs.ends[0], ch.ends[0])
  const server = sideOf(ks, 1, cs.ends[1], sh.ends[0])
  const helper = helperOf(kh, ch.ends[1], sh.ends[1])
  const [mine, theirs] = [shareOf(client, values), shareOf(server, values)]
  const [a, b] = await Promise.all([
    batch(client, variant, mine, count),
    batch(server, variant, theirs, count),
    deal(helper, variant, count),
  ])
  const [[clientServer, serverClient], [clientHelper, helperClient]] = [cs.played(), ch.played()]
  const [serverHelper, helperServer] = sh.played()
  const alone = {
    client: { ...client, peer: clientServer, helper: clientHelper },
    server: { ...server, peer: serverClient, helper: serverHelper },
    helper: { ...helper, client: helperClient, server: helperServer },
  }
  return {
    client: async () => done(await batch(alone.client, variant, mine, count)),
    server: async () => done(await batch(alone.server, variant, theirs, count)),
    helper: () => deal(alone.helper, variant, count),
    signs() {
      const [low, other] = [a.bit.u32(), b.bit.u32()]
      return Uint8Array.from({ length: count }, (_, i) => (low[2 * i] + other[2 * i]) & 1)
    },
    results() {
      const [half, other] = [a.value?.u64(), b.value?.u64()]
      return half && other ? BigInt64Array.from(half, (word, i) => BigInt.asIntN(64, word + other[i])) : null
    },
    release() {
      for (const region of [mine, theirs]) region.release()
      for (const result of [a, b]) done(result)
    },
  }
}

function done({ bit, value }: Result): void {
  bit.release()
  value?.release()
}
