// Links of a batch that is recorded once and can then be played again by each end alone.
import { type Channel, Link, memoryPair } from '../../src/net/index.js'
import type { Role } from './backend.js'

const LIMIT = 2 ** 30
const linkOf = (channel: Channel) => new Link(channel, { name: 'peer', deadlineMs: 60_000, maxFrame: LIMIT })

/** Frames in the order in which the playing end sent or asked for them; milliseconds of `performance.now`. */
export type Log = { from: Role; to: Role; at: number }[]

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
  play(log: Log, me: Role, peer: Role): Channel {
    const messages = this.#messages
    let next = 0
    return {
      send: () => void log.push({ from: me, to: peer, at: performance.now() }),
      receive: async () => {
        log.push({ from: peer, to: me, at: performance.now() })
        // Whoever receives it may have its buffer used again.
        return messages[next++ % messages.length].slice()
      },
      async drained() {},
      close() {},
      closed: new Promise(() => {}),
    }
  }
}

export interface RecordedPair {
  readonly ends: readonly [Link, Link]
  /** Both ends by the role that plays each, once a batch has been recorded. */
  played(log: Log, a: Role, b: Role): [Link, Link]
}

export function recordedPair(): RecordedPair {
  const recordings = [new Recording(), new Recording()]
  const [x, y] = memoryPair({ inboxLimit: LIMIT })
  return {
    ends: [linkOf(recordings[0].record(x)), linkOf(recordings[1].record(y))],
    played: (log, a, b) => [linkOf(recordings[0].play(log, a, b)), linkOf(recordings[1].play(log, b, a))],
  }
}
